#include "siren/siren_tape.h"

#include "base/pi.h"
#include "math/siren_kernels.h"
#include "math/vector.h"
#include "siren/siren.h"

#include <string.h>

/* Angles are counted in turns: h = sin(2π (ω/2π) (W x + v)), and the factors are multiplied into copies of
 * the weights. Gradients are those with respect to angles in radians, so backward has a copy of ω W, and the
 * gradients of W and v get their factor ω at the end. Rows are padded with zeros to whole vectors. A hidden
 * layer's gradient is kept transposed, as its forward product has the weights; the last layer has few
 * outputs, and its gradient has the weights' own order. */
typedef struct tape_layer {
    int64_t in, out;
    int64_t in_stride, out_stride; /* padded */
    float scale;                   /* ω, 1 for the last */
    float *weight;                 /* times ω: (out, in_stride) */
    float *transposed;             /* hidden, times ω/2π: (in, out_stride) */
    float *bias;                   /* times ω/2π if hidden: (out_stride) */
    float *gradient;               /* hidden: (in, out_stride), last: (out, in_stride) */
    float *bias_gradient;          /* (out_stride) */
    float *sine, *cosine;          /* hidden: (chunk, out_stride), of the angles; the way back leaves the
                                      angles' gradients where the cosines were */
} tape_layer;

struct nft_siren_tape {
    const nft_siren_kernels *kernels;
    int64_t layer_count;
    const nft_space *space;
    float offset; /* added to the output */
    tape_layer *layers;
    float *input;          /* (chunk, n_0 padded) */
    int64_t height, width; /* of the image, if set */
    float *image_memory;   /* the four below, each (size, out_stride of layer 0), and the coordinates */
    float *row_sine, *row_cosine;       /* of the angles' parts that depend on y, with the bias */
    float *column_sine, *column_cosine; /* of those that depend on x */
    float *y, *x;                       /* (height), (width) */
    float *gradients;                   /* all layers' gradients in one piece */
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
}

static void place_gradient(tape_layer *layer, bool last, pieces *from)
{
    layer->gradient =
        last ? take(from, layer->out, layer->in_stride) : take(from, layer->in, layer->out_stride);
    layer->bias_gradient = take(from, 1, layer->out_stride);
}

static tape_layer shape_of(const nft_space *space, int64_t i, float omega)
{
    const nft_layer *layer = &space->layers[i];
    return (tape_layer){.in = layer->in,
                        .out = layer->out,
                        .in_stride = padded(layer->in),
                        .out_stride = padded(layer->out),
                        .scale = i + 1 == space->layer_count ? 1 : omega};
}

/* With `tape` NULL it only counts. */
static void place_all(nft_siren_tape *tape, const nft_space *space, float omega, pieces *from)
{
    int64_t last = space->layer_count - 1;
    tape_layer counted = {0};
    float *input = take(from, NFT_SIREN_CHUNK, padded(space->layers[0].in));
    for (int64_t i = 0; i <= last; i++) {
        tape_layer *layer = tape ? &tape->layers[i] : &counted;
        *layer = shape_of(space, i, omega);
        place_layer(layer, i == last, from);
    }
    int64_t before = from->used;
    for (int64_t i = 0; i <= last; i++) {
        counted = shape_of(space, i, omega);
        place_gradient(tape ? &tape->layers[i] : &counted, i == last, from);
    }
    if (!tape)
        return;
    tape->input = input;
    tape->gradients = from->memory + before;
    tape->gradient_floats = from->used - before;
}

/* The tape and its layers stand before the floats. */
static int64_t bytes_before_floats(const nft_space *space)
{
    int64_t bytes =
        nft_size_add(sizeof(nft_siren_tape), nft_size_multiply(space->layer_count, sizeof(tape_layer)));
    return nft_size_multiply(nft_size_add(bytes, NFT_ALIGNMENT - 1) / NFT_ALIGNMENT, NFT_ALIGNMENT);
}

int64_t nft_siren_tape_bytes(const nft_space *space)
{
    pieces from = {0};
    place_all(NULL, space, 1, &from);
    return nft_size_add(bytes_before_floats(space), nft_size_multiply(from.used, sizeof(float)));
}

nft_siren_tape *nft_siren_tape_place(void *memory, const nft_space *space, float omega)
{
    nft_siren_tape *tape = memory;
    pieces from = {.memory = (float *)(void *)((char *)memory + bytes_before_floats(space))};
    memset(memory, 0, (size_t)nft_siren_tape_bytes(space));
    tape->kernels = nft_siren_vector();
    tape->space = space;
    tape->layer_count = space->layer_count;
    tape->layers = (tape_layer *)(tape + 1);
    place_all(tape, space, omega, &from);
    return tape;
}

nft_status nft_siren_tape_create(nft_siren_tape **tape, const nft_space *space, float omega)
{
    int64_t bytes = nft_siren_tape_bytes(space);
    *tape = NULL;
    nft_status status = nft_check_limit("a SIREN's workspace", bytes, 0);
    if (status)
        return status;
    void *memory = nft_allocate((size_t)bytes);
    if (!memory)
        return nft_fail_memory("a SIREN's workspace", bytes);
    *tape = nft_siren_tape_place(memory, space, omega);
    return NFT_OK;
}

int64_t nft_siren_tape_image_bytes(const nft_space *space, int64_t height, int64_t width)
{
    int64_t of_a_line = nft_size_add(nft_size_multiply(2, padded(space->layers[0].out)), 1);
    return nft_size_multiply(nft_size_multiply(nft_size_add(height, width), of_a_line), sizeof(float));
}

nft_status nft_siren_tape_set_image(nft_siren_tape *tape, int64_t height, int64_t width)
{
    int64_t stride = tape->layers[0].out_stride,
            bytes = nft_siren_tape_image_bytes(tape->space, height, width);
    nft_status status = nft_check_limit("a SIREN's image", bytes, 0);
    if (status)
        return status;
    tape->image_memory = nft_allocate((size_t)bytes);
    if (!tape->image_memory)
        return nft_fail_memory("a SIREN's image", bytes);
    tape->height = height;
    tape->width = width;
    tape->row_sine = tape->image_memory;
    tape->row_cosine = tape->row_sine + height * stride;
    tape->column_sine = tape->row_cosine + height * stride;
    tape->column_cosine = tape->column_sine + width * stride;
    tape->y = tape->column_cosine + width * stride;
    tape->x = tape->y + height;
    for (int64_t i = 0; i < height; i++)
        tape->y[i] = nft_grid_coordinate(i, height);
    for (int64_t i = 0; i < width; i++)
        tape->x[i] = nft_grid_coordinate(i, width);
    return NFT_OK;
}

void nft_siren_tape_set_form(nft_siren_tape *tape, const nft_siren_form *form)
{
    for (int64_t i = 0; i + 1 < tape->layer_count; i++)
        tape->layers[i].scale = (float)nft_siren_omega(form, i);
    tape->offset = (float)form->offset;
}

void nft_siren_tape_free(nft_siren_tape *tape)
{
    if (!tape)
        return;
    nft_release(tape->image_memory);
    nft_release(tape);
}

static void load_layer(const tape_layer *layer, const float *weight, const float *bias)
{
    float turns = layer->transposed ? layer->scale / (float)(2 * NFT_PI) : 1;
    for (int64_t o = 0; o < layer->out; o++) {
        layer->bias[o] = turns * bias[o];
        for (int64_t i = 0; i < layer->in; i++)
            layer->weight[o * layer->in_stride + i] = layer->scale * weight[o * layer->in + i];
    }
    if (!layer->transposed)
        return;
    for (int64_t i = 0; i < layer->in; i++)
        for (int64_t o = 0; o < layer->out; o++)
            layer->transposed[i * layer->out_stride + o] = turns * weight[o * layer->in + i];
}

/* sine, cosine (size, columns) of place · weight + bias; bias may be NULL. */
static void load_waves(const tape_layer *layer, const float *weight, const float *bias, int64_t size,
                       const float *places, float *sine, float *cosine)
{
    for (int64_t i = 0; i < size; i++)
        for (int64_t o = 0; o < layer->out_stride; o++)
            sine[i * layer->out_stride + o] = places[i] * weight[o] + (bias ? bias[o] : 0);
    nft_vector()->sincos_turns(size * layer->out_stride, sine, sine, cosine);
}

void nft_siren_tape_load(nft_siren_tape *tape, const float *weights)
{
    const nft_tensor *tensors = tape->space->tensors;
    for (int64_t i = 0; i < tape->layer_count; i++)
        load_layer(&tape->layers[i], weights + tensors[NFT_WEIGHT_OF(i)].offset,
                   weights + tensors[NFT_BIAS_OF(i)].offset);
    const tape_layer *last = &tape->layers[tape->layer_count - 1];
    for (int64_t o = 0; o < last->out; o++)
        last->bias[o] += tape->offset;
    memset(tape->gradients, 0, (size_t)tape->gradient_floats * sizeof *tape->gradients);
    const tape_layer *first = tape->layers;
    if (!tape->image_memory || !first->transposed)
        return;
    load_waves(first, first->transposed, first->bias, tape->height, tape->y, tape->row_sine,
               tape->row_cosine);
    load_waves(first, first->transposed + first->out_stride, NULL, tape->width, tape->x, tape->column_sine,
               tape->column_cosine);
}

static const float *input_of(const nft_siren_tape *tape, int64_t layer)
{
    return layer ? tape->layers[layer - 1].sine : tape->input;
}

static void forward_layer(const nft_siren_tape *tape, int64_t i, int64_t rows)
{
    const tape_layer *layer = &tape->layers[i];
    tape->kernels->forward(&(nft_product){.rows = rows,
                                          .columns = layer->out_stride,
                                          .inner = layer->in,
                                          .a = input_of(tape, i),
                                          .a_stride = layer->in_stride,
                                          .b = layer->transposed,
                                          .b_stride = layer->out_stride,
                                          .y = layer->sine,
                                          .y_stride = layer->out_stride},
                           layer->bias, layer->cosine);
}

static void forward_hidden(const nft_siren_tape *tape, int64_t first, int64_t rows)
{
    for (int64_t i = first; i + 1 < tape->layer_count; i++)
        forward_layer(tape, i, rows);
}

static void forward_last(const nft_siren_tape *tape, int64_t rows, float *out)
{
    int64_t last = tape->layer_count - 1;
    const tape_layer *layer = &tape->layers[last];
    tape->kernels->outputs(&(nft_product){.rows = rows,
                                          .columns = layer->in_stride,
                                          .a = input_of(tape, last),
                                          .a_stride = layer->in_stride,
                                          .b = layer->weight,
                                          .b_stride = layer->in_stride,
                                          .y = out,
                                          .y_stride = layer->out},
                           layer->out, layer->bias);
}

void nft_siren_tape_forward(nft_siren_tape *tape, int64_t rows, const float *coordinates, float *out)
{
    const tape_layer *first = tape->layers;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t k = 0; k < first->in; k++)
            tape->input[r * first->in_stride + k] = coordinates[r * first->in + k];
    forward_hidden(tape, 0, rows);
    forward_last(tape, rows, out);
}

static void forward_hidden_pixels(const nft_siren_tape *tape, int64_t first, int64_t rows)
{
    const tape_layer *layer = tape->layers;
    int64_t stride = layer->out_stride;
    for (int64_t r = 0; r < rows;) {
        int64_t y = (first + r) / tape->width, x = (first + r) % tape->width;
        int64_t count = tape->width - x < rows - r ? tape->width - x : rows - r;
        for (int64_t i = 0; i < count; i++) {
            tape->input[(r + i) * layer->in_stride] = tape->y[y];
            tape->input[(r + i) * layer->in_stride + 1] = tape->x[x + i];
        }
        if (layer->transposed)
            tape->kernels->waves(count, stride, tape->row_sine + y * stride, tape->row_cosine + y * stride,
                                 tape->column_sine + x * stride, tape->column_cosine + x * stride,
                                 layer->sine + r * stride, layer->cosine + r * stride);
        r += count;
    }
    forward_hidden(tape, layer->transposed ? 1 : 0, rows);
}

void nft_siren_tape_forward_pixels(nft_siren_tape *tape, int64_t first, int64_t rows, float *out)
{
    forward_hidden_pixels(tape, first, rows);
    forward_last(tape, rows, out);
}

/* The gradients of layer i's weights and biases, transposed for a hidden layer, from its outputs' or angles'
 * (rows, out). */
static void add_gradients(const nft_siren_tape *tape, int64_t i, int64_t rows, const float *grad,
                          int64_t stride)
{
    const tape_layer *layer = &tape->layers[i];
    bool last = i + 1 == tape->layer_count;
    const float *input = input_of(tape, i);
    tape->kernels->gradient(&(nft_product){.rows = last ? layer->out : layer->in,
                                           .columns = last ? layer->in_stride : layer->out_stride,
                                           .inner = rows,
                                           .a = last ? grad : input,
                                           .a_stride = last ? stride : layer->in_stride,
                                           .b = last ? input : grad,
                                           .b_stride = last ? layer->in_stride : stride,
                                           .y = layer->gradient,
                                           .y_stride = last ? layer->in_stride : layer->out_stride},
                            last ? NULL : layer->bias_gradient);
    if (last && layer->out == 1)
        layer->bias_gradient[0] += nft_vector()->sum(rows, grad);
    else if (last)
        nft_vector()->sum_rows(rows, layer->out, grad, stride, layer->bias_gradient);
}

/* From layer `last` on, with the gradient of its outputs or angles. */
static void backward_from(const nft_siren_tape *tape, int64_t last, int64_t rows, const float *grad,
                          int64_t stride)
{
    for (int64_t i = last; i >= 0; i--) {
        const tape_layer *layer = &tape->layers[i], *before = layer - 1;
        add_gradients(tape, i, rows, grad, stride);
        if (i == 0)
            break;
        nft_product product = {.rows = rows,
                               .columns = layer->in_stride,
                               .inner = layer->out,
                               .a = grad,
                               .a_stride = stride,
                               .b = layer->weight,
                               .b_stride = layer->in_stride,
                               .y = i == 1 ? before->gradient : before->cosine,
                               .y_stride = before->out_stride};
        if (i == 1) {
            tape->kernels->backward_first(&product, before->cosine, tape->input, before->in_stride,
                                          before->bias_gradient);
            break;
        }
        tape->kernels->backward(&product, before->cosine);
        grad = before->cosine;
        stride = before->out_stride;
    }
}

void nft_siren_tape_backward(nft_siren_tape *tape, int64_t rows, const float *grad_out)
{
    int64_t last = tape->layer_count - 1;
    backward_from(tape, last, rows, grad_out, tape->layers[last].out);
}

bool nft_siren_tape_can_follow(const nft_siren_tape *tape)
{
    return tape->layer_count > 1 && tape->layers[tape->layer_count - 1].out == 1;
}

void nft_siren_tape_follow_pixels(nft_siren_tape *tape, int64_t first, int64_t rows, const float *target,
                                  float factor)
{
    const tape_layer *layer = &tape->layers[tape->layer_count - 1], *before = layer - 1;
    forward_hidden_pixels(tape, first, rows);
    tape->kernels->last(&(nft_last_layer){.rows = rows,
                                          .columns = layer->in_stride,
                                          .sine = before->sine,
                                          .cosine = before->cosine,
                                          .weight = layer->weight,
                                          .bias = layer->bias[0],
                                          .factor = factor,
                                          .target = target,
                                          .weight_gradient = layer->gradient,
                                          .bias_gradient = layer->bias_gradient,
                                          .angle_gradient = before->cosine});
    backward_from(tape, tape->layer_count - 2, rows, before->cosine, before->out_stride);
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
