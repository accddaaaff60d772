/* How Inr2Array's decoder cuts an image into m × m patches, one for each latent (Neural Functional
 * Transformers).
 */
#ifndef NFT_MODEL_PATCHES_H
#define NFT_MODEL_PATCHES_H

#include <stdint.h>

/* An image of `height` × `width` pixels and m, its patches in each direction. */
typedef struct nft_patches {
    int64_t height, width, side;
} nft_patches;

/* A rectangle of the image, its pixels row after row. It may be empty. */
typedef struct nft_patch {
    int64_t top, left, width, pixels;
} nft_patch;

/* The patch that pixel `index` of `size` belongs to in one direction: (patches - 1) · index / (size - 1),
 * rounded half to even. */
int64_t nft_decoder_patch(int64_t index, int64_t size, int64_t patches);

/* Patch row · m + column. */
nft_patch nft_patch_at(const nft_patches *patches, int64_t index);
int64_t nft_patch_largest(const nft_patches *patches); /* pixels of the largest */

/* Of `count` pixels of a patch from its pixel `first` on: their coordinates (y, x), see nft_grid_coordinate.
 */
void nft_patch_coordinates(const nft_patches *patches, const nft_patch *patch, int64_t first, int64_t count,
                           float *coordinates);
/* Their values, `channels` each, from the image or to it. */
void nft_patch_gather(const nft_patches *patches, const nft_patch *patch, int64_t first, int64_t count,
                      int64_t channels, const float *image, float *values);
void nft_patch_scatter(const nft_patches *patches, const nft_patch *patch, int64_t first, int64_t count,
                       int64_t channels, const float *values, float *image);

#endif
