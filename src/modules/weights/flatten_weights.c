/* Features to one token for each weight and bias, and back. A sample's features with one filter position
 * already are that matrix of tokens in memory, so nothing moves. */
#include "modules/sequence/tokens.h"

#include <inttypes.h>
#include <string.h>

static nft_status flatten_configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    (void)options;
    nft_status status = nft_require_kind(builder, NFT_VALUE_FEATURES);
    if (status || (status = nft_require_flat_space(builder)))
        return status;
    module->out.kind = NFT_VALUE_TOKENS;
    module->out.tokens = builder->space->tokens;
    return NFT_OK;
}

static nft_status unflatten_configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    (void)options;
    nft_status status = nft_require_kind(builder, NFT_VALUE_TOKENS);
    if (status || (status = nft_require_flat_space(builder)))
        return status;
    if (builder->value.tokens != builder->space->tokens)
        return nft_fail(NFT_ERROR_CONFIG,
                        "%s: takes %" PRId64
                        " tokens, one for each weight and bias of the space, but %" PRId64 " arrive",
                        builder->where, builder->space->tokens, builder->value.tokens);
    module->out.kind = NFT_VALUE_FEATURES;
    module->out.tokens = 0;
    return NFT_OK;
}

static void same_memory(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    (void)exec;
    if (out != in)
        memcpy(out, in, (size_t)nft_value_floats(&module->in, module->space) * sizeof *out);
}

static void same_memory_back(const nft_module *module, const nft_exec *exec, const float *in,
                             const float *out, const float *grad_out, float *grad_in)
{
    (void)in;
    (void)out;
    same_memory(module, exec, grad_out, grad_in);
}

const nft_module_class nft_module_flatten_weights = {.type = "flatten_weights",
                                                     .any_space = NFT_ANY_SPACE_LIFTED,
                                                     .in_place = true,
                                                     .configure = flatten_configure,
                                                     .forward = same_memory,
                                                     .backward = same_memory_back};

const nft_module_class nft_module_unflatten_weights = {.type = "unflatten_weights",
                                                       .in_place = true,
                                                       .configure = unflatten_configure,
                                                       .forward = same_memory,
                                                       .backward = same_memory_back};
