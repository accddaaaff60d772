/* learned_pos_embedding: one learned C-vector for each layer's weights and biases, each input and each output
 * neuron (arXiv 2305.13546, section 3). The same at every filter position. */
#include "modules/features.h"

typedef struct state {
    int64_t weight, bias;  /* (L, C) */
    int64_t input, output; /* (n_0, C), (n_L, C) */
} state;

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    (void)options;
    nft_status status;
    if ((status = nft_require_kind(builder, NFT_VALUE_FEATURES)) ||
        (status = nft_module_state(module, sizeof(state))))
        return status;
    state *own = module->state;
    const nft_space *space = builder->space;
    int64_t C = builder->value.channels, L = space->layer_count;
    nft_init init = nft_init_normal(1);
    if ((status =
             nft_parameter_add(builder, &own->weight, true, init, 2, NFT_SHAPE(L, C), "weight_emb.weight")) ||
        (status =
             nft_parameter_add(builder, &own->bias, true, init, 2, NFT_SHAPE(L, C), "bias_emb.weight")) ||
        (status = nft_parameter_add(builder, &own->input, true, init, 2, NFT_SHAPE(space->layers[0].in, C),
                                    "inp_emb.weight")))
        return status;
    return nft_parameter_add(builder, &own->output, true, init, 2, NFT_SHAPE(space->layers[L - 1].out, C),
                             "out_emb.weight");
}

typedef struct work {
    const nft_module *module;
    const float *parameters, *in;
    float *out;
} work;

static void add_embedding(int64_t C, int64_t f, const float *embedding, float *y)
{
    if (f == 1) {
        nft_vector()->add(C, embedding, y);
        return;
    }
    for (int64_t c = 0; c < C; c++)
        for (int64_t position = 0; position < f; position++)
            y[c * f + position] += embedding[c];
}

static void embed(const work *w, const nft_tensor *tensor, int64_t token)
{
    const state *own = w->module->state;
    int64_t C = w->module->in.channels, f = tensor->positions;
    int64_t start = (tensor->offset + token * f) * C;
    float *y = w->out + start;
    nft_vector()->copy_scaled(C * f, 1, w->in + start, y);
    add_embedding(C, f, w->parameters + (tensor->bias ? own->bias : own->weight) + tensor->layer * C, y);
    if (tensor->column_axis == 0)
        add_embedding(C, f, w->parameters + own->input + token % tensor->columns * C, y);
    if (tensor->layer == w->module->space->layer_count - 1)
        add_embedding(C, f, w->parameters + own->output + token / tensor->columns * C, y);
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

const nft_module_class nft_module_learned_pos_embedding = {
    .type = "learned_pos_embedding", .in_place = true, .configure = configure, .forward = forward};
