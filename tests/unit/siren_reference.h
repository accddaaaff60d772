/* A SIREN in double, straight from the formula, and its gradient by finite differences. */
#ifndef NFT_TESTS_SIREN_REFERENCE_H
#define NFT_TESTS_SIREN_REFERENCE_H

#include "unit/support.h"

#include <math.h>

typedef struct siren_reference {
    const nft_space *space;
    double first_omega, omega; /* of the first layer, and of the others */
    double offset;             /* added to the output */
} siren_reference;

static double reference_output(const siren_reference *r, const float *weights, const float *place,
                               int64_t colour)
{
    const nft_space *space = r->space;
    double h[2][64] = {{(double)place[0], (double)place[1]}};
    for (int64_t l = 0; l < space->layer_count; l++) {
        const nft_layer *layer = &space->layers[l];
        const float *weight = weights + space->tensors[NFT_WEIGHT_OF(l)].offset;
        const float *bias = weights + space->tensors[NFT_BIAS_OF(l)].offset;
        for (int64_t o = 0; o < layer->out; o++) {
            double sum = (double)bias[o];
            for (int64_t i = 0; i < layer->in; i++)
                sum += (double)weight[o * layer->in + i] * h[l % 2][i];
            h[(l + 1) % 2][o] =
                l + 1 < space->layer_count ? sin((l ? r->omega : r->first_omega) * sum) : sum + r->offset;
        }
    }
    return h[space->layer_count % 2][colour];
}

/* Compares the outputs (places, colours). */
static void check_outputs(const siren_reference *r, const float *weights, int64_t count, const float *places,
                          const float *out)
{
    int64_t colours = r->space->layers[r->space->layer_count - 1].out;
    for (int64_t i = 0; i < count * colours; i++)
        assert_true(fabs((double)out[i] -
                         reference_output(r, weights, places + i / colours * 2, i % colours)) < 1e-5);
}

/* Σ grad_out · output over the places. */
static double reference_sum(const siren_reference *r, const float *weights, int64_t count,
                            const float *places, const float *grad_out)
{
    int64_t colours = r->space->layers[r->space->layer_count - 1].out;
    double sum = 0;
    for (int64_t i = 0; i < count * colours; i++)
        sum += (double)grad_out[i] * reference_output(r, weights, places + i / colours * 2, i % colours);
    return sum;
}

/* The gradient of that sum; the weights are as they were afterwards. */
static void reference_gradient(const siren_reference *r, float *weights, int64_t count, const float *places,
                               const float *grad_out, float step, float *gradient)
{
    for (int64_t i = 0; i < r->space->numbers; i++) {
        float kept = weights[i];
        weights[i] = kept + step;
        double above = reference_sum(r, weights, count, places, grad_out), high = (double)weights[i];
        weights[i] = kept - step;
        double below = reference_sum(r, weights, count, places, grad_out);
        gradient[i] = (float)((above - below) / (high - (double)weights[i]));
        weights[i] = kept;
    }
}

static void fill_random(float *values, int64_t count, uint64_t stream, double bound)
{
    nft_random random = {3, stream};
    for (int64_t i = 0; i < count; i++)
        values[i] = (float)(bound * (2 * (double)nft_random_uniform(&random, (uint64_t)i) - 1));
}

#endif
