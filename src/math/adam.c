#include "math/adam.h"

#include <math.h>

nft_adam nft_adam_at(int64_t step, double lr, double beta1, double beta2, double eps)
{
    return (nft_adam){.scale = 1,
                      .shrink = 1,
                      .rise1 = (float)(1 - beta1),
                      .beta2 = (float)beta2,
                      .rise2 = (float)(1 - beta2),
                      .step_size = (float)(lr / (1 - pow(beta1, (double)step))),
                      .correction = (float)sqrt(1 - pow(beta2, (double)step)),
                      .eps = (float)eps};
}
