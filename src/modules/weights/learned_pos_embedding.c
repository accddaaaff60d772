/* learned_pos_embedding: one learned C-vector for each tensor and one for each index of each ordered axis,
 * added to the tokens that have them. A chain has the tables of arXiv 2305.13546, section 3: one for the
 * layers' weights, one for their biases, one for the inputs and one for the outputs. */
#include "modules/weights/grid_rows.h"

#include <stdio.h>
#include <string.h>

/* A table of parameters: rows first, first + step, … of the grid's. */
typedef struct embedding {
    nft_param values; /* (rows, C) */
    nft_buffer gradient;
    int64_t first, step, rows;
} embedding;

typedef struct state {
    nft_buffer table; /* CALL: all rows of the grid; in backward their gradients */
    nft_grid_scratch scratch;
    int64_t count;
    embedding tables[];
} state;

static nft_status add_table(nft_builder *builder, state *own, int64_t first, int64_t step, int64_t rows,
                            const char *name)
{
    embedding *table = &own->tables[own->count++];
    table->first = first;
    table->step = step;
    table->rows = rows;
    nft_status status = nft_parameter_add(builder, &table->values, true, nft_init_normal(1), 2,
                                          NFT_SHAPE(rows, builder->value.channels), "%s.weight", name);
    return status ? status : nft_gradient_add(builder, &table->values, &table->gradient);
}

/* The tensors of a chain are W_0, v_0, W_1, … */
static nft_status add_tensor_tables(nft_builder *builder, state *own)
{
    int64_t layers = builder->whole->layer_count;
    if (!layers)
        return add_table(builder, own, 0, 1, builder->space->tensor_count, "tensor_emb");
    nft_status status = add_table(builder, own, NFT_WEIGHT_OF(0), 2, layers, "weight_emb");
    return status ? status : add_table(builder, own, NFT_BIAS_OF(0), 2, layers, "bias_emb");
}

static nft_status add_axis_table(nft_builder *builder, state *own, int64_t axis)
{
    const nft_space *space = builder->space;
    char name[64];
    if (builder->whole->layer_count)
        snprintf(name, sizeof name, "%s", axis == 0 ? "inp_emb" : "out_emb");
    else
        snprintf(name, sizeof name, "axis_emb.%lld", (long long)axis);
    return add_table(builder, own, nft_grid_rows_of_axis(space, axis), 1, space->axes[axis].size, name);
}

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    (void)options;
    const nft_space *space = builder->space;
    nft_status status;
    if ((status = nft_require_kind(builder, NFT_VALUE_FEATURES)) ||
        (status =
             nft_module_state(module, sizeof(state) + (size_t)(2 + space->axis_count) * sizeof(embedding))))
        return status;
    state *own = module->state;
    own->table = nft_reserve(builder, NFT_ARENA_CALL, nft_grid_rows(space), builder->value.channels);
    own->scratch = nft_grid_reserve(builder);
    status = add_tensor_tables(builder, own);
    for (int64_t a = 0; a < space->axis_count && !status; a++)
        if (!space->axes[a].permutable)
            status = add_axis_table(builder, own, a);
    return status;
}

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    const state *own = module->state;
    int64_t C = module->in.channels;
    float *rows = nft_at(exec, &own->table);
    for (int64_t i = 0; i < own->count; i++) {
        const embedding *table = &own->tables[i];
        nft_vector()->copy_rows(table->rows, C, nft_param_at(exec, &table->values), C,
                                rows + table->first * C, table->step * C);
    }
    nft_grid_add(exec, module->space, C, rows, in, out);
}

/* grad_in = grad_out; an embedding's gradient is the sum over the tokens that it was added to. */
static void backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                     const float *grad_out, float *grad_in)
{
    (void)in;
    (void)out;
    const state *own = module->state;
    int64_t C = module->in.channels;
    float *rows = nft_at(exec, &own->table);
    memcpy(grad_in, grad_out, (size_t)(module->space->numbers * C) * sizeof *grad_in);
    nft_grid_sum(exec, module->space, C, &own->scratch, grad_out, rows);
    for (int64_t i = 0; i < own->count; i++) {
        const embedding *table = &own->tables[i];
        nft_vector()->copy_rows(table->rows, C, rows + table->first * C, table->step * C,
                                nft_at(exec, &table->gradient), C);
    }
}

const nft_module_class nft_module_learned_pos_embedding = {.type = "learned_pos_embedding",
                                                           .in_place = true,
                                                           .configure = configure,
                                                           .forward = forward,
                                                           .backward = backward};
