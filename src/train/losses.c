#include "train/losses.h"

#include <float.h>
#include <math.h>

double nft_squares(int64_t n, const float *x, const float *y, double factor, float *gradient)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        double error = (double)x[i] - (double)y[i];
        sum += error * error;
        if (gradient)
            gradient[i] = (float)(factor * error);
    }
    return sum;
}

/* (1/n) Σ (y - t)² */
static double mse(int64_t n, const float *output, const void *target, double scale, float *gradient)
{
    return nft_squares(n, output, target, 2 * scale / (double)n, gradient) / (double)n;
}

/* -(1/n) Σ t log p + (1 - t) log(1 - p), the logarithms no less than -100, and p (1 - p) no less than 1e-12
 * in the gradient (p - t) / (p (1 - p)): PyTorch's BCELoss. */
static double bce(int64_t n, const float *output, const void *target, double scale, float *gradient)
{
    const float *targets = target;
    double sum = 0, factor = scale / (double)n;
    for (int64_t i = 0; i < n; i++) {
        double p = (double)output[i], t = (double)targets[i];
        if (!(p >= 0 && p <= 1))
            return NAN;
        sum -= t * fmax(log(p), -100) + (1 - t) * fmax(log1p(-p), -100);
        if (gradient)
            gradient[i] = (float)(factor * (p - t) / fmax(p * (1 - p), 1e-12));
    }
    return sum / (double)n;
}

/* log Σ exp(y) - y[class]; its gradient is softmax(y) less 1 at the class. */
static double cross_entropy(int64_t n, const float *output, const void *target, double scale, float *gradient)
{
    int64_t class = *(const int64_t *)target;
    float greatest = -INFINITY; /* in double, gcc 12.2 for arm64 fails at the loop */
    for (int64_t i = 0; i < n; i++)
        greatest = fmaxf(greatest, output[i]);
    double most = (double)greatest, total = 0;
    for (int64_t i = 0; i < n; i++)
        total += exp((double)output[i] - most);
    for (int64_t i = 0; gradient && i < n; i++)
        gradient[i] = (float)(scale * (exp((double)output[i] - most) / total - (i == class)));
    return log(total) - ((double)output[class] - most);
}

const nft_loss nft_losses[NFT_LOSS_COUNT] = {
    {.name = "mse", .least = -FLT_MAX, .most = FLT_MAX, .sample = mse},
    {.name = "bce",
     .least = 0,
     .most = 1,
     .advice = "bce takes outputs in 0 … 1: end the model with sigmoid",
     .sample = bce},
    {.name = "cross_entropy", .target = NFT_TARGET_CLASS, .sample = cross_entropy},
    [NFT_LOSS_RECONSTRUCTION] = {.name = "reconstruction", .target = NFT_TARGET_INPUT},
    {.name = "render", .target = NFT_TARGET_IMAGE, .least = -FLT_MAX, .most = FLT_MAX},
};

const char *const nft_loss_names[NFT_LOSS_COUNT] = {"mse", "bce", "cross_entropy", "reconstruction",
                                                    "render"};
