#include "metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PEAK 2.0 /* colours are in -1 … 1 */

typedef struct pair {
    float x, y;
} pair;

static int compare_pairs(const void *left, const void *right)
{
    const pair *a = left, *b = right;
    if (a->x != b->x)
        return a->x < b->x ? -1 : 1;
    return (a->y > b->y) - (a->y < b->y);
}

/* Sorts by y and returns how many pairs stood the wrong way round: the exchanges of a bubble sort. */
static int64_t sort_counting(pair *pairs, pair *scratch, int64_t n)
{
    if (n < 2)
        return 0;
    int64_t half = n / 2, left = 0, right = half;
    int64_t exchanges = sort_counting(pairs, scratch, half) + sort_counting(pairs + half, scratch, n - half);
    for (int64_t i = 0; i < n; i++) {
        bool from_left = right == n || (left < half && pairs[left].y <= pairs[right].y);
        exchanges += from_left ? 0 : half - left;
        scratch[i] = pairs[from_left ? left++ : right++];
    }
    memcpy(pairs, scratch, (size_t)n * sizeof *pairs);
    return exchanges;
}

static int64_t choose_two(int64_t n)
{
    return n * (n - 1) / 2;
}

/* Pairs of entries with equal x, or y, or both; equal ones stand next to each other. */
static int64_t count_ties(const pair *pairs, int64_t n, bool by_x, bool by_y)
{
    int64_t ties = 0, run = 1;
    for (int64_t i = 1; i < n; i++, run++) {
        bool equal = (!by_x || pairs[i].x == pairs[i - 1].x) && (!by_y || pairs[i].y == pairs[i - 1].y);
        if (!equal) {
            ties += choose_two(run);
            run = 0;
        }
    }
    return n ? ties + choose_two(run) : 0;
}

/* W. R. Knight, "A computer method for calculating Kendall's tau with ungrouped data", JASA 61 (1966):
 * with P = n(n-1)/2, concordant - discordant = P - ties_x - ties_y + ties_both - 2 exchanges, and
 * τ-b = (concordant - discordant) / √((P - ties_x) (P - ties_y)). */
bool metrics_tau(double *tau, const float *x, const float *y, int64_t n)
{
    pair *pairs = malloc(2 * (size_t)n * sizeof *pairs + 1);
    if (!pairs)
        return false;
    for (int64_t i = 0; i < n; i++)
        pairs[i] = (pair){x[i], y[i]};
    qsort(pairs, (size_t)n, sizeof *pairs, compare_pairs);
    int64_t ties_x = count_ties(pairs, n, true, false), ties_both = count_ties(pairs, n, true, true);
    int64_t exchanges = sort_counting(pairs, pairs + n, n);
    int64_t ties_y = count_ties(pairs, n, false, true), all = choose_two(n);
    free(pairs);
    double different = sqrt((double)(all - ties_x)) * sqrt((double)(all - ties_y));
    *tau =
        different > 0 ? (double)(all - ties_x - ties_y + ties_both - 2 * exchanges) / different : (double)NAN;
    return true;
}

double metrics_r2(const float *predictions, const float *targets, int64_t n)
{
    double mean = 0, total = 0, residual = 0;
    for (int64_t i = 0; i < n; i++) /* from the first target on: exact where all are equal */
        mean += ((double)targets[i] - (double)targets[0]) / (double)n;
    mean += n ? (double)targets[0] : 0;
    for (int64_t i = 0; i < n; i++) {
        double error = (double)targets[i] - (double)predictions[i], deviation = (double)targets[i] - mean;
        residual += error * error;
        total += deviation * deviation;
    }
    return total > 0 ? 1 - residual / total : (double)NAN;
}

double metrics_mean_absolute_error(const float *predictions, const float *targets, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += fabs((double)targets[i] - (double)predictions[i]);
    return sum / (double)n;
}

double metrics_mse(const float *predictions, const float *targets, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        double error = (double)targets[i] - (double)predictions[i];
        sum += error * error;
    }
    return sum / (double)n;
}

double metrics_psnr(double mean_squared_error)
{
    return 10 * log10(PEAK * PEAK / mean_squared_error);
}

/* https://pytorch.org/docs/stable/generated/torch.nn.BCELoss.html */
double metrics_bce(const float *predictions, const float *targets, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        double p = (double)predictions[i], target = (double)targets[i];
        sum -= target * fmax(log(p), -100) + (1 - target) * fmax(log1p(-p), -100);
    }
    return sum / (double)n;
}

int64_t metrics_largest(const float *row, int64_t count)
{
    int64_t best = 0;
    for (int64_t i = 1; i < count; i++)
        best = row[i] > row[best] ? i : best;
    return best;
}

/* -log softmax(logits)[label] = log Σ exp(logit - max) - (logits[label] - max) */
double metrics_cross_entropy(const float *logits, const int64_t *labels, int64_t n, int64_t classes)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        const float *row = logits + i * classes;
        double most = (double)row[metrics_largest(row, classes)], total = 0;
        for (int64_t j = 0; j < classes; j++)
            total += exp((double)row[j] - most);
        sum += log(total) - ((double)row[labels[i]] - most);
    }
    return sum / (double)n;
}

double metrics_accuracy(const float *logits, const int64_t *labels, int64_t n, int64_t classes)
{
    int64_t right = 0;
    for (int64_t i = 0; i < n; i++)
        right += metrics_largest(logits + i * classes, classes) == labels[i];
    return (double)right / (double)n;
}

bool all_finite(const float *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return false;
    return true;
}
