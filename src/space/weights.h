/* The inside of a weight set. */
#ifndef NFT_SPACE_WEIGHTS_H
#define NFT_SPACE_WEIGHTS_H

#include "nft/weights.h"
#include "space/metadata.h"
#include "space/space.h"

typedef struct nft_extra {
    char *name;
    nft_array *array;
} nft_extra;

struct nft_weights {
    nft_references references;
    nft_space *space;
    int64_t count, channels;
    int64_t rank;       /* of its file: 1 one network, 2 a stack, 3 features */
    bool borrowed;      /* `data` is the caller's */
    const float **data; /* for each tensor of the space an array (N, C, *shape) in PyTorch's layout */
    float *storage;     /* owns all of data, unless borrowed */
    char **names;       /* one for each tensor */
    nft_extra *extras;
    int64_t extra_count;
    nft_metadata metadata;
    nft_extra *others; /* of one network: tensors of its file that are saved with it, such as counters */
    int64_t other_count;
    /* A tensor of the file that may belong to the networks but is not one of theirs; NULL: there is none. */
    char *outsider;
    char *doubt; /* why its file may hold another space than this chain; NULL: there is no doubt */
};

/* An error unless the tensors of the set are whole networks, so that changes which go together keep their
 * functions. */
nft_status nft_weights_check_whole(const nft_weights *weights);
/* An error if the axes of the set may be others than those of its file. */
nft_status nft_weights_check_axes(const nft_weights *weights);

/* One network's features in the library's layout, [tensor][token][channel · positions + position], to
 * `features`: space->numbers · channels floats. */
void nft_weights_gather(const nft_weights *weights, int64_t network, float *features);
/* The way back, into an owned set. */
void nft_weights_scatter(nft_weights *weights, int64_t network, const float *features);

/* The same for one tensor and one network: an array (C, *shape) in the file's order. */
void nft_tensor_gather(const nft_tensor *tensor, int64_t channels, const float *array, float *features);
void nft_tensor_scatter(const nft_tensor *tensor, int64_t channels, const float *features, float *array);

/* A set of `count` networks. The caller fills its arrays through `data`. `names` has one for each tensor;
 * NULL means those of the space. */
nft_status nft_weights_allocate(nft_weights **weights, const nft_space *space, int64_t count,
                                int64_t channels, const char *const *names, int64_t memory_limit);

nft_weights *nft_weights_retain(const nft_weights *weights); /* one more reference */

#endif
