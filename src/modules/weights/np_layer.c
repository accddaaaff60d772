#include "modules/weights/np_layer.h"
#include "modules/weights/features.h"
#include "modules/sequence/tokens.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

nft_np_init nft_np_init_default(int64_t fan_in)
{
    return (nft_np_init){.weight = nft_init_fan(fan_in), .bias = nft_init_fan(fan_in)};
}

nft_np_init nft_np_init_kaiming(int64_t fan_in)
{
    return (nft_np_init){.weight = nft_init_normal(sqrt(2 / (double)fan_in)), .bias = nft_init_constant(0)};
}

nft_status nft_np_map_add(nft_builder *builder, nft_map *map, int64_t outputs, int64_t inputs, int ones,
                          nft_np_init init, const char *name)
{
    if (inputs > NFT_GEMM_MAX_SIZE || outputs > NFT_GEMM_MAX_SIZE)
        return nft_fail(NFT_ERROR_LIMIT,
                        "%s: %s would map %" PRId64 " numbers to %" PRId64 ", at most %" PRId64
                        " are possible",
                        builder->where, name, inputs, outputs, NFT_GEMM_MAX_SIZE);
    nft_status status = nft_map_add(builder, map, outputs, inputs, ones, false, init.weight, "%s", name);
    if (status)
        return status;
    return nft_parameter_add(builder, &map->bias, true, init.bias, 1, NFT_SHAPE(outputs), "%s.bias", name);
}

static int64_t width_of(const nft_space *space, int64_t channels, int64_t layer)
{
    return nft_tensor_width(&space->tensors[NFT_WEIGHT_OF(layer)], channels);
}

int64_t nft_np_row_width(const nft_space *space, int64_t channels, int64_t index)
{
    int64_t width = width_of(space, channels, index);
    return index == 0 ? width
                      : nft_size_add(width, nft_size_add(width_of(space, channels, index - 1), channels));
}

int64_t nft_np_column_width(const nft_space *space, int64_t channels, int64_t index)
{
    int64_t width = nft_size_add(width_of(space, channels, index), channels);
    return index == space->layer_count - 1 ? width
                                           : nft_size_add(width, width_of(space, channels, index + 1));
}

static nft_neuron_part dense(int64_t width, const float *rows)
{
    return (nft_neuron_part){.layout = nft_rows_dense(width), .tensor = rows};
}

int nft_np_row_parts(const nft_layer_means *means, int64_t index, const float *scratch,
                     const float *previous_bias, nft_neuron_part *parts)
{
    const nft_layer_means *here = &means[index];
    parts[0] = dense(here->width, scratch + here->over_rows);
    if (index == 0)
        return 1;
    parts[1] = dense(means[index - 1].width, scratch + means[index - 1].over_columns);
    parts[2] = dense(here->channels, previous_bias);
    return 3;
}

int nft_np_column_parts(const nft_layer_means *means, int64_t index, int64_t layer_count,
                        const float *scratch, const float *bias, nft_neuron_part *parts)
{
    const nft_layer_means *here = &means[index];
    parts[0] = dense(here->width, scratch + here->over_columns);
    parts[1] = dense(here->channels, bias);
    if (index == layer_count - 1)
        return 2;
    parts[2] = dense(means[index + 1].width, scratch + means[index + 1].over_rows);
    return 3;
}

nft_status nft_np_layer_add(nft_builder *builder, nft_np_layer *layer, int64_t index,
                            const nft_np_widths *widths, bool kaiming)
{
    const nft_tensor *weight = &builder->space->tensors[NFT_WEIGHT_OF(index)];
    int64_t width = width_of(builder->space, builder->value.channels, index);
    int64_t out_width = width_of(builder->space, widths->out_channels, index);
    int64_t bias_fan = nft_size_add(widths->column_input, widths->global);
    int64_t fan = nft_size_add(nft_size_add(width, widths->row_input), bias_fan);
    layer->rows = weight->rows;
    layer->columns = weight->columns;
    nft_np_init init = kaiming ? nft_np_init_kaiming(fan) : nft_np_init_default(fan);
    nft_np_init bias_init = kaiming ? nft_np_init_kaiming(bias_fan) : nft_np_init_default(bias_fan);
    const struct {
        nft_map *map;
        const char *begin, *end;
        int64_t outputs, inputs;
        int ones;
        nft_np_init init;
    } maps[] = {
        {&layer->layer, "layer", "", out_width, width, 2, init},
        {&layer->rc, "layer", "_rc", out_width, widths->global, 0, init},
        {&layer->r, "layer", "_r", out_width, widths->row_input, 1, init},
        {&layer->c, "layer", "_c", out_width, widths->column_input, 1, init},
        {&layer->bias, "bias", "", widths->out_channels, widths->column_input, 1, bias_init},
        {&layer->bias_rc, "bias", "_rc", widths->out_channels, widths->global, 0, bias_init},
    };
    nft_status status = NFT_OK;
    for (size_t i = 0; i < sizeof maps / sizeof *maps && !status; i++) {
        char name[48];
        snprintf(name, sizeof name, "%s_%" PRId64 "%s", maps[i].begin, index, maps[i].end);
        status = nft_np_map_add(builder, maps[i].map, maps[i].outputs, maps[i].inputs, maps[i].ones,
                                maps[i].init, name);
    }
    return status;
}

void nft_np_layer_keep(nft_builder *builder, nft_np_layer *layer, int64_t weight, int64_t global)
{
    nft_np_kept *kept = &layer->kept;
    nft_np_sides *sides = &layer->sides;
    int64_t rows = layer->rows, columns = layer->columns, tokens = nft_size_multiply(rows, columns);
    int64_t row_input = layer->r.inputs, column_input = layer->c.inputs, width = layer->layer.outputs,
            out_channels = layer->bias.outputs, global_input = layer->rc.inputs;
    kept->row_input = nft_reserve(builder->kept, nft_size_multiply(columns, row_input));
    kept->column_input = nft_reserve(builder->kept, nft_size_multiply(rows, column_input));
    sides->weight = nft_reserve(builder->sides, nft_size_multiply(tokens, width));
    sides->row_term = nft_reserve(builder->sides, nft_size_multiply(columns, width));
    sides->column_term = nft_reserve(builder->sides, nft_size_multiply(rows, width));
    sides->whole_term = nft_reserve(builder->sides, width);
    sides->bias = nft_reserve(builder->sides, nft_size_multiply(rows, out_channels));
    sides->whole_bias = nft_reserve(builder->sides, out_channels);
    nft_gradient_of_map(builder, &layer->layer, tokens, weight, layer->layer.inputs, nft_side(sides->weight),
                        width);
    nft_gradient_add_of(builder, layer->layer.index + 1, &sides->layer_bias);
    nft_gradient_of_map(builder, &layer->r, columns, kept->row_input, row_input, nft_side(sides->row_term),
                        width);
    nft_gradient_of_map(builder, &layer->c, rows, kept->column_input, column_input,
                        nft_side(sides->column_term), width);
    nft_gradient_of_map(builder, &layer->rc, 1, global, global_input, nft_side(sides->whole_term), width);
    nft_gradient_of_map(builder, &layer->bias, rows, kept->column_input, column_input, nft_side(sides->bias),
                        out_channels);
    nft_gradient_of_map(builder, &layer->bias_rc, 1, global, global_input, nft_side(sides->whole_bias),
                        out_channels);
}

int64_t nft_np_layer_flops(const nft_np_layer *layer)
{
    int64_t flops = nft_map_flops(&layer->layer, nft_size_multiply(layer->rows, layer->columns));
    flops = nft_size_add(flops, nft_map_flops(&layer->r, layer->columns));
    flops = nft_size_add(flops, nft_map_flops(&layer->c, layer->rows));
    flops = nft_size_add(flops, nft_map_flops(&layer->bias, layer->rows));
    flops = nft_size_add(flops, nft_map_flops(&layer->rc, 1));
    return nft_size_add(flops, nft_map_flops(&layer->bias_rc, 1));
}

static void grow(int64_t *size, int64_t rows, int64_t width)
{
    int64_t floats = nft_size_multiply(rows, width);
    if (floats > *size)
        *size = floats;
}

void nft_np_scratch_grow(nft_np_scratch *sizes, const nft_np_layer *layer)
{
    grow(&sizes->row_input, layer->columns, layer->r.inputs);
    grow(&sizes->column_input, layer->rows, layer->c.inputs);
    grow(&sizes->row_term, layer->columns, layer->r.outputs);
    grow(&sizes->column_term, layer->rows, layer->c.outputs);
    grow(&sizes->whole_term, 1, layer->rc.outputs);
    grow(&sizes->whole_term, 1, layer->bias_rc.outputs);
}

void nft_np_scratch_reserve(nft_np_scratch *scratch, int64_t *size)
{
    scratch->row_input = nft_reserve(size, scratch->row_input);
    scratch->column_input = nft_reserve(size, scratch->column_input);
    scratch->row_term = nft_reserve(size, scratch->row_term);
    scratch->column_term = nft_reserve(size, scratch->column_term);
    scratch->whole_term = nft_reserve(size, scratch->whole_term);
}

float *nft_np_row_input(const nft_np_layer *layer, const nft_np_scratch *scratch, const nft_exec *exec)
{
    return exec->kept ? exec->kept + layer->kept.row_input : exec->scratch + scratch->row_input;
}

float *nft_np_column_input(const nft_np_layer *layer, const nft_np_scratch *scratch, const nft_exec *exec)
{
    return exec->kept ? exec->kept + layer->kept.column_input : exec->scratch + scratch->column_input;
}

typedef struct weight_call {
    const nft_np_layer *layer;
    const nft_exec *exec;
    const float *weight, *row_term, *column_term;
    float *out;
} weight_call;

/* A chunk of W'_i: its product, and while that is in cache the terms that are broadcast. */
static void weight_chunk(void *argument, int64_t item, float *thread_scratch)
{
    (void)thread_scratch;
    const weight_call *call = argument;
    const nft_np_layer *layer = call->layer;
    int64_t first, count, inputs = layer->layer.inputs, outputs = layer->layer.outputs;
    nft_chunk(layer->rows * layer->columns, item, &first, &count);
    float *y = call->out + first * outputs;
    nft_map_rows(call->exec, &layer->layer, count, call->weight + first * inputs, inputs, y, outputs,
                 NFT_MAP_SET);
    nft_broadcast_add(layer->columns, outputs, call->row_term, call->column_term, first, count, y);
}

void nft_np_layer_forward(const nft_np_layer *layer, const nft_np_scratch *scratch, const nft_exec *exec,
                          const float *global, const float *weight, float *weight_out, float *bias_out)
{
    const nft_kernels *vector = nft_vector();
    const float *row_input = nft_np_row_input(layer, scratch, exec),
                *column_input = nft_np_column_input(layer, scratch, exec);
    float *row_term = exec->scratch + scratch->row_term, *column_term = exec->scratch + scratch->column_term;
    float *whole_term = exec->scratch + scratch->whole_term;

    nft_exec_linear(exec, &layer->r, layer->columns, row_input, row_term, NFT_MAP_SET);
    nft_exec_linear(exec, &layer->c, layer->rows, column_input, column_term, NFT_MAP_SET);
    nft_exec_linear(exec, &layer->rc, 1, global, whole_term, NFT_MAP_SET);
    vector->add_bias(layer->rows, layer->rc.outputs, whole_term, column_term, layer->rc.outputs);
    weight_call call = {layer, exec, weight, row_term, column_term, weight_out};
    nft_exec_for(exec, nft_chunk_count(layer->rows * layer->columns), weight_chunk, &call);

    nft_exec_linear(exec, &layer->bias, layer->rows, column_input, bias_out, NFT_MAP_SET);
    nft_exec_linear(exec, &layer->bias_rc, 1, global, whole_term, NFT_MAP_SET);
    vector->add_bias(layer->rows, layer->bias_rc.outputs, whole_term, bias_out, layer->bias_rc.outputs);
}

/* A term that was broadcast gets the sum of the gradients over where it went. */
void nft_np_layer_backward(const nft_np_layer *layer, const nft_np_scratch *scratch, const nft_exec *exec,
                           const float *weight_out_gradient, const float *bias_out_gradient,
                           float *global_gradient)
{
    int64_t rows = layer->rows, columns = layer->columns, width = layer->layer.outputs,
            out_channels = layer->bias.outputs;
    float *row_term = exec->sides + layer->sides.row_term,
          *column_term = exec->sides + layer->sides.column_term,
          *whole_term = exec->sides + layer->sides.whole_term;
    float *bias = exec->sides + layer->sides.bias, *whole_bias = exec->sides + layer->sides.whole_bias;
    float *row_input = exec->scratch + scratch->row_input,
          *column_input = exec->scratch + scratch->column_input;

    nft_sum_rows(exec, rows, columns * width, weight_out_gradient, row_term);
    nft_sum_columns(exec, rows, columns, width, weight_out_gradient, column_term);
    nft_sum_rows(exec, rows, width, column_term, whole_term);
    memcpy(exec->sides + layer->sides.layer_bias, whole_term, (size_t)width * sizeof *whole_term);
    memcpy(bias, bias_out_gradient, (size_t)(rows * out_channels) * sizeof *bias);
    nft_sum_rows(exec, rows, out_channels, bias, whole_bias);

    nft_exec_linear_back(exec, &layer->r, columns, row_term, row_input, NFT_MAP_SET);
    nft_exec_linear_back(exec, &layer->c, rows, column_term, column_input, NFT_MAP_SET);
    nft_exec_linear_back(exec, &layer->bias, rows, bias, column_input, NFT_MAP_ADD);
    nft_exec_linear_back(exec, &layer->rc, 1, whole_term, global_gradient, NFT_MAP_ADD);
    nft_exec_linear_back(exec, &layer->bias_rc, 1, whole_bias, global_gradient, NFT_MAP_ADD);
}

/* A chunk of W_i's gradient, with the means' while it is in cache. */
static void weight_chunk_back(void *argument, int64_t item, float *thread_scratch)
{
    (void)thread_scratch;
    const weight_call *call = argument;
    const nft_np_layer *layer = call->layer;
    int64_t first, count, inputs = layer->layer.inputs, outputs = layer->layer.outputs;
    nft_chunk(layer->rows * layer->columns, item, &first, &count);
    float *dy = call->exec->sides + layer->sides.weight + first * outputs, *dx = call->out + first * inputs;
    memcpy(dy, call->weight + first * outputs, (size_t)(count * outputs) * sizeof *dy);
    nft_map_rows_back(call->exec, &layer->layer, count, dy, outputs, dx, inputs, NFT_MAP_SET);
    nft_broadcast_add(layer->columns, inputs, call->row_term, call->column_term, first, count, dx);
}

void nft_np_weight_backward(const nft_np_layer *layer, const nft_layer_means *means, const nft_exec *exec,
                            const float *weight_out_gradient, float *weight_gradient)
{
    weight_call call = {.layer = layer,
                        .exec = exec,
                        .weight = weight_out_gradient,
                        .row_term = exec->scratch + means->over_rows,
                        .column_term = exec->scratch + means->over_columns,
                        .out = weight_gradient};
    nft_exec_for(exec, nft_chunk_count(layer->rows * layer->columns), weight_chunk_back, &call);
}
