/* Features as rows, for the modules that work tensor by tensor. */
#ifndef NFT_MODULES_WEIGHTS_FEATURES_H
#define NFT_MODULES_WEIGHTS_FEATURES_H

#include "modules/shared/module.h"
#include "space/weights.h"

/* The tokens of all tensors cut into chunks: each item is some rows of one tensor. Depends only on the
 * space. */
typedef struct nft_rows {
    int64_t tensor;
    int64_t first, count; /* tokens of that tensor */
} nft_rows;

int64_t nft_rows_count(const nft_space *space);
nft_rows nft_rows_at(const nft_space *space, int64_t item);

/* Effective channels of a tensor: C · positions. */
int64_t nft_tensor_width(const nft_tensor *tensor, int64_t channels);

/* The widest tensor, and the longest chunk of all: for scratch. */
int64_t nft_widest_tensor(const nft_space *space, int64_t channels);
int64_t nft_longest_chunk(const nft_space *space);

/* The rows of one tensor, (tokens, C · positions), inside a buffer that holds features of `channels`. */
nft_buffer nft_features_of(const nft_buffer *features, const nft_tensor *tensor, int64_t channels);
/* Reserves features of the builder's space, (1, floats). */
nft_buffer nft_reserve_features(nft_builder *builder, nft_arena arena, int64_t channels);

/* PyTorch's shape of one tensor's features, (channels, *shape); returns the rank. */
int64_t nft_feature_shape(const nft_space *space, int64_t tensor, int64_t channels,
                          int64_t shape[NFT_ARRAY_MAX_RANK]);

/* Owners: which parameters a tensor has in a module that works tensor by tensor. In a model of one space
 * every tensor has its own parameters, owner t. In a model of any space all tensors of a role share them,
 * and there are always NFT_ROLE_COUNT owners, so that every space declares the same parameters. */
int64_t nft_owner_count(const nft_builder *builder);
int64_t nft_owner_of(const nft_builder *builder, int64_t tensor);
/* Effective channels of an owner's tensors: C · positions. In a model of any space it is C, because modules
 * with owners stand behind lift. */
int64_t nft_owner_width(const nft_builder *builder, int64_t owner, int64_t channels);

/* The name of an owner's parameters. In a chain of layers it begins with `weight` or `bias`, and published
 * names count layers: "weight_maps.0". Elsewhere it begins with `plain`: "maps.3" by tensor, "maps.linear" by
 * role. */
#define NFT_OWNER_NAME 64
void nft_owner_name(char name[NFT_OWNER_NAME], const nft_builder *builder, int64_t owner, const char *weight,
                    const char *bias, const char *plain);
/* Whether an owner is a bias of a chain. Published parameters of biases have other shapes. */
bool nft_owner_is_bias(const nft_builder *builder, int64_t owner);

#endif
