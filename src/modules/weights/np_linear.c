/* The linear layer that is equivariant to permutations of every neuron axis, inputs and outputs included
 * (Zhou et al., "Permutation Equivariant Neural Functionals", arXiv 2302.14040): each weight and bias is
 * mapped by itself and by the means over the axes that it shares with others. */
#include "modules/weights/np_layer.h"
#include "modules/sequence/tokens.h"

#include <string.h>

/* Embeddings that tell input and output neurons apart: parameters, and the scratch of the tensors that they
 * are added to. */
typedef struct io_embed {
    int64_t in, out, out_bias;
    int64_t in_rows, out_rows, out_bias_rows; /* transposed: (n_0, f_0·C), (n_L, f_{L-1}·C), (n_L, C) */
    int64_t first, last, last_bias;           /* W_0, W_{L-1}, v_{L-1}, embedded */
    int64_t kept_first, kept_last;            /* in training the first two are here */
    int64_t in_gradient, out_gradient, out_bias_gradient;
} io_embed;

typedef struct np_linear {
    bool embeds;
    io_embed embed;
    int64_t global; /* scratch: g = [M_0 … M_{L-1}, m_0 … m_{L-1}]; in backward its gradient */
    int64_t kept_global;
    int64_t global_size;
    nft_np_scratch scratch;
    nft_layer_means *means; /* of each layer */
    nft_np_layer *layers;
} np_linear;

static nft_status add_embeddings(np_linear *s, nft_module *module, nft_builder *builder)
{
    const nft_space *space = builder->space;
    const nft_tensor *first = &space->tensors[0],
                     *last = &space->tensors[NFT_WEIGHT_OF(space->layer_count - 1)];
    int64_t channels = builder->value.channels, rows = last->rows, columns = first->columns;
    int64_t first_width = nft_size_multiply(first->positions, channels);
    int64_t last_width = nft_size_multiply(last->positions, channels);
    io_embed *e = &s->embed;
    e->in_rows = nft_reserve(&module->scratch, nft_size_multiply(columns, first_width));
    e->out_rows = nft_reserve(&module->scratch, nft_size_multiply(rows, last_width));
    e->out_bias_rows = nft_reserve(&module->scratch, nft_size_multiply(rows, channels));
    e->first = nft_reserve(&module->scratch, nft_size_multiply(first->tokens, first_width));
    e->last =
        first == last ? e->first : nft_reserve(&module->scratch, nft_size_multiply(last->tokens, last_width));
    e->last_bias = nft_reserve(&module->scratch, nft_size_multiply(rows, channels));
    nft_init normal = nft_init_normal(1);
    nft_status status = nft_parameter_add(builder, &e->in, true, normal, 4,
                                          NFT_SHAPE(1, first_width, 1, columns), "in_embed");
    if (status)
        return status;
    nft_gradient_add(builder, &e->in_gradient);
    status =
        nft_parameter_add(builder, &e->out, true, normal, 4, NFT_SHAPE(1, last_width, rows, 1), "out_embed");
    if (status)
        return status;
    nft_gradient_add(builder, &e->out_gradient);
    status = nft_parameter_add(builder, &e->out_bias, true, normal, 3, NFT_SHAPE(1, channels, rows),
                               "out_bias_embed");
    if (!status)
        nft_gradient_add(builder, &e->out_bias_gradient);
    return status;
}

/* Where in the kept memory each W_i that the maps see stands: where it arrived, or embedded. */
static void keep_layers(np_linear *s, nft_builder *builder)
{
    const nft_space *space = builder->space;
    int64_t channels = builder->value.channels, end = space->layer_count - 1;
    const nft_tensor *first = &space->tensors[0], *last = &space->tensors[NFT_WEIGHT_OF(end)];
    io_embed *e = &s->embed;
    s->kept_global = nft_reserve(builder->kept, s->global_size);
    if (s->embeds) {
        e->kept_first = nft_reserve(
            builder->kept, nft_size_multiply(first->tokens, nft_size_multiply(first->positions, channels)));
        e->kept_last = e->kept_first;
        if (end > 0)
            e->kept_last = nft_reserve(
                builder->kept, nft_size_multiply(last->tokens, nft_size_multiply(last->positions, channels)));
    }
    for (int64_t i = 0; i <= end; i++) {
        int64_t weight = nft_size_add(builder->in_kept,
                                      nft_size_multiply(space->tensors[NFT_WEIGHT_OF(i)].offset, channels));
        if (s->embeds && (i == 0 || i == end))
            weight = i == 0 ? e->kept_first : e->kept_last;
        nft_np_layer_keep(builder, &s->layers[i], weight, s->kept_global);
    }
}

static nft_status add_layers(np_linear *s, nft_module *module, nft_builder *builder, bool kaiming)
{
    const nft_space *space = builder->space;
    int64_t channels = builder->value.channels;
    nft_np_widths widths = {.out_channels = module->out.channels,
                            .global = nft_means_global(space, channels)};
    nft_status status = NFT_OK;
    for (int64_t i = 0; i < space->layer_count && !status; i++) {
        widths.row_input = nft_np_row_width(space, channels, i);
        widths.column_input = nft_np_column_width(space, channels, i);
        status = nft_np_layer_add(builder, &s->layers[i], i, &widths, kaiming);
        nft_np_scratch_grow(&s->scratch, &s->layers[i]);
        module->flops = nft_size_add(module->flops, nft_np_layer_flops(&s->layers[i]));
    }
    s->global_size = widths.global;
    s->global = nft_reserve(&module->scratch, s->global_size);
    nft_means_plan(s->means, space, channels, s->global, &module->scratch);
    nft_np_scratch_reserve(&s->scratch, &module->scratch);
    return status;
}

static nft_status allocate(np_linear *s, int64_t layers)
{
    s->means = nft_allocate_array((size_t)layers, sizeof *s->means);
    s->layers = nft_allocate_array((size_t)layers, sizeof *s->layers);
    if (s->means && s->layers)
        return NFT_OK;
    return nft_fail_memory("np_linear", nft_size_multiply(layers, sizeof *s->means + sizeof *s->layers));
}

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    static const char *const inits[] = {"pytorch_default", "kaiming_normal"};
    bool embeds = false;
    int init = 0;
    nft_status status = nft_require_kind(builder, NFT_VALUE_FEATURES);
    if (status ||
        (status =
             nft_options_integer(options, "out_channels", true, 1, NFT_MAX_WIDTH, &module->out.channels)) ||
        (status = nft_options_boolean(options, "io_embed", false, &embeds)) ||
        (status = nft_options_choice(options, "init", false, inits, 2, &init)) ||
        (status = nft_module_state(module, sizeof(np_linear))))
        return status;
    np_linear *s = module->state;
    s->embeds = embeds;
    if ((status = allocate(s, builder->space->layer_count)) ||
        (status = add_layers(s, module, builder, init == 1)))
        return status;
    keep_layers(s, builder);
    return embeds ? add_embeddings(s, module, builder) : NFT_OK;
}

static void release(nft_module *module)
{
    np_linear *s = module->state;
    nft_release(s->means);
    nft_release(s->layers);
}

static void transpose(const nft_exec *exec, int64_t rows, int64_t channels, int64_t parameter, int64_t offset)
{
    nft_neuron_part part = {.layout = nft_rows_transposed(rows, channels),
                            .tensor = exec->parameters + parameter};
    nft_neuron_parts_gather(exec, rows, &part, 1, exec->scratch + offset);
}

/* Where W_0 and W_{L-1} are embedded. */
static float *first_of(const nft_exec *exec, const io_embed *e)
{
    return exec->kept ? exec->kept + e->kept_first : exec->scratch + e->first;
}

static float *last_of(const nft_exec *exec, const io_embed *e)
{
    return exec->kept ? exec->kept + e->kept_last : exec->scratch + e->last;
}

/* Copies W_0, W_{L-1} and v_{L-1} and adds the embeddings: in_embed to W_0's columns, the others to rows. */
static void embed(const nft_module *module, const nft_exec *exec, const float *in)
{
    const np_linear *s = module->state;
    const io_embed *e = &s->embed;
    const nft_space *space = module->space;
    const nft_layer_means *means = s->means, *end = &means[space->layer_count - 1];
    const nft_tensor *first = &space->tensors[0],
                     *last = &space->tensors[NFT_WEIGHT_OF(space->layer_count - 1)];
    int64_t channels = module->in.channels;
    float *w0 = first_of(exec, e), *w = last_of(exec, e), *v = exec->scratch + e->last_bias;
    transpose(exec, first->columns, means->width, e->in, e->in_rows);
    transpose(exec, last->rows, end->width, e->out, e->out_rows);
    transpose(exec, last->rows, channels, e->out_bias, e->out_bias_rows);
    memcpy(w0, in + first->offset * channels, (size_t)(first->tokens * means->width) * sizeof *w0);
    nft_broadcast_add(first->columns, means->width, exec->scratch + e->in_rows, NULL, 0, first->tokens, w0);
    if (last != first)
        memcpy(w, in + last->offset * channels, (size_t)(last->tokens * end->width) * sizeof *w);
    nft_broadcast_add(last->columns, end->width, NULL, exec->scratch + e->out_rows, 0, last->tokens, w);
    memcpy(v, in + last[1].offset * channels, (size_t)(last->rows * channels) * sizeof *v);
    nft_vector()->add(last->rows * channels, exec->scratch + e->out_bias_rows, v);
}

/* W_i or v_i, embedded where that is asked for. */
static const float *tensor_of(const nft_module *module, const nft_exec *exec, const float *in, int64_t tensor)
{
    const np_linear *s = module->state;
    const nft_space *space = module->space;
    if (s->embeds && tensor == 0)
        return first_of(exec, &s->embed);
    if (s->embeds && tensor == space->tensor_count - 2)
        return last_of(exec, &s->embed);
    if (s->embeds && tensor == space->tensor_count - 1)
        return exec->scratch + s->embed.last_bias;
    return in + space->tensors[tensor].offset * module->in.channels;
}

static void layer_forward(const nft_module *module, const nft_exec *exec, const float *in, int64_t i,
                          float *out)
{
    const np_linear *s = module->state;
    const nft_space *space = module->space;
    const nft_np_layer *layer = &s->layers[i];
    const float *bias = tensor_of(module, exec, in, NFT_BIAS_OF(i));
    const float *previous = i > 0 ? tensor_of(module, exec, in, NFT_BIAS_OF(i - 1)) : NULL;
    nft_neuron_part parts[NFT_NP_MAX_PARTS];
    int count = nft_np_row_parts(s->means, i, exec->scratch, previous, parts);
    nft_neuron_parts_gather(exec, layer->columns, parts, count, nft_np_row_input(layer, &s->scratch, exec));
    count = nft_np_column_parts(s->means, i, space->layer_count, exec->scratch, bias, parts);
    nft_neuron_parts_gather(exec, layer->rows, parts, count, nft_np_column_input(layer, &s->scratch, exec));
    nft_np_layer_forward(layer, &s->scratch, exec, exec->scratch + s->global,
                         tensor_of(module, exec, in, NFT_WEIGHT_OF(i)),
                         out + space->tensors[NFT_WEIGHT_OF(i)].offset * module->out.channels,
                         out + space->tensors[NFT_BIAS_OF(i)].offset * module->out.channels);
}

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    const np_linear *s = module->state;
    int64_t layers = module->space->layer_count;
    if (s->embeds)
        embed(module, exec, in);
    for (int64_t i = 0; i < layers; i++)
        nft_means_forward(&s->means[i], exec, tensor_of(module, exec, in, NFT_WEIGHT_OF(i)),
                          tensor_of(module, exec, in, NFT_BIAS_OF(i)));
    if (exec->kept)
        memcpy(exec->kept + s->kept_global, exec->scratch + s->global,
               (size_t)s->global_size * sizeof *exec->kept);
    for (int64_t i = 0; i < layers; i++)
        layer_forward(module, exec, in, i, out);
}

/* Adds the gradients of layer i's row and column inputs to those of the means and biases they came from. */
static void layer_backward(const nft_module *module, const nft_exec *exec, int64_t i, const float *grad_out,
                           float *grad_in)
{
    const np_linear *s = module->state;
    const nft_tensor *tensors = module->space->tensors;
    const nft_np_layer *layer = &s->layers[i];
    int64_t channels = module->in.channels, out_channels = module->out.channels;
    nft_np_layer_backward(
        layer, &s->scratch, exec, grad_out + tensors[NFT_WEIGHT_OF(i)].offset * out_channels,
        grad_out + tensors[NFT_BIAS_OF(i)].offset * out_channels, exec->scratch + s->global);
    const float *bias = grad_in + tensors[NFT_BIAS_OF(i)].offset * channels;
    const float *previous = i > 0 ? grad_in + tensors[NFT_BIAS_OF(i - 1)].offset * channels : NULL;
    nft_neuron_part parts[NFT_NP_MAX_PARTS];
    int count = nft_np_row_parts(s->means, i, exec->scratch, previous, parts);
    nft_neuron_parts_scatter_add(exec, layer->columns, parts, count, exec->scratch + s->scratch.row_input);
    count = nft_np_column_parts(s->means, i, module->space->layer_count, exec->scratch, bias, parts);
    nft_neuron_parts_scatter_add(exec, layer->rows, parts, count, exec->scratch + s->scratch.column_input);
}

/* The gradient of an embedding in PyTorch's order, from its transpose (rows, channels). */
static void transpose_back(int64_t rows, int64_t channels, const float *x, float *gradient)
{
    nft_neuron_rows layout = nft_rows_transposed(rows, channels);
    for (int64_t row = 0; row < rows; row++)
        nft_neuron_row_put(&layout, row, x + row * channels, gradient);
}

/* An embedding gets the sum over where it was added. */
static void embed_backward(const nft_module *module, const nft_exec *exec, const float *grad_in)
{
    const np_linear *s = module->state;
    const io_embed *e = &s->embed;
    int64_t end = module->space->layer_count - 1, channels = module->in.channels;
    const nft_layer_means *first = &s->means[0], *last = &s->means[end];
    const nft_tensor *weight = &module->space->tensors[NFT_WEIGHT_OF(end)];
    float *in_rows = exec->scratch + e->in_rows, *out_rows = exec->scratch + e->out_rows;
    nft_sum_rows(exec, first->rows, first->columns * first->width, grad_in, in_rows);
    nft_sum_columns(exec, last->rows, last->columns, last->width, grad_in + weight->offset * channels,
                    out_rows);
    transpose_back(first->columns, first->width, in_rows, exec->sides + e->in_gradient);
    transpose_back(last->rows, last->width, out_rows, exec->sides + e->out_gradient);
    transpose_back(last->rows, channels, grad_in + weight[1].offset * channels,
                   exec->sides + e->out_bias_gradient);
}

/* First the gradients of all means, which the layers take from each other, then those of the weights. */
static void backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                     const float *grad_out, float *grad_in)
{
    (void)in;
    (void)out;
    const np_linear *s = module->state;
    const nft_tensor *tensors = module->space->tensors;
    int64_t layers = module->space->layer_count, channels = module->in.channels;
    memset(exec->scratch + s->global, 0, (size_t)s->global_size * sizeof *grad_in);
    nft_means_clear(s->means, layers, exec);
    for (int64_t i = 0; i < layers; i++) {
        const nft_tensor *bias = &tensors[NFT_BIAS_OF(i)];
        memset(grad_in + bias->offset * channels, 0, (size_t)(bias->tokens * channels) * sizeof *grad_in);
    }
    for (int64_t i = 0; i < layers; i++)
        layer_backward(module, exec, i, grad_out, grad_in);
    for (int64_t i = 0; i < layers; i++) {
        const nft_tensor *weight = &tensors[NFT_WEIGHT_OF(i)];
        nft_means_backward(&s->means[i], exec, grad_in + tensors[NFT_BIAS_OF(i)].offset * channels);
        nft_np_weight_backward(&s->layers[i], &s->means[i], exec,
                               grad_out + weight->offset * module->out.channels,
                               grad_in + weight->offset * channels);
    }
    if (s->embeds)
        embed_backward(module, exec, grad_in);
}

const nft_module_class nft_module_np_linear = {.type = "np_linear",
                                               .configure = configure,
                                               .forward = forward,
                                               .backward = backward,
                                               .release = release};
