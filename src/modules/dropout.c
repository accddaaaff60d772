/* Dropout of single numbers, on any value. */
#include "modules/dropout.h"

#include <string.h>

nft_status nft_dropout_configure(nft_module *module, const nft_builder *builder, nft_options *options)
{
    nft_status status = nft_module_state(module, sizeof(nft_dropout));
    if (status)
        return status;
    nft_dropout *dropout = module->state;
    status = nft_options_number(options, "p", true, 0, 1, &dropout->p);
    if (!status && dropout->p >= 1)
        return nft_fail(NFT_ERROR_CONFIG, "%s: 'p' must be below 1, found %g", builder->where, dropout->p);
    return status;
}

void nft_dropout_forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    (void)exec;
    if (out != in)
        memcpy(out, in, (size_t)nft_value_floats(&module->in, module->space) * sizeof *out);
}

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    return nft_dropout_configure(module, builder, options);
}

const nft_module_class nft_module_dropout = {
    .type = "dropout", .in_place = true, .configure = configure, .forward = nft_dropout_forward};
