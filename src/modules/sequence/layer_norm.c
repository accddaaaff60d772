/* PyTorch's LayerNorm over the channels of each token, or over a vector. */
#include "modules/sequence/tokens.h"

typedef struct layer_norm {
    int64_t rows;
    nft_norm norm;
} layer_norm;

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    (void)options;
    int64_t rows = 0;
    nft_status status = nft_require_rows(builder, &rows);
    if (status || (status = nft_module_state(module, sizeof(layer_norm))))
        return status;
    layer_norm *state = module->state;
    state->rows = rows;
    return nft_norm_add(builder, &state->norm, builder->value.channels, "", "");
}

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    const layer_norm *state = module->state;
    nft_norm_rows(exec, &state->norm, state->rows, in, out);
}

static void backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                     const float *grad_out, float *grad_in)
{
    (void)out;
    const layer_norm *state = module->state;
    nft_norm_rows_back(exec, &state->norm, state->rows, in, grad_out, grad_in);
}

const nft_module_class nft_module_layer_norm = {.type = "layer_norm",
                                                .in_place = true,
                                                .any_space = NFT_ANY_SPACE_ALWAYS,
                                                .configure = configure,
                                                .forward = forward,
                                                .backward = backward};
