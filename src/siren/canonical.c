/* The canonical sign and phase of SIRENs: nft/inr.h says which they are and why. */
#include "siren/canonical.h"

#include "base/pi.h"

#include <math.h>

/* The interval of the phase, in half periods. */
#define LOWEST (-15.0 / 32)
#define HIGHEST (17.0 / 32)
/* A float of more half periods than this does not hold the place in the last one. */
#define MOST_HALF_PERIODS 0x1p22
/* Sums of the same numbers in different orders differ by less, relative to the sum of magnitudes. */
#define SUM_PRECISION 1e-12

/* One hidden layer of one network. */
typedef struct hidden_layer {
    int64_t in, out, next_out;
    float *weight; /* (out, in) */
    float *bias;   /* (out) */
    float *next;   /* (next_out, out) */
    bool first;
} hidden_layer;

static void negate(float *values, int64_t count, int64_t stride)
{
    for (int64_t i = 0; i < count; i++)
        values[i * stride] = -values[i * stride];
}

static void negate_column(const hidden_layer *layer, int64_t neuron)
{
    negate(layer->next + neuron, layer->next_out, layer->out);
}

static void negate_neuron(const hidden_layer *layer, int64_t neuron)
{
    negate(layer->weight + neuron * layer->in, layer->in, 1);
    negate(layer->bias + neuron, 1, 1);
    negate_column(layer, neuron);
}

/* The sign of a sum, 0 if it is no more than its rounding. */
static int sign_of_sum(double sum, double magnitudes)
{
    return (sum > SUM_PRECISION * magnitudes) - (sum < -SUM_PRECISION * magnitudes);
}

/* The sign of a neuron's weights, 0 if they have none. */
static int sign_of_weights(const hidden_layer *layer, int64_t neuron)
{
    const float *weight = layer->weight + neuron * layer->in;
    double sum = 0, magnitudes = 0, cubes = 0, cube_magnitudes = 0;
    for (int64_t i = 0; i < layer->in; i++) {
        double w = (double)weight[i], cube = w * w * w;
        sum += w;
        magnitudes += fabs(w);
        cubes += cube;
        cube_magnitudes += fabs(cube);
    }
    int sign = sign_of_sum(sum, magnitudes);
    if (!sign)
        sign = sign_of_sum(cubes, cube_magnitudes);
    for (int64_t i = 0; i < layer->in && layer->first && !sign; i++)
        sign = (weight[i] > 0) - (weight[i] < 0);
    return sign;
}

/* The bias moved by whole half periods into the interval; whether their number is odd. */
static bool fold_phase(float *bias, double half_period)
{
    float lowest = (float)(LOWEST * half_period), highest = (float)(HIGHEST * half_period);
    double turns = (double)*bias / half_period;
    if ((*bias > lowest && *bias <= highest) || !(fabs(turns) <= MOST_HALF_PERIODS))
        return false;
    double k = ceil(turns - HIGHEST);
    float folded = (float)((double)*bias - k * half_period);
    if (folded <= lowest) { /* it was rounded onto the border */
        folded = highest;
        k -= 1;
    }
    *bias = folded > highest ? highest : folded;
    return fmod(k, 2) != 0;
}

/* A neuron whose weights have no sign has its phase in [0, π/2]: (w, b, c), (-w, -b, -c) and so
 * (-w, π/ω - b, c) are the same. */
static void fold_unsigned(const hidden_layer *layer, int64_t neuron, double half_period)
{
    float *bias = &layer->bias[neuron];
    if (*bias < 0)
        negate_neuron(layer, neuron);
    if (*bias > (float)(half_period / 2) && *bias <= (float)(HIGHEST * half_period)) {
        negate(layer->weight + neuron * layer->in, layer->in, 1);
        *bias = (float)(half_period - (double)*bias);
    }
}

static void canonicalize_layer(const hidden_layer *layer, double half_period)
{
    for (int64_t neuron = 0; neuron < layer->out; neuron++) {
        int sign = sign_of_weights(layer, neuron);
        if (sign < 0)
            negate_neuron(layer, neuron);
        if (fold_phase(&layer->bias[neuron], half_period))
            negate_column(layer, neuron);
        if (!sign)
            fold_unsigned(layer, neuron, half_period);
    }
}

void nft_siren_canonicalize(const nft_space *space, const nft_siren_form *form, float *const *tensors,
                            int64_t first, int64_t count)
{
    const nft_layer *layers = space->layers;
    for (int64_t i = 0; i + 1 < space->layer_count; i++) {
        int64_t in = layers[i].in, out = layers[i].out, next_out = layers[i + 1].out;
        hidden_layer layer = {in,
                              out,
                              next_out,
                              tensors[NFT_WEIGHT_OF(i)] + first * in * out,
                              tensors[NFT_BIAS_OF(i)] + first * out,
                              tensors[NFT_WEIGHT_OF(i + 1)] + first * out * next_out,
                              i == 0};
        for (int64_t n = 0; n < count; n++) {
            canonicalize_layer(&layer, NFT_PI / nft_siren_omega(form, i));
            layer.weight += in * out;
            layer.bias += out;
            layer.next += out * next_out;
        }
    }
}
