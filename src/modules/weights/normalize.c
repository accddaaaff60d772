/* normalize: (x - mean) / std with statistics of the training data, kept as buffers: for each tensor (C,
 * *shape) in the file's order, or in a model of any space (C) for each role. */
#include "modules/weights/features.h"

#include <stdio.h>

#define NAME_BYTES 64

typedef struct statistics {
    nft_param mean, deviation;
} statistics;

typedef struct state {
    bool by_role;
    nft_buffer mean, deviation; /* CALL: of one tensor, in the order of features */
    statistics owners[];        /* of tensors, or of roles */
} state;

static void name_buffer(char name[NAME_BYTES], const nft_builder *builder, int64_t owner, const char *word)
{
    if (builder->any_space)
        snprintf(name, NAME_BYTES, "%s_%s", word, nft_role_name(owner));
    else if (builder->whole->layer_count)
        snprintf(name, NAME_BYTES, "%s_%s_%lld", word, nft_owner_is_bias(builder, owner) ? "bias" : "weights",
                 (long long)(owner / 2));
    else
        snprintf(name, NAME_BYTES, "%s_%lld", word, (long long)owner);
}

static nft_status add_buffer(nft_builder *builder, int64_t owner, const char *word, double value,
                             nft_param *buffer)
{
    int64_t shape[NFT_ARRAY_MAX_RANK] = {builder->value.channels}, rank = 1;
    char name[NAME_BYTES];
    name_buffer(name, builder, owner, word);
    if (!builder->any_space)
        rank = nft_feature_shape(builder->space, owner, builder->value.channels, shape);
    return nft_parameter_add(builder, buffer, false, nft_init_constant(value), rank, shape, "%s", name);
}

static nft_status add_buffers(nft_builder *builder, state *own)
{
    nft_status status = NFT_OK;
    for (int64_t owner = 0; owner < nft_owner_count(builder) && !status; owner++) {
        status = add_buffer(builder, owner, "mean", 0, &own->owners[owner].mean);
        if (!status)
            status = add_buffer(builder, owner, "std", 1, &own->owners[owner].deviation);
    }
    return status;
}

static nft_status declare_statistics(nft_builder *builder, const state *own, bool per_weight)
{
    nft_status status = NFT_OK;
    int64_t C = builder->value.channels;
    for (int64_t t = 0; t < builder->space->tensor_count && !status; t++) {
        const statistics *owner = &own->owners[nft_owner_of(builder, t)];
        nft_statistics entry = {.mean = owner->mean.index,
                                .deviation = owner->deviation.index,
                                .per_weight = per_weight,
                                .channels = C,
                                .tensor = t,
                                .entries =
                                    nft_features_of(&builder->arrives, &builder->space->tensors[t], C)};
        status = nft_statistics_add(builder, &entry);
    }
    return status;
}

/* Floats of the largest tensor. */
static int64_t largest_tensor(const nft_space *space, int64_t channels)
{
    int64_t largest = 0;
    for (int64_t t = 0; t < space->tensor_count; t++) {
        int64_t floats =
            nft_size_multiply(space->tensors[t].tokens, nft_tensor_width(&space->tensors[t], channels));
        largest = floats > largest ? floats : largest;
    }
    return largest;
}

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    static const char *const choices[] = {"tensor", "weight"};
    int per = 0;
    nft_status status;
    if ((status = nft_require_kind(builder, NFT_VALUE_FEATURES)) ||
        (status = nft_options_choice(options, "per", false, choices, 2, &per)) ||
        (status =
             nft_module_state(module, sizeof(state) + (size_t)nft_owner_count(builder) * sizeof(statistics))))
        return status;
    state *own = module->state;
    own->by_role = builder->any_space;
    if (own->by_role && per == 1)
        return nft_fail(NFT_ERROR_CONFIG,
                        "%s: 'per' is \"weight\", but a model of any space has one mean for each role; "
                        "expected \"tensor\"",
                        builder->where);
    if (!own->by_role) {
        int64_t floats = largest_tensor(builder->space, builder->value.channels);
        own->mean = nft_reserve(builder, NFT_ARENA_CALL, 1, floats);
        own->deviation = nft_reserve(builder, NFT_ARENA_CALL, 1, floats);
    }
    status = add_buffers(builder, own);
    return status ? status : declare_statistics(builder, own, per == 1);
}

/* A tensor's buffer in the order of features. */
static const float *in_order(const nft_exec *exec, const nft_tensor *tensor, int64_t channels,
                             const nft_param *parameter, const nft_buffer *place)
{
    const float *values = nft_param_at(exec, parameter);
    if (tensor->plain && channels == 1)
        return values;
    float *ordered = nft_at(exec, place);
    nft_tensor_gather(tensor, channels, values, ordered);
    return ordered;
}

typedef struct role_call {
    const nft_module *module;
    const nft_exec *exec;
    const float *x;
    float *y;
    bool shifts; /* y = (x - mean) / std; else x / std, the way back */
} role_call;

static void role_rows(void *argument, int64_t item, float *memory)
{
    (void)memory;
    const role_call *call = argument;
    const state *own = call->module->state;
    const nft_space *space = call->module->space;
    nft_rows rows = nft_rows_at(space, item);
    const nft_tensor *tensor = &space->tensors[rows.tensor];
    const statistics *owner = &own->owners[tensor->role];
    const float *mean = nft_param_at(call->exec, &owner->mean),
                *deviation = nft_param_at(call->exec, &owner->deviation);
    int64_t C = call->module->in.channels, f = tensor->positions, at = (tensor->offset + rows.first * f) * C;
    for (int64_t i = 0; i < rows.count; i++)
        for (int64_t c = 0; c < C; c++) {
            float shift = call->shifts ? mean[c] : 0;
            for (int64_t p = 0; p < f; p++, at++)
                call->y[at] = (call->x[at] - shift) / deviation[c];
        }
}

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    const state *own = module->state;
    int64_t C = module->in.channels;
    if (own->by_role) {
        role_call call = {module, exec, in, out, true};
        nft_exec_for(exec, nft_rows_count(module->space), role_rows, &call);
        return;
    }
    for (int64_t t = 0; t < module->space->tensor_count; t++) {
        const nft_tensor *tensor = &module->space->tensors[t];
        const float *mean = in_order(exec, tensor, C, &own->owners[t].mean, &own->mean),
                    *deviation = in_order(exec, tensor, C, &own->owners[t].deviation, &own->deviation);
        const float *x = in + tensor->offset * C;
        float *y = out + tensor->offset * C;
        for (int64_t i = 0; i < tensor->tokens * tensor->positions * C; i++)
            y[i] = (x[i] - mean[i]) / deviation[i];
    }
}

static void backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                     const float *grad_out, float *grad_in)
{
    (void)in;
    (void)out;
    const state *own = module->state;
    int64_t C = module->in.channels;
    if (own->by_role) {
        role_call call = {module, exec, grad_out, grad_in, false};
        nft_exec_for(exec, nft_rows_count(module->space), role_rows, &call);
        return;
    }
    for (int64_t t = 0; t < module->space->tensor_count; t++) {
        const nft_tensor *tensor = &module->space->tensors[t];
        const float *deviation = in_order(exec, tensor, C, &own->owners[t].deviation, &own->deviation);
        const float *dy = grad_out + tensor->offset * C;
        float *dx = grad_in + tensor->offset * C;
        for (int64_t i = 0; i < tensor->tokens * tensor->positions * C; i++)
            dx[i] = dy[i] / deviation[i];
    }
}

const nft_module_class nft_module_normalize = {.type = "normalize",
                                               .in_place = true,
                                               .any_space = NFT_ANY_SPACE_ALWAYS,
                                               .configure = configure,
                                               .forward = forward,
                                               .backward = backward};
