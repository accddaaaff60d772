/* The linear layer that is equivariant to permutations of hidden neurons alone (Zhou et al., "Permutation
 * Equivariant Neural Functionals", arXiv 2302.14040). Input neurons at W_0 and output neurons
 * at W_{L-1} and v_{L-1} are told apart, so they count as channels; the layers between are np_linear's. */
#include "modules/weights/hnp_linear.h"

#include <string.h>

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
    const nft_hnp_linear *s = module->state;
    return (nft_neuron_part){.layout = nft_rows_by_row(s->means->columns, s->means->width), .tensor = in};
}

static nft_neuron_part last_part(const nft_module *module, const float *in)
{
    const nft_hnp_linear *s = module->state;
    int64_t index = module->space->layer_count - 1;
    const nft_layer_means *last = &s->means[index];
    return (nft_neuron_part){.layout = nft_rows_by_column(last->rows, last->columns, last->width),
                             .tensor = tensor_of(module, in, NFT_WEIGHT_OF(index))};
}

static void fill_global(const nft_module *module, const nft_exec *exec, const float *in)
{
    const nft_hnp_linear *s = module->state;
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
    if (exec->kept)
        memcpy(exec->kept + s->kept_global, exec->scratch + s->global,
               (size_t)s->global_size * sizeof *exec->kept);
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
static void map_edge(const nft_module *module, const nft_exec *exec, const nft_neuron_map *map, int64_t rows,
                     const float *x, nft_neuron_rows layout, float *out)
{
    const nft_hnp_linear *s = module->state;
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

/* rpt's parts in features or, in backward, in their gradients. */
static int first_parts(const nft_module *module, const nft_exec *exec, const float *features,
                       nft_neuron_part *parts)
{
    const nft_hnp_linear *s = module->state;
    const nft_layer_means *first = &s->means[0], *second = &s->means[1];
    parts[0] = first_part(module, features);
    parts[1] = (nft_neuron_part){.layout = nft_rows_dense(second->width),
                                 .tensor = exec->scratch + second->over_rows};
    parts[2] = (nft_neuron_part){.layout = nft_rows_dense(first->channels),
                                 .tensor = tensor_of(module, features, NFT_BIAS_OF(0))};
    parts[3] = last_part(module, features);
    return module->space->layer_count == 2 ? 4 : 3;
}

/* The same of cpt. */
static int last_parts(const nft_module *module, const nft_exec *exec, const float *features,
                      nft_neuron_part *parts)
{
    const nft_hnp_linear *s = module->state;
    const nft_layer_means *previous = &s->means[module->space->layer_count - 2];
    parts[0] = last_part(module, features);
    parts[1] = (nft_neuron_part){.layout = nft_rows_dense(previous->width),
                                 .tensor = exec->scratch + previous->over_columns};
    parts[2] = first_part(module, features);
    return module->space->layer_count == 2 ? 3 : 2;
}

/* Layouts of W'_0 and W'_{L-1} as outputs of the edges' maps. */
static nft_neuron_rows first_layout(const nft_module *module)
{
    const nft_tensor *first = &module->space->tensors[0];
    return nft_rows_by_row(first->columns, first->positions * module->out.channels);
}

static nft_neuron_rows last_layout(const nft_module *module)
{
    const nft_tensor *last = nft_hnp_last_weight(module->space);
    return nft_rows_by_column(last->rows, last->columns, last->positions * module->out.channels);
}

static void first_forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    const nft_hnp_linear *s = module->state;
    int64_t rows = s->means[0].rows;
    nft_neuron_part parts[NFT_NP_MAX_PARTS];
    int count = first_parts(module, exec, in, parts);
    float *x = exec->kept ? exec->kept + s->kept_first_input : exec->scratch + s->scratch.column_input;
    nft_neuron_parts_gather(exec, rows, parts, count, x);
    map_edge(module, exec, &s->first_weight, rows, x, first_layout(module), out);
    map_edge(module, exec, &s->first_bias, rows, x, nft_rows_dense(module->out.channels),
             out_of(module, out, NFT_BIAS_OF(0)));
}

static void last_forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    const nft_hnp_linear *s = module->state;
    int64_t index = module->space->layer_count - 1;
    const nft_layer_means *last = &s->means[index];
    nft_neuron_part parts[NFT_NP_MAX_PARTS];
    int count = last_parts(module, exec, in, parts);
    float *x = exec->kept ? exec->kept + s->kept_last_input : exec->scratch + s->scratch.row_input;
    nft_neuron_parts_gather(exec, last->columns, parts, count, x);
    map_edge(module, exec, &s->last_weight, last->columns, x, last_layout(module),
             out_of(module, out, NFT_WEIGHT_OF(index)));
    float *whole_term = exec->scratch + s->scratch.whole_term;
    nft_neuron_rows biases = nft_rows_by_row(last->rows, module->out.channels);
    nft_exec_linear(exec, &s->last_bias, 1, exec->scratch + s->global, whole_term, NFT_MAP_SET);
    nft_neuron_row_put(&biases, 0, whole_term, out_of(module, out, NFT_BIAS_OF(index)));
}

/* Parts of the row and column inputs of a layer between the first and the last. */
static int row_parts(const nft_module *module, const nft_exec *exec, const float *features, int64_t i,
                     nft_neuron_part *parts)
{
    const nft_hnp_linear *s = module->state;
    int count =
        nft_np_row_parts(s->means, i, exec->scratch, tensor_of(module, features, NFT_BIAS_OF(i - 1)), parts);
    if (i == 1)
        parts[count++] = first_part(module, features);
    return count;
}

static int column_parts(const nft_module *module, const nft_exec *exec, const float *features, int64_t i,
                        nft_neuron_part *parts)
{
    const nft_hnp_linear *s = module->state;
    int64_t layers = module->space->layer_count;
    int count = nft_np_column_parts(s->means, i, layers, exec->scratch,
                                    tensor_of(module, features, NFT_BIAS_OF(i)), parts);
    if (i == layers - 2)
        parts[count++] = last_part(module, features);
    return count;
}

static void between_forward(const nft_module *module, const nft_exec *exec, const float *in, int64_t i,
                            float *out)
{
    const nft_hnp_linear *s = module->state;
    const nft_np_layer *layer = &s->layers[i];
    nft_neuron_part parts[NFT_NP_MAX_PARTS];
    int count = row_parts(module, exec, in, i, parts);
    nft_neuron_parts_gather(exec, layer->columns, parts, count, nft_np_row_input(layer, &s->scratch, exec));
    count = column_parts(module, exec, in, i, parts);
    nft_neuron_parts_gather(exec, layer->rows, parts, count, nft_np_column_input(layer, &s->scratch, exec));
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

/* --- backward --- */

/* dx (rows, inputs) = or += the gradient of an edge's input, and g's is added to. grad_out is laid out as
 * `layout` says. */
static void edge_backward(const nft_module *module, const nft_exec *exec, const nft_neuron_map *map,
                          int64_t rows, nft_neuron_rows layout, const float *grad_out, float *dx,
                          nft_map_mode mode)
{
    const nft_hnp_linear *s = module->state;
    float *dy = exec->sides + map->gradient, *sum = exec->sides + map->gradient_sum;
    nft_neuron_part part = {.layout = layout, .tensor = grad_out};
    nft_neuron_parts_gather(exec, rows, &part, 1, dy);
    nft_sum_rows(exec, rows, map->own.outputs, dy, sum);
    nft_exec_linear_back(exec, &map->own, rows, dy, dx, mode);
    nft_exec_linear_back(exec, &map->global, 1, sum, exec->scratch + s->global, NFT_MAP_ADD);
}

static void first_backward(const nft_module *module, const nft_exec *exec, const float *grad_out,
                           float *grad_in)
{
    const nft_hnp_linear *s = module->state;
    int64_t rows = s->means[0].rows, out_channels = module->out.channels;
    const float *bias = grad_out + module->space->tensors[NFT_BIAS_OF(0)].offset * out_channels;
    float *dx = exec->scratch + s->scratch.column_input;
    edge_backward(module, exec, &s->first_weight, rows, first_layout(module), grad_out, dx, NFT_MAP_SET);
    edge_backward(module, exec, &s->first_bias, rows, nft_rows_dense(out_channels), bias, dx, NFT_MAP_ADD);
    nft_neuron_part parts[NFT_NP_MAX_PARTS];
    int count = first_parts(module, exec, grad_in, parts);
    nft_neuron_parts_scatter_add(exec, rows, parts, count, dx);
}

static void last_backward(const nft_module *module, const nft_exec *exec, const float *grad_out,
                          float *grad_in)
{
    const nft_hnp_linear *s = module->state;
    const nft_tensor *weight = nft_hnp_last_weight(module->space), *bias = weight + 1;
    int64_t out_channels = module->out.channels;
    float *dx = exec->scratch + s->scratch.row_input, *dy = exec->sides + s->last_bias_gradient;
    edge_backward(module, exec, &s->last_weight, weight->columns, last_layout(module),
                  grad_out + weight->offset * out_channels, dx, NFT_MAP_SET);
    nft_neuron_part parts[NFT_NP_MAX_PARTS];
    int count = last_parts(module, exec, grad_in, parts);
    nft_neuron_parts_scatter_add(exec, weight->columns, parts, count, dx);
    nft_neuron_rows biases = nft_rows_by_row(bias->rows, out_channels);
    nft_neuron_row_get(&biases, 0, grad_out + bias->offset * out_channels, dy);
    nft_exec_linear_back(exec, &s->last_bias, 1, dy, exec->scratch + s->global, NFT_MAP_ADD);
}

static void between_backward(const nft_module *module, const nft_exec *exec, int64_t i, const float *grad_out,
                             float *grad_in)
{
    const nft_hnp_linear *s = module->state;
    const nft_np_layer *layer = &s->layers[i];
    const nft_tensor *tensors = module->space->tensors;
    int64_t out_channels = module->out.channels;
    nft_np_layer_backward(
        layer, &s->scratch, exec, grad_out + tensors[NFT_WEIGHT_OF(i)].offset * out_channels,
        grad_out + tensors[NFT_BIAS_OF(i)].offset * out_channels, exec->scratch + s->global);
    nft_neuron_part parts[NFT_NP_MAX_PARTS];
    int count = row_parts(module, exec, grad_in, i, parts);
    nft_neuron_parts_scatter_add(exec, layer->columns, parts, count, exec->scratch + s->scratch.row_input);
    count = column_parts(module, exec, grad_in, i, parts);
    nft_neuron_parts_scatter_add(exec, layer->rows, parts, count, exec->scratch + s->scratch.column_input);
}

static void clear(const nft_module *module, float *gradient, int64_t tensor)
{
    const nft_tensor *t = &module->space->tensors[tensor];
    int64_t channels = module->in.channels, floats = t->tokens * t->positions * channels;
    memset(gradient + t->offset * channels, 0, (size_t)floats * sizeof *gradient);
}

/* Sets to 0 what the layers add to: all but the weights that have a map of their own. */
static void clear_gradients(const nft_module *module, const nft_exec *exec, float *grad_in)
{
    const nft_hnp_linear *s = module->state;
    int64_t layers = module->space->layer_count;
    memset(exec->scratch + s->global, 0, (size_t)s->global_size * sizeof *grad_in);
    nft_means_clear(s->means, layers, exec);
    clear(module, grad_in, NFT_WEIGHT_OF(0));
    clear(module, grad_in, NFT_WEIGHT_OF(layers - 1));
    for (int64_t i = 0; i < layers; i++)
        clear(module, grad_in, NFT_BIAS_OF(i));
}

/* The gradient of g's last three parts to where they came from: the transpose of fill_global. */
static void global_backward(const nft_module *module, const nft_exec *exec, float *grad_in)
{
    const nft_hnp_linear *s = module->state;
    int64_t end = module->space->layer_count - 1;
    const nft_layer_means *first = &s->means[0], *last = &s->means[end];
    nft_neuron_rows columns = nft_rows_by_row(first->columns, first->width);
    nft_neuron_rows rows = nft_rows_by_row(last->rows, last->width);
    nft_neuron_rows biases = nft_rows_by_row(last->rows, last->channels);
    float *bias = grad_in + module->space->tensors[NFT_BIAS_OF(end)].offset * module->in.channels;
    nft_neuron_row_add(&columns, 0, exec->scratch + s->first_columns, exec->scratch + first->over_rows);
    nft_neuron_row_add(&rows, 0, exec->scratch + s->last_rows, exec->scratch + last->over_columns);
    nft_neuron_row_add(&biases, 0, exec->scratch + s->last_biases, bias);
}

/* First the gradients of all means, which the layers take from each other, then those of the weights. */
static void backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                     const float *grad_out, float *grad_in)
{
    (void)in;
    (void)out;
    const nft_hnp_linear *s = module->state;
    const nft_tensor *tensors = module->space->tensors;
    int64_t end = module->space->layer_count - 1, channels = module->in.channels;
    clear_gradients(module, exec, grad_in);
    first_backward(module, exec, grad_out, grad_in);
    for (int64_t i = 1; i < end; i++)
        between_backward(module, exec, i, grad_out, grad_in);
    last_backward(module, exec, grad_out, grad_in);
    global_backward(module, exec, grad_in);
    for (int64_t i = 0; i <= end; i++) {
        int64_t weight = tensors[NFT_WEIGHT_OF(i)].offset;
        nft_means_backward(&s->means[i], exec, grad_in + tensors[NFT_BIAS_OF(i)].offset * channels);
        if (i == 0 || i == end)
            nft_means_broadcast_add(&s->means[i], exec, grad_in + weight * channels);
        else
            nft_np_weight_backward(&s->layers[i], &s->means[i], exec,
                                   grad_out + weight * module->out.channels, grad_in + weight * channels);
    }
}

const nft_module_class nft_module_hnp_linear = {.type = "hnp_linear",
                                                .configure = nft_hnp_linear_configure,
                                                .forward = forward,
                                                .backward = backward,
                                                .release = nft_hnp_linear_release};
