/* How the learning rate changes. */
#ifndef NFT_MATH_SCHEDULE_H
#define NFT_MATH_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct nft_schedule {
    bool cosine; /* else constant */
    int64_t warmup, total;
} nft_schedule;

/* The factor on the learning rate at a step, from 0: step/warmup before warm-up's end, then 1 or
 * ½ (1 + cos(π (step - warmup) / (total - warmup))); 0 where warm-up ends with the total, or later. */
double nft_schedule_factor(const nft_schedule *schedule, int64_t step);

#endif
