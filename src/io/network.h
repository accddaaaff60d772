/* Which tensors of a file are the networks, of which space, and how many networks and channels. */
#ifndef NFT_IO_NETWORK_H
#define NFT_IO_NETWORK_H

#include "io/file_tensors.h"
#include "io/file.h"
#include "nft/weights.h"
#include "space/metadata.h"

typedef struct nft_network {
    nft_space *space;
    const nft_entry **entries; /* the file's, for each tensor of the space; NULL: zeros */
    nft_slice *slices;         /* the part of its entry that each tensor is */
    char **names;              /* of each tensor */
    int64_t rank;              /* 1 one network, 2 a stack, 3 features */
    int64_t count, channels;
    char *note; /* of how the names were understood, to be told once; NULL: there is nothing to say */
    const char
        *origin; /* the source of a layout that differs from the file's, to be logged once; NULL: none */
    char *doubt; /* why it may be another network than the chain that was read, and the way out; NULL: none */
    const nft_entry *outsider; /* may be a part of the networks, but is not read; NULL: there is none */
    bool *used; /* for each entry of the file: it is a network's, whether it was chosen or not */
} nft_network;

/* The space is that of the options, or the metadata's, or else a chain. The file's table is adapted first
 * (io/adapt.h). Clear it also after a failure. */
nft_status nft_network_find(nft_network *network, nft_file *file, const nft_load_options *options);
void nft_network_clear(nft_network *network);
/* The space that the file describes in its metadata or as a graph, or else its sidecar. NULL: neither does,
 * or the options have a space. */
nft_status nft_network_described(nft_space **space, bool *by_sidecar, const nft_file *file,
                                 const nft_load_options *options);
/* Logs the origin, the note and the doubt. */
void nft_network_tell(const nft_network *network, const nft_file *file);

/* Whether an entry, number `index` of the file, travels with the networks, a row for each. */
bool nft_network_has_extra(const nft_network *network, const nft_entry *entry, int64_t index);

/* Reads networks first … first + count - 1 of a tensor, (count, C, *shape). `file` is the file, or the same
 * one opened again. */
nft_status nft_network_read(const nft_network *network, const nft_file *file, int64_t tensor, int64_t first,
                            int64_t count, float *out);

/* The tensor of a file that was opened again. NFT_ERROR_FORMAT if it is not the same. */
nft_status nft_entry_again(const nft_entry **again, const nft_file *file, const nft_entry *entry);

/* Tensors and names for a space of any kind; fills slices as well. */
nft_status nft_network_allocate(nft_network *network, const nft_space *space, const nft_file *file);

/* Finds a chain by the names of its layers, NAME.weight and NAME.bias. The options name the layers, or else
 * they are all that begin with the prefix in natural order. `space` is the chain if it is known, NULL if the
 * shapes must tell it. */
nft_status nft_network_find_chain(nft_network *network, const nft_file *file, const nft_space *space,
                                  const nft_load_options *options);
/* Marks every NAME.weight of the file, and its NAME.bias, as a network's. */
nft_status nft_network_mark_layers(nft_network *network, const nft_file *file);
/* Finds every tensor by network->names. */
nft_status nft_network_match(nft_network *network, const nft_file *file);

/* Tells the set of the outsider and of the doubt, for nft_weights_check_whole() and nft_weights_check_axes().
 */
nft_status nft_weights_note_doubts(nft_weights *weights, const nft_network *network);
/* All texts of a file's metadata, for a set. */
nft_status nft_weights_keep_metadata(nft_weights *weights, const nft_file *file);
/* The space, by which a reader finds the tensors of these names: layers in another order than that of their
 * names are told by tensors and axes. */
nft_status nft_space_with_names(nft_space **named, nft_space *space, char *const *names);
/* Sets `nft.space`: the set's space, whose tensors have the names of the file. */
nft_status nft_weights_note_space(nft_metadata *metadata, const nft_weights *weights);

nft_status nft_check_float_entry(const nft_entry *entry); /* an error that names it unless it holds floats */

#endif
