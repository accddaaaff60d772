/* simple_layer_norm: (x - mean) / (s + 1e-5) gamma + beta over the effective channels of each weight, s the
 * unbiased standard deviation. */
#include "modules/weights/simple_layer_norm.h"

#include "math/gradients.h"

#include <string.h>

nft_status nft_channel_norms_add(nft_builder *builder, nft_channel_norm *norms, const char *prefix)
{
    if (builder->value.channels < 2)
        return nft_fail(NFT_ERROR_CONFIG, "%s: layer 0's bias has %lld channel, and a norm needs at least 2",
                        builder->where, (long long)builder->value.channels);
    for (int64_t t = 0; t < builder->space->tensor_count; t++) {
        const nft_tensor *tensor = &builder->space->tensors[t];
        nft_channel_norm *norm = &norms[t];
        norm->width = nft_tensor_width(tensor, builder->value.channels);
        const char *kind = tensor->bias ? "v" : "w";
        nft_status status;
        if ((status = nft_parameter_add(builder, &norm->gamma, true, nft_init_constant(1), 1,
                                        NFT_SHAPE(norm->width), "%s%s_norms.%lld.gamma", prefix, kind,
                                        (long long)tensor->layer)))
            return status;
        nft_gradient_add(builder, &norm->gamma_gradient);
        if ((status = nft_parameter_add(builder, &norm->beta, true, nft_init_constant(0), 1,
                                        NFT_SHAPE(norm->width), "%s%s_norms.%lld.beta", prefix, kind,
                                        (long long)tensor->layer)))
            return status;
        nft_gradient_add(builder, &norm->beta_gradient);
    }
    return NFT_OK;
}

void nft_channel_norm_rows(const nft_channel_norm *norm, const float *parameters, int64_t rows,
                           const float *x, float *y)
{
    nft_vector()->simple_layer_norm(rows, norm->width, parameters + norm->gamma, parameters + norm->beta, x,
                                    norm->width, y, norm->width);
}

typedef struct back_work {
    const nft_channel_norm *norms;
    const nft_exec *exec;
    const nft_space *space;
    int64_t channels;
    const float *in, *grad_out;
    float *grad_in;
} back_work;

/* A tensor is one item: the gradients of its gamma and beta are sums over all of its rows. */
static void back_tensor(void *argument, int64_t item, float *thread_scratch)
{
    (void)thread_scratch;
    const back_work *w = argument;
    const nft_channel_norm *norm = &w->norms[item];
    const nft_tensor *tensor = &w->space->tensors[item];
    int64_t n = norm->width, start = tensor->offset * w->channels;
    float *gamma = w->exec->sides + norm->gamma_gradient, *beta = w->exec->sides + norm->beta_gradient;
    memset(gamma, 0, (size_t)n * sizeof *gamma);
    memset(beta, 0, (size_t)n * sizeof *beta);
    nft_vector_gradients()->simple_layer_norm(tensor->tokens, n, w->exec->parameters + norm->gamma,
                                              w->in + start, n, w->grad_out + start, n, w->grad_in + start, n,
                                              gamma, beta);
}

void nft_channel_norms_back(const nft_channel_norm *norms, const nft_exec *exec, const nft_space *space,
                            int64_t channels, const float *in, const float *grad_out, float *grad_in)
{
    back_work w = {norms, exec, space, channels, in, grad_out, grad_in};
    nft_exec_for(exec, space->tensor_count, back_tensor, &w);
}

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    (void)options;
    nft_status status;
    if ((status = nft_require_kind(builder, NFT_VALUE_FEATURES)) ||
        (status = nft_module_state(module, (size_t)builder->space->tensor_count * sizeof(nft_channel_norm))))
        return status;
    return nft_channel_norms_add(builder, module->state, "");
}

typedef struct work {
    const nft_module *module;
    const float *parameters, *in;
    float *out;
} work;

static void chunk(void *argument, int64_t item, float *thread_scratch)
{
    (void)thread_scratch;
    const work *w = argument;
    nft_rows rows = nft_rows_at(w->module->space, item);
    const nft_channel_norm *norm = (const nft_channel_norm *)w->module->state + rows.tensor;
    int64_t start =
        w->module->space->tensors[rows.tensor].offset * w->module->in.channels + rows.first * norm->width;
    nft_channel_norm_rows(norm, w->parameters, rows.count, w->in + start, w->out + start);
}

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    work w = {module, exec->parameters, in, out};
    nft_exec_for(exec, nft_rows_count(module->space), chunk, &w);
}

static void backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                     const float *grad_out, float *grad_in)
{
    (void)out;
    nft_channel_norms_back(module->state, exec, module->space, module->in.channels, in, grad_out, grad_in);
}

const nft_module_class nft_module_simple_layer_norm = {.type = "simple_layer_norm",
                                                       .in_place = true,
                                                       .configure = configure,
                                                       .forward = forward,
                                                       .backward = backward};
