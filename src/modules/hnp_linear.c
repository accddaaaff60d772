/* The linear layer that is equivariant to permutations of hidden neurons alone (Zhou et al., "Permutation
 * Equivariant Neural Functionals", arXiv 2302.14040). Input neurons at W_0 and output neurons
 * at W_{L-1} and v_{L-1} are told apart, so they count as channels; the layers between are np_linear's. */
#include "modules/np_layer.h"
#include "modules/tokens.h"

#include <inttypes.h>

/* A map whose inputs are gathered for each neuron of one axis, plus one from g that is the same for all of
 * them. */
typedef struct neuron_map {
    nft_map own, global;
} neuron_map;

typedef struct hnp_linear {
    int64_t global; /* scratch: g = [M_0 … M_{L-1}, m_0 … m_{L-1}, R_0, K_{L-1}, v_{L-1}] */
    int64_t first_columns, last_rows, last_biases; /* where the last three begin in it: channel-major */
    neuron_map first_weight, first_bias;           /* for each row of W_0, n_0 numbers a channel */
    neuron_map last_weight;                        /* for each column of W_{L-1}, n_L numbers a channel */
    nft_map last_bias;                             /* from g */
    int64_t mapped; /* thread scratch: a chunk of outputs before they're put in place */
    nft_np_scratch scratch;
    nft_layer_means *means; /* of each layer */
    nft_np_layer *layers;   /* all but the first and the last */
} hnp_linear;

static const nft_tensor *last_weight_of(const nft_space *space)
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
    const nft_tensor *last = last_weight_of(space);
    return nft_size_multiply(nft_size_multiply(last->positions, last->rows), channels);
}

static int64_t global_size(const nft_space *space, int64_t channels)
{
    int64_t edges = nft_size_add(first_numbers(space, channels), last_numbers(space, channels));
    edges = nft_size_add(edges, nft_size_multiply(last_weight_of(space)->rows, channels));
    return nft_size_add(nft_means_global(space, channels), edges);
}

/* rpt = [W_0 of a row, R_1, v_0, with two layers W_1 of that column] */
static nft_status add_first(hnp_linear *s, nft_module *module, nft_builder *builder, int64_t global)
{
    const nft_space *space = builder->space;
    int64_t channels = builder->value.channels, out_channels = module->out.channels;
    int64_t inputs = nft_size_multiply(nft_size_add(space->tensors[NFT_WEIGHT_OF(1)].positions, 1), channels);
    inputs = nft_size_add(inputs, first_numbers(space, channels));
    if (space->layer_count == 2)
        inputs = nft_size_add(inputs, last_numbers(space, channels));
    int64_t outputs = first_numbers(space, out_channels);
    nft_np_init bias_init = nft_np_init_default(nft_size_add(inputs, global));
    neuron_map *w = &s->first_weight, *v = &s->first_bias;
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
static nft_status add_last(hnp_linear *s, nft_module *module, nft_builder *builder, int64_t global)
{
    const nft_space *space = builder->space;
    int64_t channels = builder->value.channels, out_channels = module->out.channels;
    int64_t previous = NFT_WEIGHT_OF(space->layer_count - 2);
    int64_t inputs = nft_size_multiply(space->tensors[previous].positions, channels);
    inputs = nft_size_add(inputs, last_numbers(space, channels));
    if (space->layer_count == 2)
        inputs = nft_size_add(inputs, first_numbers(space, channels));
    int64_t outputs = last_numbers(space, out_channels);
    int64_t bias_outputs = nft_size_multiply(last_weight_of(space)->rows, out_channels);
    nft_np_init init = nft_np_init_default(nft_size_add(inputs, global));
    neuron_map *w = &s->last_weight;
    nft_status status = nft_np_map_add(builder, &w->own, outputs, inputs, 1, init, "wfin_cpt");
    if (status || (status = nft_np_map_add(builder, &w->global, outputs, global, 0, init, "wfin_cbdcst")))
        return status;
    return nft_np_map_add(builder, &s->last_bias, bias_outputs, global, 0, nft_np_init_default(global),
                          "bias_fin_rc");
}

static nft_status add_between(hnp_linear *s, nft_module *module, nft_builder *builder, int64_t global)
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

static int64_t neuron_map_flops(const neuron_map *map, int64_t rows)
{
    return nft_size_add(nft_map_flops(&map->own, rows), nft_map_flops(&map->global, 1));
}

static void plan(hnp_linear *s, nft_module *module, int64_t global)
{
    const nft_space *space = module->space;
    int64_t channels = module->in.channels, rows = space->tensors[0].rows,
            columns = last_weight_of(space)->columns;
    nft_np_scratch *sizes = &s->scratch;
    const nft_map *first = &s->first_weight.own, *last = &s->last_weight.own;
    sizes->column_input = larger(sizes->column_input, nft_size_multiply(rows, first->inputs));
    sizes->row_input = larger(sizes->row_input, nft_size_multiply(columns, last->inputs));
    sizes->whole_term =
        larger(sizes->whole_term, larger(larger(first->outputs, last->outputs), s->last_bias.outputs));
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

static nft_status allocate(hnp_linear *s, int64_t layers)
{
    s->means = nft_allocate_array((size_t)layers, sizeof *s->means);
    s->layers = nft_allocate_array((size_t)layers, sizeof *s->layers);
    if (s->means && s->layers)
        return NFT_OK;
    return nft_fail_memory("hnp_linear", nft_size_multiply(layers, sizeof *s->means + sizeof *s->layers));
}

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
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
    if ((status = nft_module_state(module, sizeof(hnp_linear))))
        return status;
    hnp_linear *s = module->state;
    if ((status = allocate(s, layers)) || (status = add_first(s, module, builder, global)) ||
        (status = add_between(s, module, builder, global)) || (status = add_last(s, module, builder, global)))
        return status;
    plan(s, module, global);
    return NFT_OK;
}

static void release(nft_module *module)
{
    hnp_linear *s = module->state;
    nft_release(s->means);
    nft_release(s->layers);
}

static const float *tensor_of(const nft_module *module, const float *in, int64_t tensor)
{
    return in + module->space->tensors[tensor].offset * module->in.channels;
}

static float *out_of(const nft_module *module, float *out, int64_t tensor)
{
    return out + module->space->tensors[tensor].offset * module->out.channels;
}

/* W_0 as channels of axis 1's neurons, and W_{L-1} as channels of axis L-1's. */
static nft_neuron_part first_part(const nft_module *module, const float *in)
{
    const hnp_linear *s = module->state;
    return (nft_neuron_part){.layout = nft_rows_by_row(s->means->columns, s->means->width), .tensor = in};
}

static nft_neuron_part last_part(const nft_module *module, const float *in)
{
    const hnp_linear *s = module->state;
    int64_t index = module->space->layer_count - 1;
    const nft_layer_means *last = &s->means[index];
    return (nft_neuron_part){.layout = nft_rows_by_column(last->rows, last->columns, last->width),
                             .tensor = tensor_of(module, in, NFT_WEIGHT_OF(index))};
}

static void fill_global(const nft_module *module, const nft_exec *exec, const float *in)
{
    const hnp_linear *s = module->state;
    int64_t layers = module->space->layer_count;
    for (int64_t i = 0; i < layers; i++)
        nft_means_forward(&s->means[i], exec, tensor_of(module, in, NFT_WEIGHT_OF(i)),
                          tensor_of(module, in, NFT_BIAS_OF(i)));
    const nft_layer_means *first = &s->means[0], *last = &s->means[layers - 1];
    nft_neuron_rows columns = nft_rows_by_row(first->columns, first->width);
    nft_neuron_rows rows = nft_rows_by_row(last->rows, last->width);
    nft_neuron_rows biases = nft_rows_by_row(last->rows, last->channels);
    nft_neuron_row_get(&columns, 0, exec->scratch + first->over_rows, exec->scratch + s->first_columns);
    nft_neuron_row_get(&rows, 0, exec->scratch + last->over_columns, exec->scratch + s->last_rows);
    nft_neuron_row_get(&biases, 0, tensor_of(module, in, NFT_BIAS_OF(layers - 1)),
                       exec->scratch + s->last_biases);
}

typedef struct edge_call {
    const nft_exec *exec;
    const nft_map *map;
    int64_t rows;
    const float *x, *whole_term;
    nft_neuron_rows layout;
    int64_t mapped;
    float *out;
} edge_call;

static void edge_chunk(void *argument, int64_t item, float *thread_scratch)
{
    const edge_call *call = argument;
    const nft_map *map = call->map;
    int64_t first, count;
    nft_chunk(call->rows, item, &first, &count);
    float *y = thread_scratch + call->mapped;
    nft_map_rows(call->exec, map, count, call->x + first * map->inputs, map->inputs, y, map->outputs,
                 NFT_MAP_SET);
    nft_vector()->add_bias(count, map->outputs, call->whole_term, y, map->outputs);
    for (int64_t row = 0; row < count; row++)
        nft_neuron_row_put(&call->layout, first + row, y + row * map->outputs, call->out);
}

/* out, laid out as `layout` says, = own(row of x) + global(g) for each of `rows` neurons */
static void map_edge(const nft_module *module, const nft_exec *exec, const neuron_map *map, int64_t rows,
                     const float *x, nft_neuron_rows layout, float *out)
{
    const hnp_linear *s = module->state;
    float *whole_term = exec->scratch + s->scratch.whole_term;
    nft_exec_linear(exec, &map->global, 1, exec->scratch + s->global, whole_term, NFT_MAP_SET);
    edge_call call = {.exec = exec,
                      .map = &map->own,
                      .rows = rows,
                      .x = x,
                      .whole_term = whole_term,
                      .layout = layout,
                      .mapped = s->mapped,
                      .out = out};
    nft_exec_for(exec, nft_chunk_count(rows), edge_chunk, &call);
}

static void first_forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    const hnp_linear *s = module->state;
    const nft_layer_means *first = &s->means[0], *second = &s->means[1];
    int64_t out_width = module->space->tensors[0].positions * module->out.channels;
    nft_neuron_part parts[NFT_NP_MAX_PARTS] = {
        first_part(module, in),
        {.layout = nft_rows_dense(second->width), .tensor = exec->scratch + second->over_rows},
        {.layout = nft_rows_dense(first->channels), .tensor = tensor_of(module, in, NFT_BIAS_OF(0))},
        last_part(module, in)};
    float *x = exec->scratch + s->scratch.column_input;
    nft_neuron_parts_gather(exec, first->rows, parts, module->space->layer_count == 2 ? 4 : 3, x);
    map_edge(module, exec, &s->first_weight, first->rows, x, nft_rows_by_row(first->columns, out_width), out);
    map_edge(module, exec, &s->first_bias, first->rows, x, nft_rows_dense(module->out.channels),
             out_of(module, out, NFT_BIAS_OF(0)));
}

static void last_forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    const hnp_linear *s = module->state;
    int64_t index = module->space->layer_count - 1;
    const nft_layer_means *last = &s->means[index], *previous = &s->means[index - 1];
    int64_t out_width = module->space->tensors[NFT_WEIGHT_OF(index)].positions * module->out.channels;
    nft_neuron_part parts[NFT_NP_MAX_PARTS] = {
        last_part(module, in),
        {.layout = nft_rows_dense(previous->width), .tensor = exec->scratch + previous->over_columns},
        first_part(module, in)};
    float *x = exec->scratch + s->scratch.row_input;
    nft_neuron_parts_gather(exec, last->columns, parts, index == 1 ? 3 : 2, x);
    map_edge(module, exec, &s->last_weight, last->columns, x,
             nft_rows_by_column(last->rows, last->columns, out_width),
             out_of(module, out, NFT_WEIGHT_OF(index)));
    float *whole_term = exec->scratch + s->scratch.whole_term;
    nft_neuron_rows biases = nft_rows_by_row(last->rows, module->out.channels);
    nft_exec_linear(exec, &s->last_bias, 1, exec->scratch + s->global, whole_term, NFT_MAP_SET);
    nft_neuron_row_put(&biases, 0, whole_term, out_of(module, out, NFT_BIAS_OF(index)));
}

static void between_forward(const nft_module *module, const nft_exec *exec, const float *in, int64_t i,
                            float *out)
{
    const hnp_linear *s = module->state;
    const nft_np_layer *layer = &s->layers[i];
    int64_t layers = module->space->layer_count;
    nft_neuron_part parts[NFT_NP_MAX_PARTS];
    int count =
        nft_np_row_parts(s->means, i, exec->scratch, tensor_of(module, in, NFT_BIAS_OF(i - 1)), parts);
    if (i == 1)
        parts[count++] = first_part(module, in);
    nft_neuron_parts_gather(exec, layer->columns, parts, count, exec->scratch + s->scratch.row_input);
    count =
        nft_np_column_parts(s->means, i, layers, exec->scratch, tensor_of(module, in, NFT_BIAS_OF(i)), parts);
    if (i == layers - 2)
        parts[count++] = last_part(module, in);
    nft_neuron_parts_gather(exec, layer->rows, parts, count, exec->scratch + s->scratch.column_input);
    nft_np_layer_forward(layer, &s->scratch, exec, exec->scratch + s->global,
                         tensor_of(module, in, NFT_WEIGHT_OF(i)), out_of(module, out, NFT_WEIGHT_OF(i)),
                         out_of(module, out, NFT_BIAS_OF(i)));
}

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    fill_global(module, exec, in);
    first_forward(module, exec, in, out);
    for (int64_t i = 1; i < module->space->layer_count - 1; i++)
        between_forward(module, exec, in, i, out);
    last_forward(module, exec, in, out);
}

const nft_module_class nft_module_hnp_linear = {
    .type = "hnp_linear", .configure = configure, .forward = forward, .release = release};
