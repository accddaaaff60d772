/* A model of one's own, whose values may be changed: a trainer's, or a context's. */
#include "model/context.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* The header of a file that is not there: metadata alone, with room for the texts that a trainer adds. */
#define ADDED_TEXTS 2

static nft_status copy_metadata(nft_model *copy, const nft_model *model)
{
    int64_t count = model->file ? model->file->metadata_count : 0;
    nft_file *file = nft_allocate(sizeof *file);
    if (!file)
        return nft_fail_memory("the metadata", sizeof *file);
    copy->file = file;
    file->descriptor = -1;
    file->metadata = nft_allocate_array((size_t)count + ADDED_TEXTS, sizeof *file->metadata);
    if (!file->metadata)
        return nft_fail_memory("the metadata", (count + ADDED_TEXTS) * (int64_t)sizeof *file->metadata);
    for (int64_t i = 0; i < count; i++) {
        const struct nft_text_pair *from = &model->file->metadata[i];
        struct nft_text_pair *to = &file->metadata[file->metadata_count++];
        to->key = nft_copy_text(from->key);
        to->value = nft_copy_text(from->value);
        if (!to->key || !to->value)
            return nft_fail_memory("the metadata", (int64_t)strlen(from->value));
    }
    return NFT_OK;
}

nft_status nft_model_set_metadata(nft_model *model, const char *key, const char *value)
{
    nft_file *file = model->file;
    struct nft_text_pair *pair = NULL;
    for (int64_t i = 0; i < file->metadata_count && !pair; i++)
        if (!strcmp(file->metadata[i].key, key))
            pair = &file->metadata[i];
    if (!pair)
        pair = &file->metadata[file->metadata_count++];
    nft_release(pair->value);
    pair->value = nft_copy_text(value);
    if (!pair->key)
        pair->key = nft_copy_text(key);
    return pair->key && pair->value ? NFT_OK : nft_fail_memory("the metadata", (int64_t)strlen(value));
}

nft_status nft_model_copy(nft_model **out, const nft_model *model, const float *values, int64_t memory_limit)
{
    *out = NULL;
    nft_model *copy = NULL;
    nft_status status = nft_model_configure(&copy, model->config, strlen(model->config), memory_limit);
    if (!status)
        status = nft_model_allocate(copy);
    if (!status)
        status = copy_metadata(copy, model);
    if (status) {
        nft_model_free(copy);
        return status;
    }
    memcpy(copy->values, values, (size_t)model->parameters.total * sizeof *values);
    *out = copy;
    return NFT_OK;
}

static nft_status check_tensor(const nft_context *context, int64_t index, const float *values, int64_t count)
{
    static const char function[] = "nft_context_set_tensor";
    if (!context || !values)
        return nft_fail_null(function, context ? "values" : "context");
    const nft_parameters *table = &context->model->parameters;
    if (index < 0 || index >= table->count)
        return nft_fail_index(function, index, table->count);
    const nft_parameter *parameter = &table->items[index];
    if (count != parameter->count)
        return nft_fail(NFT_ERROR_ARGUMENT, "%s: %" PRId64 " values for '%s', expected %" PRId64, function,
                        count, parameter->name, parameter->count);
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return nft_fail(NFT_ERROR_NOT_FINITE, "%s: value %" PRId64 " for '%s' is not finite", function, i,
                            parameter->name);
    return NFT_OK;
}

/* What nobody else has may change. Nobody can come to have it meanwhile but through this context. */
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

nft_status nft_context_set_tensor(nft_context *context, int64_t index, const float *values, int64_t count)
{
    nft_status status = check_tensor(context, index, values, count);
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

nft_status nft_context_snapshot(nft_model **out, const nft_context *context)
{
    if (!out)
        return nft_fail_null("nft_context_snapshot", "model");
    *out = NULL;
    if (!context)
        return nft_fail_null("nft_context_snapshot", "context");
    *out = nft_model_retain(context->model);
    return NFT_OK;
}
