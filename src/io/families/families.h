/* Spaces of networks that everybody has, told by the names of their tensors. */
#ifndef NFT_IO_FAMILIES_H
#define NFT_IO_FAMILIES_H

#include "io/file.h"
#include "nft/space.h"

/* Finds the family of a file that says no space. *space stays NULL if it is of none. `prefix` chooses
 * tensors; a prefix that is common to all tensors of the network is found and returned in *found,
 * nft_release() it; the names of the space are without it. */
nft_status nft_find_family(nft_space **space, char **found, const nft_file *file, const char *prefix);

/* The same for layers and norms in a row that are no chain of the short form: norms next to them, depthwise
 * convolutions, convolutions of one or three dimensions. */
nft_status nft_find_sequential(nft_space **space, const nft_file *file, const char *prefix);

/* A space while it is put together from the tensors of a file. Calls that follow a failure do nothing. */
typedef struct nft_family {
    const nft_file *file;
    const char *name;   /* of the family, for messages */
    const char *prefix; /* of all its tensors, or of the module that tells the family */
    const char *outer;  /* the beginning of it that the names of the space are without */
    int64_t leading;    /* dimensions of networks and channels before those of a tensor */
    nft_space_axis *axes;
    int64_t axis_count, axis_capacity;
    nft_space_tensor *tensors;
    nft_factor (*factors)[NFT_TENSOR_MAX_FACTORS];
    int64_t tensor_count, tensor_capacity, factors_capacity;
    bool *taken;  /* of each entry of the file */
    bool is_none; /* its names do not tell how its layers are connected */
    nft_status status;
} nft_family;

/* The parts of a name are formatted into a buffer that the next call writes over. */
const nft_entry *nft_family_find(const nft_family *family, const char *format, ...) NFT_PRINTF(2, 3);
/* Size of a dimension of an entry, 0 if there is none. */
int64_t nft_family_size(const nft_family *family, const nft_entry *entry, int64_t dimension);

/* A new axis; its index. The name is made unique by the axis's number. */
int64_t nft_family_axis(nft_family *family, int64_t size, bool ordered, const char *name);
/* A tensor of these axes; further dimensions are positions. -1 stands for a dimension of positions. NULL
 * entries are left out. */
void nft_family_add(nft_family *family, const nft_entry *entry, const int64_t *axes, int64_t count);
/* A tensor with a first dimension of `gates` times an axis, or with a last dimension of an axis times
 * positions. */
void nft_family_add_gates(nft_family *family, const nft_entry *entry, int64_t gates, int64_t axis,
                          int64_t in);
void nft_family_add_flattened(nft_family *family, const nft_entry *entry, int64_t out, int64_t in,
                              int64_t positions);
/* NAME.weight (out, in, …) and NAME.bias (out); `in` -1: depthwise. */
void nft_family_layer(nft_family *family, int64_t out, int64_t in, const char *format, ...) NFT_PRINTF(4, 5);
/* NAME.weight, .bias, .running_mean, .running_var of one axis. */
void nft_family_norm(nft_family *family, int64_t axis, const char *format, ...) NFT_PRINTF(3, 4);
void nft_family_fail(nft_family *family, const char *format, ...) NFT_PRINTF(2, 3);

/* Each adds the axes and tensors of its family. */
void nft_family_resnet(nft_family *family);
void nft_family_mobilenet(nft_family *family);
void nft_family_vit(nft_family *family);
void nft_family_vit_pytorch(nft_family *family);
void nft_family_transformer(nft_family *family);
void nft_family_small_transformer(nft_family *family);
void nft_family_recurrent(nft_family *family);
void nft_family_sequential(nft_family *family);

#endif
