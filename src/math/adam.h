/* Adam (Kingma and Ba, 2015) and AdamW (Loshchilov and Hutter, 2019), as PyTorch computes them. */
#ifndef NFT_MATH_ADAM_H
#define NFT_MATH_ADAM_H

#include <stdint.h>

/* The numbers of one update. Its kernel is in gradients.h. */
typedef struct nft_adam {
    float scale; /* of the gradients: clipping */
    float shrink,
        decay; /* of AdamW: 1 - lr · decay, and of Adam the decay that is added to g; else 1 and 0 */
    float rise1, beta2, rise2; /* 1 - β1, β2, 1 - β2 */
    float step_size;           /* lr / (1 - β1^step) */
    float correction;          /* √(1 - β2^step) */
    float eps;
} nft_adam;

/* Update number `step`, from 1, without scale and decay. */
nft_adam nft_adam_at(int64_t step, double lr, double beta1, double beta2, double eps);

#endif
