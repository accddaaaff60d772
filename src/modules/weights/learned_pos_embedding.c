/* learned_pos_embedding: one learned C-vector for each layer's weights and biases, each input and each output
 * neuron (arXiv 2305.13546, section 3). The same at every filter position. */
#include "modules/weights/features.h"

#include <string.h>

typedef struct embedding {
    int64_t values;   /* the parameter, rows of C */
    int64_t gradient; /* sides */
    int64_t rows;
} embedding;

typedef struct state {
    embedding weight, bias;  /* (L, C) */
    embedding input, output; /* (n_0, C), (n_L, C) */
} state;

static nft_status add_table(nft_builder *builder, embedding *table, int64_t rows, const char *name)
{
    table->rows = rows;
    nft_status status = nft_parameter_add(builder, &table->values, true, nft_init_normal(1), 2,
                                          NFT_SHAPE(rows, builder->value.channels), "%s.weight", name);
    if (!status)
        nft_gradient_add(builder, &table->gradient);
    return status;
}

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    (void)options;
    nft_status status;
    if ((status = nft_require_kind(builder, NFT_VALUE_FEATURES)) ||
        (status = nft_module_state(module, sizeof(state))))
        return status;
    state *own = module->state;
    const nft_space *space = builder->space;
    int64_t L = space->layer_count;
    if ((status = add_table(builder, &own->weight, L, "weight_emb")) ||
        (status = add_table(builder, &own->bias, L, "bias_emb")) ||
        (status = add_table(builder, &own->input, space->layers[0].in, "inp_emb")))
        return status;
    nft_reserve(&module->training_scratch, builder->value.channels);
    return add_table(builder, &own->output, space->layers[L - 1].out, "out_emb");
}

typedef struct work {
    const nft_module *module;
    const float *parameters, *in;
    float *out;
} work;

static void add_embedding(int64_t C, int64_t f, const float *values, float *y)
{
    if (f == 1) {
        nft_vector()->add(C, values, y);
        return;
    }
    for (int64_t c = 0; c < C; c++)
        for (int64_t position = 0; position < f; position++)
            y[c * f + position] += values[c];
}

static void embed(const work *w, const nft_tensor *tensor, int64_t token)
{
    const state *own = w->module->state;
    int64_t C = w->module->in.channels, f = tensor->positions;
    int64_t start = (tensor->offset + token * f) * C;
    float *y = w->out + start;
    nft_vector()->copy_scaled(C * f, 1, w->in + start, y);
    add_embedding(C, f, w->parameters + (tensor->bias ? own->bias : own->weight).values + tensor->layer * C,
                  y);
    if (tensor->column_axis == 0)
        add_embedding(C, f, w->parameters + own->input.values + token % tensor->columns * C, y);
    if (tensor->layer == w->module->space->layer_count - 1)
        add_embedding(C, f, w->parameters + own->output.values + token / tensor->columns * C, y);
}

static void chunk(void *argument, int64_t item, float *thread_scratch)
{
    (void)thread_scratch;
    const work *w = argument;
    nft_rows rows = nft_rows_at(w->module->space, item);
    for (int64_t i = 0; i < rows.count; i++)
        embed(w, &w->module->space->tensors[rows.tensor], rows.first + i);
}

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    work w = {module, exec->parameters, in, out};
    nft_exec_for(exec, nft_rows_count(module->space), chunk, &w);
}

static void add_gradient(int64_t C, int64_t f, const float *gradient, float *sum)
{
    if (f == 1) {
        nft_vector()->add(C, gradient, sum);
        return;
    }
    for (int64_t c = 0; c < C; c++)
        for (int64_t position = 0; position < f; position++)
            sum[c] += gradient[c * f + position];
}

/* The rows of a tensor are summed by themselves, which is what the last layer's neurons want, and so that the
 * rounding errors of many tokens do not add up. */
static void tensor_backward(const nft_module *module, const nft_exec *exec, const nft_tensor *tensor,
                            const float *grad_out)
{
    const state *own = module->state;
    int64_t C = module->in.channels, f = tensor->positions;
    float *of_layer = exec->sides + (tensor->bias ? own->bias : own->weight).gradient + tensor->layer * C,
          *sum = exec->scratch;
    for (int64_t row = 0; row < tensor->rows; row++) {
        memset(sum, 0, (size_t)C * sizeof *sum);
        for (int64_t column = 0; column < tensor->columns; column++) {
            const float *gradient = grad_out + (tensor->offset + (row * tensor->columns + column) * f) * C;
            add_gradient(C, f, gradient, sum);
            if (tensor->column_axis == 0)
                add_gradient(C, f, gradient, exec->sides + own->input.gradient + column * C);
        }
        nft_vector()->add(C, sum, of_layer);
        if (tensor->layer == module->space->layer_count - 1)
            nft_vector()->add(C, sum, exec->sides + own->output.gradient + row * C);
    }
}

/* grad_in = grad_out; an embedding's gradient is the sum over the tokens that it was added to. */
static void backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                     const float *grad_out, float *grad_in)
{
    (void)in;
    (void)out;
    const state *own = module->state;
    const nft_space *space = module->space;
    const embedding *tables[] = {&own->weight, &own->bias, &own->input, &own->output};
    int64_t C = module->in.channels;
    memcpy(grad_in, grad_out, (size_t)(space->numbers * C) * sizeof *grad_in);
    for (int i = 0; i < 4; i++)
        memset(exec->sides + tables[i]->gradient, 0, (size_t)(tables[i]->rows * C) * sizeof *grad_in);
    for (int64_t t = 0; t < space->tensor_count; t++)
        tensor_backward(module, exec, &space->tensors[t], grad_out);
}

const nft_module_class nft_module_learned_pos_embedding = {.type = "learned_pos_embedding",
                                                           .in_place = true,
                                                           .configure = configure,
                                                           .forward = forward,
                                                           .backward = backward};
