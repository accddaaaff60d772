#include "siren/siren.h"

#include "math/blas.h"
#include "math/vector.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

float nft_grid_coordinate(int64_t index, int64_t size)
{
    return size > 1 ? (float)(2 * (double)index / (double)(size - 1) - 1) : -1;
}

void nft_siren_grid(int64_t height, int64_t width, int64_t first, int64_t count, float *coordinates)
{
    for (int64_t i = 0; i < count; i++) {
        coordinates[2 * i] = nft_grid_coordinate((first + i) / width, height);
        coordinates[2 * i + 1] = nft_grid_coordinate((first + i) % width, width);
    }
}

nft_status nft_siren_check_space(const nft_space *space)
{
    if (!space->layer_count)
        return nft_fail(
            NFT_ERROR_MISMATCH,
            "expected SIRENs, chains of linear layers, but the space is given by tensors and axes");
    for (int64_t i = 0; i < space->layer_count; i++) {
        const nft_layer *layer = &space->layers[i];
        char found[96];
        nft_layer_describe(layer, found, sizeof found);
        if (layer->type != NFT_LAYER_LINEAR || layer->positions > 1)
            return nft_fail(NFT_ERROR_CONFIG,
                            "expected SIRENs, networks of linear layers only, but layer %" PRId64 " is %s", i,
                            found);
    }
    if (space->layers[0].in != 2)
        return nft_fail(NFT_ERROR_CONFIG,
                        "expected SIRENs, networks of 2 coordinates (y, x), but layer 0 has %" PRId64
                        " inputs",
                        space->layers[0].in);
    return NFT_OK;
}

double nft_siren_bound(const nft_space *space, int64_t layer, double omega)
{
    double in = (double)space->layers[layer].in;
    return layer == 0 ? 1 / in : sqrt(6 / in) / omega;
}

int64_t nft_siren_flops(const nft_space *space, int64_t rows)
{
    int64_t products = 0;
    for (int64_t i = 0; i < space->layer_count; i++)
        products = nft_size_add(products, nft_size_multiply(space->layers[i].in, space->layers[i].out));
    return nft_size_multiply(nft_size_multiply(2, rows), products);
}

static int64_t widest_hidden(const nft_space *space)
{
    int64_t width = 0;
    for (int64_t i = 0; i + 1 < space->layer_count; i++)
        width = space->layers[i].out > width ? space->layers[i].out : width;
    return width;
}

int64_t nft_siren_scratch(const nft_space *space, int64_t rows)
{
    return nft_size_multiply(2, nft_size_multiply(rows, widest_hidden(space)));
}

/* y (rows, out) = W h + v of layer i. */
static void affine(const nft_space *space, const float *weights, int64_t i, int64_t rows, const float *h,
                   float *y)
{
    const nft_layer *layer = &space->layers[i];
    const float *weight = weights + space->tensors[NFT_WEIGHT_OF(i)].offset;
    const float *bias = weights + space->tensors[NFT_BIAS_OF(i)].offset;
    nft_gemm(NFT_NT, rows, layer->out, layer->in, 1, h, layer->in, weight, layer->in, 0, y, layer->out);
    nft_vector()->add_bias(rows, layer->out, bias, y, layer->out);
}

static void add_offset(int64_t n, float offset, float *out)
{
    for (int64_t i = 0; i < n; i++)
        out[i] += offset;
}

void nft_siren_forward_form(const nft_space *space, const nft_siren_form *form, const float *weights,
                            int64_t rows, const float *coordinates, float *out, float *scratch)
{
    const nft_kernels *vector = nft_vector();
    float *next = scratch, *other = scratch + rows * widest_hidden(space);
    const float *h = coordinates;
    for (int64_t i = 0; i < space->layer_count; i++) {
        int64_t n = rows * space->layers[i].out;
        bool last = i + 1 == space->layer_count;
        float *y = last ? out : next;
        affine(space, weights, i, rows, h, y);
        if (last && form->offset != 0)
            add_offset(n, (float)form->offset, out);
        if (last)
            break;
        vector->copy_scaled(n, (float)nft_siren_omega(form, i), y, y);
        vector->sincos(n, y, y, NULL);
        h = y;
        next = other;
        other = y;
    }
}

/* Where it is in tensor `t`, which has a number for each token. */
static int64_t place(const nft_weights *weights, int64_t index, int64_t channel, int64_t t)
{
    return (index * weights->channels + channel) * weights->space->tensors[t].tokens;
}

void nft_siren_gather(const nft_weights *weights, int64_t index, int64_t channel, float *network)
{
    const nft_space *space = weights->space;
    for (int64_t t = 0; t < space->tensor_count; t++)
        memcpy(network + space->tensors[t].offset, weights->data[t] + place(weights, index, channel, t),
               (size_t)space->tensors[t].tokens * sizeof *network);
}

void nft_siren_scatter(nft_weights *weights, int64_t index, int64_t channel, const float *network)
{
    const nft_space *space = weights->space;
    for (int64_t t = 0; t < space->tensor_count; t++)
        memcpy((float *)weights->data[t] + place(weights, index, channel, t),
               network + space->tensors[t].offset, (size_t)space->tensors[t].tokens * sizeof *network);
}
