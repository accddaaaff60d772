/* simple_layer_norm: (x - mean) / (s + 1e-5) gamma + beta over the effective channels of each weight, s the
 * unbiased standard deviation. */
#include "modules/weights/simple_layer_norm.h"

#include "math/gradients.h"

#include <inttypes.h>
#include <string.h>

static nft_status require_two_channels(const nft_builder *builder)
{
    for (int64_t t = 0; t < builder->space->tensor_count; t++) {
        const nft_tensor *tensor = &builder->space->tensors[t];
        int64_t width = nft_tensor_width(tensor, builder->value.channels);
        if (width < 2)
            return nft_fail(NFT_ERROR_CONFIG,
                            "%s: tensor '%s' has %" PRId64
                            " channel, and a norm needs at least 2; put gaussian_fourier, pointwise or lift "
                            "before it",
                            builder->where, tensor->name, width);
    }
    return NFT_OK;
}

/* gamma and beta of one owner. */
static nft_status add_owner(nft_builder *builder, int64_t owner, const char *prefix, nft_param *gamma,
                            nft_param *beta)
{
    char name[NFT_OWNER_NAME];
    nft_owner_name(name, builder, owner, "w_norms", "v_norms", "norms");
    int64_t width = nft_owner_width(builder, owner, builder->value.channels);
    nft_status status = nft_parameter_add(builder, gamma, true, nft_init_constant(1), 1, NFT_SHAPE(width),
                                          "%s%s.gamma", prefix, name);
    if (status)
        return status;
    return nft_parameter_add(builder, beta, true, nft_init_constant(0), 1, NFT_SHAPE(width), "%s%s.beta",
                             prefix, name);
}

nft_status nft_channel_norms_add(nft_builder *builder, nft_channel_norms *norms, nft_channel_norm *items,
                                 const char *prefix)
{
    const nft_space *space = builder->space;
    nft_status status = require_two_channels(builder);
    if (status)
        return status;
    *norms = (nft_channel_norms){.space = space,
                                 .channels = builder->value.channels,
                                 .owners = nft_owner_count(builder),
                                 .items = items};
    for (int64_t owner = 0; owner < norms->owners; owner++) {
        nft_param gamma, beta;
        if ((status = add_owner(builder, owner, prefix, &gamma, &beta)))
            return status;
        for (int64_t t = 0; t < space->tensor_count; t++) {
            if (nft_owner_of(builder, t) != owner)
                continue;
            nft_channel_norm *norm = &items[t];
            *norm = (nft_channel_norm){.width = nft_tensor_width(&space->tensors[t], norms->channels),
                                       .owner = owner,
                                       .gamma = gamma,
                                       .beta = beta};
            if ((status = nft_gradient_add(builder, &gamma, &norm->gamma_gradient)) ||
                (status = nft_gradient_add(builder, &beta, &norm->beta_gradient)))
                return status;
        }
    }
    return NFT_OK;
}

void nft_channel_norm_rows(const nft_channel_norm *norm, const nft_exec *exec, int64_t rows, const float *x,
                           float *y)
{
    nft_vector()->simple_layer_norm(rows, norm->width, nft_param_at(exec, &norm->gamma),
                                    nft_param_at(exec, &norm->beta), x, norm->width, y, norm->width);
}

/* Rows whose gradient is still in the first cache when the residual's is added. */
#define BACK_ROWS 64

typedef struct back_work {
    const nft_channel_norms *norms;
    const nft_exec *exec;
    const float *in, *grad_out, *added;
    float *grad_in;
} back_work;

static void back_tensor(const back_work *w, int64_t t, float *gamma_gradient, float *beta_gradient)
{
    const nft_channel_norm *norm = &w->norms->items[t];
    const nft_tensor *tensor = &w->norms->space->tensors[t];
    const float *gamma = nft_param_at(w->exec, &norm->gamma);
    int64_t n = norm->width, start = tensor->offset * w->norms->channels;
    for (int64_t row = 0; row < tensor->tokens; row += BACK_ROWS, start += BACK_ROWS * n) {
        int64_t rows = tensor->tokens - row < BACK_ROWS ? tensor->tokens - row : BACK_ROWS;
        nft_vector_gradients()->simple_layer_norm(rows, n, gamma, w->in + start, n, w->grad_out + start, n,
                                                  w->grad_in + start, n, gamma_gradient, beta_gradient);
        if (w->added)
            nft_vector()->add(rows * n, w->added + start, w->grad_in + start);
    }
}

/* An owner is one item: the gradients of its gamma and beta are sums over all rows of its tensors. */
static void back_owner(void *argument, int64_t owner, float *item_memory)
{
    (void)item_memory;
    const back_work *w = argument;
    bool first = !w->norms->adds;
    for (int64_t t = 0; t < w->norms->space->tensor_count; t++) {
        const nft_channel_norm *norm = &w->norms->items[t];
        if (norm->owner != owner)
            continue;
        float *gamma = nft_at(w->exec, &norm->gamma_gradient), *beta = nft_at(w->exec, &norm->beta_gradient);
        if (first) {
            memset(gamma, 0, (size_t)norm->width * sizeof *gamma);
            memset(beta, 0, (size_t)norm->width * sizeof *beta);
            first = false;
        }
        back_tensor(w, t, gamma, beta);
    }
}

void nft_channel_norms_back(const nft_channel_norms *norms, const nft_exec *exec, const float *in,
                            const float *grad_out, const float *added, float *grad_in)
{
    back_work w = {norms, exec, in, grad_out, added, grad_in};
    nft_exec_for(exec, norms->owners, back_owner, &w);
}

typedef struct state {
    nft_channel_norms norms;
    nft_channel_norm items[];
} state;

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    (void)options;
    nft_status status;
    if ((status = nft_require_kind(builder, NFT_VALUE_FEATURES)) ||
        (status = nft_module_state(module, sizeof(state) + (size_t)builder->space->tensor_count *
                                                               sizeof(nft_channel_norm))))
        return status;
    state *own = module->state;
    return nft_channel_norms_add(builder, &own->norms, own->items, "");
}

typedef struct work {
    const nft_module *module;
    const nft_exec *exec;
    const float *in;
    float *out;
} work;

static void chunk(void *argument, int64_t item, float *item_memory)
{
    (void)item_memory;
    const work *w = argument;
    nft_rows rows = nft_rows_at(w->module->space, item);
    const nft_channel_norm *norm = &((const state *)w->module->state)->items[rows.tensor];
    int64_t start =
        w->module->space->tensors[rows.tensor].offset * w->module->in.channels + rows.first * norm->width;
    nft_channel_norm_rows(norm, w->exec, rows.count, w->in + start, w->out + start);
}

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    work w = {module, exec, in, out};
    nft_exec_for(exec, nft_rows_count(module->space), chunk, &w);
}

static void backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                     const float *grad_out, float *grad_in)
{
    (void)out;
    nft_channel_norms_back(&((const state *)module->state)->norms, exec, in, grad_out, NULL, grad_in);
}

const nft_module_class nft_module_simple_layer_norm = {.type = "simple_layer_norm",
                                                       .in_place = true,
                                                       .any_space = NFT_ANY_SPACE_LIFTED,
                                                       .configure = configure,
                                                       .forward = forward,
                                                       .backward = backward};
