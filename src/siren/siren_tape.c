#include "siren/siren_tape.h"

#include "base/pi.h"
#include "math/vector.h"
#include "siren/siren.h"
#include "siren/tape_layers.h"

#include <string.h>

int64_t nft_siren_tape_bytes(const nft_space *space)
{
    return nft_tape_bytes(space, NULL);
}

nft_siren_tape *nft_siren_tape_place(void *memory, const nft_space *space, float omega)
{
    return nft_tape_place(memory, space, omega, NULL);
}

nft_status nft_siren_tape_create(nft_siren_tape **tape, const nft_space *space, float omega,
                                 int32_t precision)
{
    const nft_siren_bf16 *bf16 = nft_tape_kernels_bf16(space, precision);
    int64_t bytes = nft_tape_bytes(space, bf16);
    *tape = NULL;
    nft_status status = nft_check_limit("a SIREN's workspace", bytes, 0);
    if (status)
        return status;
    void *memory = nft_allocate((size_t)bytes);
    if (!memory)
        return nft_fail_memory("a SIREN's workspace", bytes);
    *tape = nft_tape_place(memory, space, omega, bf16);
    return NFT_OK;
}

static int64_t image_bytes(int64_t stride, int64_t height, int64_t width)
{
    int64_t of_a_line = nft_size_add(nft_size_multiply(2, stride), 1);
    return nft_size_multiply(nft_size_multiply(nft_size_add(height, width), of_a_line), sizeof(float));
}

int64_t nft_siren_tape_image_bytes(const nft_space *space, int64_t height, int64_t width)
{
    int64_t stride = nft_tape_padded(space->layers[0].out, NULL);
    return image_bytes(stride, height, width);
}

nft_status nft_siren_tape_set_image(nft_siren_tape *tape, int64_t height, int64_t width)
{
    int64_t stride = tape->layers[0].out_stride, bytes = image_bytes(stride, height, width);
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

void nft_siren_tape_set_precision(nft_siren_tape *tape, int32_t precision)
{
    tape->bf16 = precision == NFT_PRECISION_BF16 ? tape->placed_for : NULL;
}

static void load_layer(const nft_tape_layer *layer, const float *weight, const float *bias)
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

static bool is_inner(const nft_siren_tape *tape, int64_t i)
{
    return i > 0 && i + 1 < tape->layer_count;
}

static void pack_weights(const nft_siren_tape *tape, const nft_tape_layer *layer)
{
    tape->bf16->pack(layer->in, layer->out_stride, layer->transposed, layer->out_stride,
                     &layer->transposed_pairs);
    tape->bf16->pack(layer->out, layer->in_stride, layer->weight, layer->in_stride, &layer->weight_pairs);
}

/* sine, cosine (size, columns) of place · weight + bias; bias may be NULL. */
static void load_waves(const nft_tape_layer *layer, const float *weight, const float *bias, int64_t size,
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
    const nft_tape_layer *last = &tape->layers[tape->layer_count - 1];
    for (int64_t o = 0; o < last->out; o++)
        last->bias[o] += tape->offset;
    for (int64_t i = 0; tape->bf16 && i < tape->layer_count; i++)
        if (is_inner(tape, i))
            pack_weights(tape, &tape->layers[i]);
    memset(tape->gradients, 0, (size_t)tape->gradient_floats * sizeof *tape->gradients);
    const nft_tape_layer *first = tape->layers;
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

static void forward_inner(const nft_siren_tape *tape, int64_t i, int64_t rows)
{
    const nft_tape_layer *layer = &tape->layers[i], *before = layer - 1;
    bool more = is_inner(tape, i + 1);
    tape->bf16->forward(&(nft_pair_product){.rows = rows,
                                            .columns = layer->out_stride,
                                            .inner = (layer->in + 1) / 2,
                                            .a = before->sine_pairs.across,
                                            .a_row = before->out_stride / 2,
                                            .a_step = 1,
                                            .b = layer->transposed_pairs.down,
                                            .b_stride = layer->out_stride},
                        layer->bias, more ? NULL : layer->sine, more ? &layer->sine_pairs : NULL,
                        layer->cosine);
}

static void forward_layer(const nft_siren_tape *tape, int64_t i, int64_t rows)
{
    const nft_tape_layer *layer = &tape->layers[i];
    if (tape->bf16 && is_inner(tape, i)) {
        forward_inner(tape, i, rows);
        return;
    }
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
    if (tape->bf16 && i == 0)
        tape->bf16->pack(rows, layer->out_stride, layer->sine, layer->out_stride, &layer->sine_pairs);
}

static void forward_hidden(const nft_siren_tape *tape, int64_t first, int64_t rows)
{
    for (int64_t i = first; i + 1 < tape->layer_count; i++)
        forward_layer(tape, i, rows);
}

static void forward_last(const nft_siren_tape *tape, int64_t rows, float *out)
{
    int64_t last = tape->layer_count - 1;
    const nft_tape_layer *layer = &tape->layers[last];
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
    const nft_tape_layer *first = tape->layers;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t k = 0; k < first->in; k++)
            tape->input[r * first->in_stride + k] = coordinates[r * first->in + k];
    forward_hidden(tape, 0, rows);
    forward_last(tape, rows, out);
}

static void waves_in_pairs(const nft_siren_tape *tape, int64_t first, int64_t rows)
{
    const nft_tape_layer *layer = tape->layers;
    tape->bf16->waves(&(nft_pixel_waves){.first = first,
                                         .rows = rows,
                                         .width = tape->width,
                                         .columns = layer->out_stride,
                                         .row_sine = tape->row_sine,
                                         .row_cosine = tape->row_cosine,
                                         .column_sine = tape->column_sine,
                                         .column_cosine = tape->column_cosine,
                                         .cosine = layer->cosine,
                                         .sine = layer->sine_pairs});
}

static void forward_hidden_pixels(const nft_siren_tape *tape, int64_t first, int64_t rows)
{
    const nft_tape_layer *layer = tape->layers;
    int64_t stride = layer->out_stride;
    for (int64_t r = 0; r < rows;) {
        int64_t y = (first + r) / tape->width, x = (first + r) % tape->width;
        int64_t count = tape->width - x < rows - r ? tape->width - x : rows - r;
        for (int64_t i = 0; i < count; i++) {
            tape->input[(r + i) * layer->in_stride] = tape->y[y];
            tape->input[(r + i) * layer->in_stride + 1] = tape->x[x + i];
        }
        if (layer->transposed && !tape->bf16)
            tape->kernels->waves(count, stride, tape->row_sine + y * stride, tape->row_cosine + y * stride,
                                 tape->column_sine + x * stride, tape->column_cosine + x * stride,
                                 layer->sine + r * stride, layer->cosine + r * stride);
        r += count;
    }
    if (tape->bf16)
        waves_in_pairs(tape, first, rows);
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
    const nft_tape_layer *layer = &tape->layers[i];
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

/* From inner layer `last` on, with the gradient of its angles in pairs. */
static void backward_from_pairs(const nft_siren_tape *tape, int64_t last, int64_t rows)
{
    for (int64_t i = last; i > 0; i--) {
        const nft_tape_layer *layer = &tape->layers[i], *before = layer - 1;
        tape->bf16->gradient(&(nft_pair_product){.rows = layer->in,
                                                 .columns = layer->out_stride,
                                                 .inner = (rows + 1) / 2,
                                                 .a = before->sine_pairs.down,
                                                 .a_row = 1,
                                                 .a_step = layer->in_stride,
                                                 .b = layer->angle_gradient.down,
                                                 .b_stride = layer->out_stride},
                             layer->gradient, layer->bias_gradient);
        const nft_pair_product product = {.rows = rows,
                                          .columns = layer->in_stride,
                                          .inner = (layer->out + 1) / 2,
                                          .a = layer->angle_gradient.across,
                                          .a_row = layer->out_stride / 2,
                                          .a_step = 1,
                                          .b = layer->weight_pairs.down,
                                          .b_stride = layer->in_stride};
        if (i == 1)
            tape->bf16->backward_first(&product, before->cosine, tape->input, before->in_stride,
                                       before->gradient, before->bias_gradient);
        else
            tape->bf16->backward(&product, before->cosine, &before->angle_gradient);
    }
}

/* From layer `last` on, with the gradient of its outputs or angles. */
static void backward_from(const nft_siren_tape *tape, int64_t last, int64_t rows, const float *grad,
                          int64_t stride)
{
    for (int64_t i = last; i >= 0; i--) {
        const nft_tape_layer *layer = &tape->layers[i], *before = layer - 1;
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
        if (tape->bf16) {
            tape->bf16->pack(rows, before->out_stride, before->cosine, before->out_stride,
                             &before->angle_gradient);
            backward_from_pairs(tape, i - 1, rows);
            break;
        }
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
    const nft_tape_layer *layer = &tape->layers[tape->layer_count - 1], *before = layer - 1;
    forward_hidden_pixels(tape, first, rows);
    const nft_last_layer output = {.rows = rows,
                                   .columns = layer->in_stride,
                                   .sine = before->sine,
                                   .cosine = before->cosine,
                                   .weight = layer->weight,
                                   .bias = layer->bias[0],
                                   .factor = factor,
                                   .target = target,
                                   .weight_gradient = layer->gradient,
                                   .bias_gradient = layer->bias_gradient,
                                   .angle_gradient = before->cosine};
    if (tape->bf16) {
        tape->bf16->last(&output, &before->angle_gradient);
        backward_from_pairs(tape, tape->layer_count - 2, rows);
        return;
    }
    tape->kernels->last(&output);
    backward_from(tape, tape->layer_count - 2, rows, before->cosine, before->out_stride);
}

void nft_siren_tape_gradient(const nft_siren_tape *tape, float *gradient)
{
    for (int64_t n = 0; n < tape->layer_count; n++) {
        const nft_tape_layer *layer = &tape->layers[n];
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
