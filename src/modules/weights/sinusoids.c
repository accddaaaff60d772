#include "modules/weights/sinusoids.h"

#include "base/pi.h"

#include <math.h>

void nft_sinusoids(int64_t index, int64_t count, int64_t bands, double max_freq, float *row)
{
    double t = count > 1 ? -1 + 2 * (double)index / (double)(count - 1) : -1;
    for (int64_t j = 0; j < bands; j++) {
        double s = bands > 1 ? 1 + (max_freq / 2 - 1) * (double)j / (double)(bands - 1) : 1;
        row[j] = (float)sin(NFT_PI * s * t);
        row[bands + j] = (float)cos(NFT_PI * s * t);
    }
    row[2 * bands] = (float)t;
}
