/* A linear map of each token, or of a vector. */
#include "modules/sequence/tokens.h"

#include <inttypes.h>
#include <string.h>

typedef struct linear {
    int64_t rows;
    nft_map map;
    nft_buffer gradient; /* BACKWARD: of the output, (rows, out_features) */
} linear;

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    int64_t rows = 0, outputs = 0, inputs = builder->value.channels;
    nft_status status = nft_require_rows(builder, &rows);
    if (status || (status = nft_options_integer(options, "out_features", true, 1, NFT_MAX_WIDTH, &outputs)) ||
        (status = nft_module_state(module, sizeof(linear))))
        return status;
    if (inputs > NFT_GEMM_MAX_SIZE)
        return nft_fail(NFT_ERROR_LIMIT, "%s: %" PRId64 " numbers arrive, at most %" PRId64 " can be mapped",
                        builder->where, inputs, NFT_GEMM_MAX_SIZE);
    linear *state = module->state;
    state->rows = rows;
    module->out.channels = outputs;
    status = nft_map_add_as(builder, &state->map, outputs, inputs, 0, nft_init_fan(inputs), "weight",
                            nft_init_fan(inputs), "bias");
    if (status)
        return status;
    module->flops = nft_map_flops(&state->map, rows);
    state->gradient = nft_reserve(builder, NFT_ARENA_BACKWARD, rows, outputs);
    nft_buffer x = nft_buffer_part(&builder->arrives, 0, rows, inputs, inputs);
    return nft_gradient_of_map(builder, &state->map, &x, &state->gradient);
}

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    const linear *state = module->state;
    nft_exec_linear(exec, &state->map, state->rows, in, out, NFT_MAP_SET);
}

static void backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                     const float *grad_out, float *grad_in)
{
    (void)in;
    (void)out;
    const linear *state = module->state;
    float *dy = nft_at(exec, &state->gradient);
    memcpy(dy, grad_out, (size_t)(state->rows * state->map.outputs) * sizeof *dy);
    nft_exec_linear_back(exec, &state->map, state->rows, grad_out, grad_in, NFT_MAP_SET);
}

const nft_module_class nft_module_linear = {.type = "linear",
                                            .any_space = NFT_ANY_SPACE_ALWAYS,
                                            .configure = configure,
                                            .forward = forward,
                                            .backward = backward};
