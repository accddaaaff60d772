/* Dropout of single numbers, on any value. */
#include "modules/shared/dropout.h"

#include "base/random.h"

nft_status nft_dropout_read(nft_dropout *dropout, const nft_builder *builder, nft_options *options)
{
    dropout->stream = nft_random_stream(builder->path);
    nft_status status = nft_options_number(options, "p", true, 0, 1, &dropout->p);
    if (!status && dropout->p >= 1)
        return nft_fail(NFT_ERROR_CONFIG, "%s: 'p' must be below 1, found %g", builder->where, dropout->p);
    return status;
}

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    nft_status status = nft_module_state(module, sizeof(nft_dropout));
    return status ? status : nft_dropout_read(module->state, builder, options);
}

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    const nft_dropout *state = module->state;
    nft_drop(exec, state->stream, state->p, nft_value_floats(&module->in, module->space), in, out);
}

static void backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                     const float *grad_out, float *grad_in)
{
    (void)in;
    (void)out;
    forward(module, exec, grad_out, grad_in);
}

const nft_module_class nft_module_dropout = {.type = "dropout",
                                             .in_place = true,
                                             .any_space = NFT_ANY_SPACE_ALWAYS,
                                             .configure = configure,
                                             .forward = forward,
                                             .backward = backward};
