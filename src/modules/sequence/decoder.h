/* The decoder of Inr2Array (Neural Functional Transformers): each of M = m² latents becomes the weights of a
 * SIREN in the model's space, which renders one of m × m patches of the image. */
#ifndef NFT_MODULES_DECODER_H
#define NFT_MODULES_DECODER_H

#include "modules/shared/module.h"
#include "siren/form.h"

/* Tokens (M, D) to a vector, the image: index (y · width + x) · n_L + c. Configured from the object under
 * "decoder". */
extern const nft_module_class nft_decoder;

/* After fresh parameters were drawn: each additive scale is the unbiased standard deviation of its tensor of
 * init_params, the absolute value of a single number. */
void nft_decoder_initialize(const nft_module *decoder, float *parameters);

/* The size of its image and ω of the networks that render it. */
void nft_decoder_image(const nft_module *decoder, int64_t *height, int64_t *width, nft_siren_form *form);

#endif
