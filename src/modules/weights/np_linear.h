/* The terms of the linear equivariant layers, as np_linear and hnp_linear list them. */
#ifndef NFT_MODULES_WEIGHTS_NP_LINEAR_H
#define NFT_MODULES_WEIGHTS_NP_LINEAR_H

#include "modules/weights/linear_terms.h"

/* All terms on a space of tensors. */
void nft_list_space(nft_linear_terms *terms);
/* The terms of layer `index` of a chain and of its bias, under their published names. `row_more` and
 * `column_more`, NULL or tensors seen as channels of the layer's columns or rows, end its inputs. */
void nft_list_layer(nft_linear_terms *terms, int64_t index, const nft_tensor_view *row_more,
                    const nft_tensor_view *column_more);
/* [M_0 … M_{L-1}, m_0 … m_{L-1}] */
void nft_list_chain_means(nft_linear_terms *terms);

/* Dimensions of a chain's weights, and the only one of its biases. */
#define NFT_ROWS NFT_DIM(0)
#define NFT_COLUMNS NFT_DIM(1)

#endif
