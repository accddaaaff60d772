#include "math/schedule.h"

#include "base/pi.h"

#include <math.h>

double nft_schedule_factor(const nft_schedule *schedule, int64_t step)
{
    if (step < schedule->warmup)
        return (double)step / (double)schedule->warmup;
    if (!schedule->cosine)
        return 1;
    if (schedule->total <= schedule->warmup) /* a warm-up to the end, and steps beyond it */
        return 0;
    double done = (double)(step - schedule->warmup) / (double)(schedule->total - schedule->warmup);
    return 0.5 * (1 + cos(NFT_PI * done));
}
