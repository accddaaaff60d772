/* A model of one's own, whose values may be changed: a trainer's, or a context's. */
#include "model/context.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

nft_status nft_model_copy(nft_model **out, const nft_model *model, const float *values, int64_t memory_limit)
{
    *out = NULL;
    nft_model *copy = NULL;
    nft_status status = nft_model_configure(&copy, model->config, strlen(model->config), memory_limit);
    if (!status)
        status = nft_model_allocate(copy);
    if (!status)
        status = nft_metadata_add_all(&copy->metadata, &model->metadata);
    if (status) {
        nft_model_free(copy);
        return status;
    }
    memcpy(copy->values, values, (size_t)model->parameters.total * sizeof *values);
    *out = copy;
    return NFT_OK;
}

static nft_status check_tensor(const nft_model *model, int64_t index, const float *values, int64_t count)
{
    const nft_parameters *table = &model->parameters;
    if (index < 0 || index >= table->count)
        return nft_fail_index("nft_context_set_tensor", index, table->count);
    const nft_parameter *parameter = &table->items[index];
    if (count != parameter->count)
        return nft_fail(NFT_ERROR_ARGUMENT,
                        "nft_context_set_tensor: %" PRId64 " values for '%s', expected %" PRId64, count,
                        parameter->name, parameter->count);
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return nft_fail(NFT_ERROR_NOT_FINITE,
                            "nft_context_set_tensor: value %" PRId64 " for '%s' is not finite", i,
                            parameter->name);
    return NFT_OK;
}

/* A model that nobody else has may change. Nobody can come to have it meanwhile but through this context. */
static nft_status take_own_model(nft_context *context)
{
    nft_model *copy = NULL;
    if (!nft_references_shared(&context->model->references))
        return NFT_OK;
    nft_status status = nft_model_copy(&copy, context->model, context->model->values, 0);
    if (status)
        return nft_fail_in(status, "nft_context_set_tensor");
    nft_model *before = context->model;
    context->model = copy;
    status = nft_context_pack(context);
    context->model = status ? before : copy;
    nft_model_free(status ? copy : before);
    return status;
}

static nft_status set_tensor(nft_context *context, int64_t index, const float *values, int64_t count)
{
    nft_status status = check_tensor(context->model, index, values, count);
    if (!status)
        status = take_own_model(context);
    if (status)
        return status;
    nft_model *model = context->model;
    memcpy(model->values + model->parameters.items[index].offset, values, (size_t)count * sizeof *values);
    nft_model_pack_parameter(model, index);
    context->changed = true;
    return NFT_OK;
}

nft_status nft_context_set_tensor(nft_context *context, int64_t index, const float *values, int64_t count)
{
    if (!context || !values)
        return nft_fail_null("nft_context_set_tensor", context ? "values" : "context");
    nft_status status = nft_context_acquire(context, "nft_context_set_tensor");
    if (status)
        return status;
    status = set_tensor(context, index, values, count);
    nft_context_release(context);
    return status;
}

nft_status nft_context_snapshot(nft_model **out, const nft_context *context)
{
    if (!out)
        return nft_fail_null("nft_context_snapshot", "model");
    *out = NULL;
    if (!context)
        return nft_fail_null("nft_context_snapshot", "context");
    nft_context *shared = (nft_context *)context; /* a call could replace the model meanwhile */
    nft_status status = nft_context_acquire(shared, "nft_context_snapshot");
    if (status)
        return status;
    *out = nft_model_retain(context->model);
    nft_context_release(shared);
    return NFT_OK;
}
