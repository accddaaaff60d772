/* How good predictions are. */
#ifndef NFT_CLI_METRICS_H
#define NFT_CLI_METRICS_H

#include <stdbool.h>
#include <stdint.h>

/* Kendall's τ-b of pairs (x, y), n of them, in O(n log n); NaN if all x or all y are equal. Fails only for
 * memory. */
bool metrics_tau(double *tau, const float *x, const float *y, int64_t n);

/* 1 - Σ(y - x)² / Σ(y - mean y)² of predictions x and targets y; NaN if all targets are equal. */
double metrics_r2(const float *predictions, const float *targets, int64_t n);
double metrics_mean_absolute_error(const float *predictions, const float *targets, int64_t n);

/* The mean losses of PyTorch. bce takes probabilities, and limits their logarithms to -100 at least. */
double metrics_mse(const float *predictions, const float *targets, int64_t n);
double metrics_bce(const float *predictions, const float *targets, int64_t n);
/* Of images in -1 … 1, in dB, by their mean squared error; infinite of equal images. */
double metrics_psnr(double mean_squared_error);
/* `logits` (n, classes), labels in 0 … classes - 1. */
double metrics_cross_entropy(const float *logits, const int64_t *labels, int64_t n, int64_t classes);
/* The index of the largest of `count` numbers, the first of equals. */
int64_t metrics_largest(const float *row, int64_t count);
/* The share of rows in which the largest logit (the first of equals) is that of the label. */
double metrics_accuracy(const float *logits, const int64_t *labels, int64_t n, int64_t classes);

/* Whether `count` values are all finite. */
bool all_finite(const float *values, int64_t count);

#endif
