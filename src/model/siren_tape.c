#include "model/siren_tape.h"

#include "math/siren_kernels.h"
#include "math/vector.h"

#include <string.h>

/* Hidden layers keep ω W and ω v, so that h = sin(ω W x + ω v) and the gradients with respect to the angles
 * need no factor; the gradients of W and v get theirs at the end. Rows are padded with zeros to whole
 * vectors. A hidden layer's gradient is kept transposed, as its forward product has the weights; the last
 * layer has few outputs, and its gradient has the weights' own order. */
typedef struct tape_layer {
    int64_t in, out;
    int64_t in_stride, out_stride; /* padded */
    float scale;                   /* ω, 1 for the last */
    float *weight;                 /* (out, in_stride) */
    float *transposed;             /* hidden: (in, out_stride) */
    float *bias;                   /* (out_stride) */
    float *gradient;               /* hidden: (in, out_stride), last: (out, in_stride) */
    float *bias_gradient;          /* (out_stride) */
    float *sine, *cosine;          /* hidden: (chunk, out_stride), of the angles */
    float *angle_gradient;         /* hidden: (chunk, out_stride) */
} tape_layer;

struct nft_siren_tape {
    int64_t layer_count;
    const nft_space *space;
    tape_layer *layers;
    float *input; /* (chunk, n_0 padded) */
    float *memory;
    float *gradients; /* all layers' gradients in one piece */
    int64_t gradient_floats;
};

static int64_t padded(int64_t columns)
{
    int64_t width = nft_vector()->width;
    return nft_size_multiply(nft_size_add(columns, width - 1) / width, width);
}

/* Hands out pieces of memory, or with `memory` NULL counts them. */
typedef struct pieces {
    float *memory;
    int64_t used;
} pieces;

static float *take(pieces *from, int64_t rows, int64_t columns)
{
    float *piece = from->memory ? from->memory + from->used : NULL;
    from->used = nft_size_add(from->used, padded(nft_size_multiply(rows, columns)));
    return piece;
}

static void place_layer(tape_layer *layer, bool last, pieces *from)
{
    layer->weight = take(from, layer->out, layer->in_stride);
    layer->bias = take(from, 1, layer->out_stride);
    if (last)
        return;
    layer->transposed = take(from, layer->in, layer->out_stride);
    layer->sine = take(from, NFT_SIREN_CHUNK, layer->out_stride);
    layer->cosine = take(from, NFT_SIREN_CHUNK, layer->out_stride);
    layer->angle_gradient = take(from, NFT_SIREN_CHUNK, layer->out_stride);
}

static void place_all(nft_siren_tape *tape, pieces *from)
{
    int64_t last = tape->layer_count - 1;
    tape->input = take(from, NFT_SIREN_CHUNK, tape->layers[0].in_stride);
    for (int64_t i = 0; i <= last; i++)
        place_layer(&tape->layers[i], i == last, from);
    int64_t before = from->used;
    tape->gradients = from->memory ? from->memory + before : NULL;
    for (int64_t i = 0; i <= last; i++) {
        tape_layer *layer = &tape->layers[i];
        layer->gradient =
            i == last ? take(from, layer->out, layer->in_stride) : take(from, layer->in, layer->out_stride);
        layer->bias_gradient = take(from, 1, layer->out_stride);
    }
    tape->gradient_floats = from->used - before;
}

nft_status nft_siren_tape_create(nft_siren_tape **out, const nft_space *space, float omega)
{
    *out = NULL;
    nft_siren_tape *tape = nft_allocate(sizeof *tape);
    if (!tape)
        return nft_fail_memory("a SIREN's workspace", sizeof *tape);
    tape->space = space;
    tape->layer_count = space->layer_count;
    tape->layers = nft_allocate_array((size_t)space->layer_count, sizeof *tape->layers);
    if (!tape->layers) {
        nft_siren_tape_free(tape);
        return nft_fail_memory("a SIREN's workspace", space->layer_count * (int64_t)sizeof *tape->layers);
    }
    for (int64_t i = 0; i < space->layer_count; i++) {
        int64_t in = space->layers[i].in, columns = space->layers[i].out;
        tape->layers[i] = (tape_layer){.in = in,
                                       .out = columns,
                                       .in_stride = padded(in),
                                       .out_stride = padded(columns),
                                       .scale = i + 1 == space->layer_count ? 1 : omega};
    }
    pieces from = {0};
    place_all(tape, &from);
    int64_t bytes = nft_size_multiply(from.used, sizeof(float));
    nft_status status = nft_check_limit("a SIREN's workspace", bytes, 0);
    if (!status && !(tape->memory = nft_allocate((size_t)bytes)))
        status = nft_fail_memory("a SIREN's workspace", bytes);
    if (status) {
        nft_siren_tape_free(tape);
        return status;
    }
    from = (pieces){.memory = tape->memory};
    place_all(tape, &from);
    *out = tape;
    return NFT_OK;
}

void nft_siren_tape_free(nft_siren_tape *tape)
{
    if (!tape)
        return;
    nft_release(tape->memory);
    nft_release(tape->layers);
    nft_release(tape);
}

static void load_layer(const tape_layer *layer, const float *weight, const float *bias)
{
    for (int64_t o = 0; o < layer->out; o++) {
        layer->bias[o] = layer->scale * bias[o];
        for (int64_t i = 0; i < layer->in; i++)
            layer->weight[o * layer->in_stride + i] = layer->scale * weight[o * layer->in + i];
    }
    if (!layer->transposed)
        return;
    for (int64_t i = 0; i < layer->in; i++)
        for (int64_t o = 0; o < layer->out; o++)
            layer->transposed[i * layer->out_stride + o] = layer->weight[o * layer->in_stride + i];
}

void nft_siren_tape_load(nft_siren_tape *tape, const float *weights)
{
    const nft_tensor *tensors = tape->space->tensors;
    for (int64_t i = 0; i < tape->layer_count; i++)
        load_layer(&tape->layers[i], weights + tensors[NFT_WEIGHT_OF(i)].offset,
                   weights + tensors[NFT_BIAS_OF(i)].offset);
    memset(tape->gradients, 0, (size_t)tape->gradient_floats * sizeof *tape->gradients);
}

static const float *input_of(const nft_siren_tape *tape, int64_t layer)
{
    return layer ? tape->layers[layer - 1].sine : tape->input;
}

void nft_siren_tape_forward(nft_siren_tape *tape, int64_t rows, const float *coordinates, float *out)
{
    const nft_siren_kernels *kernels = nft_siren_vector();
    const tape_layer *first = tape->layers, *last = &tape->layers[tape->layer_count - 1];
    for (int64_t r = 0; r < rows; r++)
        for (int64_t k = 0; k < first->in; k++)
            tape->input[r * first->in_stride + k] = coordinates[r * first->in + k];
    for (const tape_layer *layer = first; layer < last; layer++) {
        kernels->forward(&(nft_product){.rows = rows,
                                        .columns = layer->out_stride,
                                        .inner = layer->in,
                                        .a = input_of(tape, layer - first),
                                        .a_stride = layer->in_stride,
                                        .b = layer->transposed,
                                        .b_stride = layer->out_stride,
                                        .y = layer->sine,
                                        .y_stride = layer->out_stride},
                         layer->bias);
        nft_vector()->sincos(rows * layer->out_stride, layer->sine, layer->sine, layer->cosine);
    }
    kernels->outputs(&(nft_product){.rows = rows,
                                    .columns = last->in_stride,
                                    .a = input_of(tape, tape->layer_count - 1),
                                    .a_stride = last->in_stride,
                                    .b = last->weight,
                                    .b_stride = last->in_stride,
                                    .y = out,
                                    .y_stride = last->out},
                     last->out, last->bias);
}

/* The gradients of layer i's weights, transposed for a hidden layer, from its outputs' or angles' (rows,
 * out). */
static void add_gradients(const nft_siren_tape *tape, int64_t i, int64_t rows, const float *grad,
                          int64_t stride)
{
    const tape_layer *layer = &tape->layers[i];
    bool last = i + 1 == tape->layer_count;
    const float *input = input_of(tape, i);
    nft_siren_vector()->gradient(&(nft_product){.rows = last ? layer->out : layer->in,
                                                .columns = last ? layer->in_stride : layer->out_stride,
                                                .inner = rows,
                                                .a = last ? grad : input,
                                                .a_stride = last ? stride : layer->in_stride,
                                                .b = last ? input : grad,
                                                .b_stride = last ? layer->in_stride : stride,
                                                .y = layer->gradient,
                                                .y_stride = last ? layer->in_stride : layer->out_stride});
    nft_vector()->sum_rows(rows, layer->out, grad, stride, layer->bias_gradient);
}

void nft_siren_tape_backward(nft_siren_tape *tape, int64_t rows, const float *grad_out)
{
    int64_t stride = tape->layers[tape->layer_count - 1].out;
    const float *grad = grad_out;
    for (int64_t i = tape->layer_count - 1; i >= 0; i--) {
        const tape_layer *layer = &tape->layers[i];
        add_gradients(tape, i, rows, grad, stride);
        if (i == 0)
            break;
        const tape_layer *before = layer - 1;
        nft_siren_vector()->backward(&(nft_product){.rows = rows,
                                                    .columns = layer->in_stride,
                                                    .inner = layer->out,
                                                    .a = grad,
                                                    .a_stride = stride,
                                                    .b = layer->weight,
                                                    .b_stride = layer->in_stride,
                                                    .y = before->angle_gradient,
                                                    .y_stride = before->out_stride},
                                     before->cosine);
        grad = before->angle_gradient;
        stride = before->out_stride;
    }
}

void nft_siren_tape_gradient(const nft_siren_tape *tape, float *gradient)
{
    for (int64_t n = 0; n < tape->layer_count; n++) {
        const tape_layer *layer = &tape->layers[n];
        float *weight = gradient + tape->space->tensors[NFT_WEIGHT_OF(n)].offset;
        float *bias = gradient + tape->space->tensors[NFT_BIAS_OF(n)].offset;
        bool last = n + 1 == tape->layer_count;
        int64_t o_step = last ? layer->in_stride : 1, i_step = last ? 1 : layer->out_stride;
        for (int64_t o = 0; o < layer->out; o++) {
            bias[o] = layer->scale * layer->bias_gradient[o];
            for (int64_t i = 0; i < layer->in; i++)
                weight[o * layer->in + i] = layer->scale * layer->gradient[o * o_step + i * i_step];
        }
    }
}
