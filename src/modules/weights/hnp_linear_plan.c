/* hnp_linear's options, parameters, scratch and what it keeps for their gradients. */
#include "modules/weights/hnp_linear.h"
#include "modules/sequence/tokens.h"

#include <inttypes.h>

const nft_tensor *nft_hnp_last_weight(const nft_space *space)
{
    return &space->tensors[NFT_WEIGHT_OF(space->layer_count - 1)];
}

/* Channels of W_0 for one of its rows, and of W_{L-1} for one of its columns. */
static int64_t first_numbers(const nft_space *space, int64_t channels)
{
    return nft_size_multiply(nft_size_multiply(space->tensors[0].positions, space->tensors[0].columns),
                             channels);
}

static int64_t last_numbers(const nft_space *space, int64_t channels)
{
    const nft_tensor *last = nft_hnp_last_weight(space);
    return nft_size_multiply(nft_size_multiply(last->positions, last->rows), channels);
}

static int64_t global_size(const nft_space *space, int64_t channels)
{
    int64_t edges = nft_size_add(first_numbers(space, channels), last_numbers(space, channels));
    edges = nft_size_add(edges, nft_size_multiply(nft_hnp_last_weight(space)->rows, channels));
    return nft_size_add(nft_means_global(space, channels), edges);
}

/* rpt = [W_0 of a row, R_1, v_0, with two layers W_1 of that column] */
static nft_status add_first(nft_hnp_linear *s, nft_module *module, nft_builder *builder, int64_t global)
{
    const nft_space *space = builder->space;
    int64_t channels = builder->value.channels, out_channels = module->out.channels;
    int64_t inputs = nft_size_multiply(nft_size_add(space->tensors[NFT_WEIGHT_OF(1)].positions, 1), channels);
    inputs = nft_size_add(inputs, first_numbers(space, channels));
    if (space->layer_count == 2)
        inputs = nft_size_add(inputs, last_numbers(space, channels));
    int64_t outputs = first_numbers(space, out_channels);
    nft_np_init bias_init = nft_np_init_default(nft_size_add(inputs, global));
    nft_neuron_map *w = &s->first_weight, *v = &s->first_bias;
    nft_status status =
        nft_np_map_add(builder, &w->own, outputs, inputs, 1, nft_np_init_default(inputs), "w0_rpt");
    if (status ||
        (status = nft_np_map_add(builder, &w->global, outputs, global, 0, nft_np_init_default(global),
                                 "w0_rbdcst")) ||
        (status = nft_np_map_add(builder, &v->own, out_channels, inputs, 1, bias_init, "bias_0")))
        return status;
    return nft_np_map_add(builder, &v->global, out_channels, global, 0, bias_init, "bias_0_rc");
}

/* cpt = [W_{L-1} of a column, K_{L-2}, with two layers W_0 of that row] */
static nft_status add_last(nft_hnp_linear *s, nft_module *module, nft_builder *builder, int64_t global)
{
    const nft_space *space = builder->space;
    int64_t channels = builder->value.channels, out_channels = module->out.channels;
    int64_t previous = NFT_WEIGHT_OF(space->layer_count - 2);
    int64_t inputs = nft_size_multiply(space->tensors[previous].positions, channels);
    inputs = nft_size_add(inputs, last_numbers(space, channels));
    if (space->layer_count == 2)
        inputs = nft_size_add(inputs, first_numbers(space, channels));
    int64_t outputs = last_numbers(space, out_channels);
    int64_t bias_outputs = nft_size_multiply(nft_hnp_last_weight(space)->rows, out_channels);
    nft_np_init init = nft_np_init_default(nft_size_add(inputs, global));
    nft_neuron_map *w = &s->last_weight;
    nft_status status = nft_np_map_add(builder, &w->own, outputs, inputs, 1, init, "wfin_cpt");
    if (status || (status = nft_np_map_add(builder, &w->global, outputs, global, 0, init, "wfin_cbdcst")))
        return status;
    return nft_np_map_add(builder, &s->last_bias, bias_outputs, global, 0, nft_np_init_default(global),
                          "bias_fin_rc");
}

static nft_status add_between(nft_hnp_linear *s, nft_module *module, nft_builder *builder, int64_t global)
{
    const nft_space *space = builder->space;
    int64_t channels = builder->value.channels, layers = space->layer_count;
    nft_status status = NFT_OK;
    for (int64_t i = 1; i < layers - 1 && !status; i++) {
        nft_np_widths widths = {.out_channels = module->out.channels,
                                .global = global,
                                .row_input = nft_np_row_width(space, channels, i),
                                .column_input = nft_np_column_width(space, channels, i)};
        if (i == 1)
            widths.row_input = nft_size_add(widths.row_input, first_numbers(space, channels));
        if (i == layers - 2)
            widths.column_input = nft_size_add(widths.column_input, last_numbers(space, channels));
        status = nft_np_layer_add(builder, &s->layers[i], i, &widths, false);
        nft_np_scratch_grow(&s->scratch, &s->layers[i]);
        module->flops = nft_size_add(module->flops, nft_np_layer_flops(&s->layers[i]));
    }
    return status;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t neuron_map_flops(const nft_neuron_map *map, int64_t rows)
{
    return nft_size_add(nft_map_flops(&map->own, rows), nft_map_flops(&map->global, 1));
}

static void plan(nft_hnp_linear *s, nft_module *module, int64_t global)
{
    const nft_space *space = module->space;
    int64_t channels = module->in.channels, rows = space->tensors[0].rows,
            columns = nft_hnp_last_weight(space)->columns;
    nft_np_scratch *sizes = &s->scratch;
    const nft_map *first = &s->first_weight.own, *last = &s->last_weight.own;
    sizes->column_input = larger(sizes->column_input, nft_size_multiply(rows, first->inputs));
    sizes->row_input = larger(sizes->row_input, nft_size_multiply(columns, last->inputs));
    sizes->whole_term =
        larger(sizes->whole_term, larger(larger(first->outputs, last->outputs), s->last_bias.outputs));
    s->global_size = global;
    s->global = nft_reserve(&module->scratch, global);
    s->first_columns = nft_size_add(s->global, nft_means_global(space, channels));
    s->last_rows = nft_size_add(s->first_columns, first_numbers(space, channels));
    s->last_biases = nft_size_add(s->last_rows, last_numbers(space, channels));
    nft_means_plan(s->means, space, channels, s->global, &module->scratch);
    nft_np_scratch_reserve(&s->scratch, &module->scratch);
    int64_t mapped = nft_size_multiply(nft_chunk_rows(rows), first->outputs);
    mapped = larger(mapped, nft_size_multiply(nft_chunk_rows(columns), last->outputs));
    s->mapped = nft_reserve(&module->thread_scratch, mapped);
    int64_t flops =
        nft_size_add(neuron_map_flops(&s->first_weight, rows), neuron_map_flops(&s->first_bias, rows));
    flops = nft_size_add(flops, neuron_map_flops(&s->last_weight, columns));
    flops = nft_size_add(flops, nft_map_flops(&s->last_bias, 1));
    module->flops = nft_size_add(module->flops, flops);
}

/* Declares the gradients of an edge's maps, whose inputs are kept at `input` and `kept_global`. */
static void keep_edge(const nft_hnp_linear *s, nft_builder *builder, nft_neuron_map *map, int64_t rows,
                      int64_t input)
{
    int64_t outputs = map->own.outputs;
    map->gradient = nft_reserve(builder->sides, nft_size_multiply(rows, outputs));
    map->gradient_sum = nft_reserve(builder->sides, outputs);
    nft_gradient_of_map(builder, &map->own, rows, input, map->own.inputs, nft_side(map->gradient), outputs);
    nft_gradient_of_map(builder, &map->global, 1, s->kept_global, map->global.inputs,
                        nft_side(map->gradient_sum), outputs);
}

static void keep(nft_hnp_linear *s, nft_builder *builder)
{
    const nft_space *space = builder->space;
    int64_t rows = space->tensors[0].rows, columns = nft_hnp_last_weight(space)->columns;
    s->kept_global = nft_reserve(builder->kept, s->global_size);
    s->kept_first_input = nft_reserve(builder->kept, nft_size_multiply(rows, s->first_weight.own.inputs));
    s->kept_last_input = nft_reserve(builder->kept, nft_size_multiply(columns, s->last_weight.own.inputs));
    s->last_bias_gradient = nft_reserve(builder->sides, s->last_bias.outputs);
    keep_edge(s, builder, &s->first_weight, rows, s->kept_first_input);
    keep_edge(s, builder, &s->first_bias, rows, s->kept_first_input);
    keep_edge(s, builder, &s->last_weight, columns, s->kept_last_input);
    nft_gradient_of_map(builder, &s->last_bias, 1, s->kept_global, s->last_bias.inputs,
                        nft_side(s->last_bias_gradient), s->last_bias.outputs);
    for (int64_t i = 1; i < space->layer_count - 1; i++) {
        int64_t offset = nft_size_multiply(space->tensors[NFT_WEIGHT_OF(i)].offset, builder->value.channels);
        nft_np_layer_keep(builder, &s->layers[i], nft_size_add(builder->in_kept, offset), s->kept_global);
    }
}

static nft_status allocate(nft_hnp_linear *s, int64_t layers)
{
    s->means = nft_allocate_array((size_t)layers, sizeof *s->means);
    s->layers = nft_allocate_array((size_t)layers, sizeof *s->layers);
    if (s->means && s->layers)
        return NFT_OK;
    return nft_fail_memory("hnp_linear", nft_size_multiply(layers, sizeof *s->means + sizeof *s->layers));
}

nft_status nft_hnp_linear_configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    nft_status status = nft_require_kind(builder, NFT_VALUE_FEATURES);
    if (status || (status = nft_options_integer(options, "out_channels", true, 1, NFT_MAX_WIDTH,
                                                &module->out.channels)))
        return status;
    int64_t layers = builder->space->layer_count,
            global = global_size(builder->space, builder->value.channels);
    if (layers < 2)
        return nft_fail(NFT_ERROR_CONFIG,
                        "%s: needs a space of at least 2 layers, but this one has %" PRId64
                        "; np_linear takes it",
                        builder->where, layers);
    if ((status = nft_module_state(module, sizeof(nft_hnp_linear))))
        return status;
    nft_hnp_linear *s = module->state;
    if ((status = allocate(s, layers)) || (status = add_first(s, module, builder, global)) ||
        (status = add_between(s, module, builder, global)) || (status = add_last(s, module, builder, global)))
        return status;
    plan(s, module, global);
    keep(s, builder);
    return NFT_OK;
}

void nft_hnp_linear_release(nft_module *module)
{
    nft_hnp_linear *s = module->state;
    nft_release(s->means);
    nft_release(s->layers);
}
