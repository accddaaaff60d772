#include "model/prototypes.h"

/* A linear layer with its bias. */
static nft_status make_linear(nft_space **space)
{
    static const nft_factor weight[] = {NFT_AXIS(1), NFT_AXIS(0)}, bias[] = {NFT_AXIS(1)};
    const nft_space_axis axes[] = {NFT_SPACE_AXIS("in", 1, NFT_SYMMETRY_NONE),
                                   NFT_SPACE_AXIS("out", 2, NFT_SYMMETRY_NONE)};
    const nft_space_tensor tensors[] = {NFT_SPACE_TENSOR("weight", weight, 2),
                                        NFT_SPACE_TENSOR("bias", bias, 1)};
    return nft_space_create(space, axes, 2, tensors, 2);
}

/* A convolution, a batch norm's weight and variance, and a linear layer. */
static nft_status make_convolution(nft_space **space)
{
    static const nft_factor conv[] = {NFT_AXIS(1), NFT_AXIS(0), NFT_POSITIONS(3)}, gain[] = {NFT_AXIS(1)},
                            linear[] = {NFT_AXIS(2), NFT_AXIS(1)};
    const nft_space_axis axes[] = {NFT_SPACE_AXIS("in", 1, NFT_SYMMETRY_NONE),
                                   NFT_SPACE_AXIS("hidden", 3, NFT_SYMMETRY_PERMUTATION),
                                   NFT_SPACE_AXIS("out", 1, NFT_SYMMETRY_NONE)};
    const nft_space_tensor tensors[] = {
        NFT_SPACE_TENSOR("conv.weight", conv, 3), NFT_SPACE_TENSOR("norm.weight", gain, 1),
        NFT_SPACE_TENSOR("norm.running_var", gain, 1), NFT_SPACE_TENSOR("fc.weight", linear, 2)};
    return nft_space_create(space, axes, 3, tensors, 4);
}

nft_status nft_space_prototype(nft_space **space, int which)
{
    return which ? make_convolution(space) : make_linear(space);
}
