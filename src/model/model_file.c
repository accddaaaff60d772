/* Model files: safetensors with the configuration in the metadata (specification of the container:
 * https://huggingface.co/docs/safetensors). */
#include "io/load_options.h"
#include "io/file.h"
#include "model/model.h"

#include <inttypes.h>
#include <string.h>

static nft_status check_tensor(const nft_parameter *expected, const nft_entry *found)
{
    if (!found)
        return nft_fail(NFT_ERROR_FORMAT, "tensor '%s' is missing; the configuration needs it",
                        expected->name);
    if (!nft_type_is_float(found->type))
        return nft_fail(NFT_ERROR_FORMAT, "tensor '%s' is %s, expected F32, F16, BF16 or F64", expected->name,
                        nft_type_name(found->type));
    if (found->rank == expected->rank &&
        !memcmp(found->shape, expected->shape, (size_t)found->rank * sizeof *found->shape))
        return NFT_OK;
    char want[160], have[160];
    nft_shape_describe(expected->shape, expected->rank, want, sizeof want);
    nft_shape_describe(found->shape, found->rank, have, sizeof have);
    return nft_fail(NFT_ERROR_FORMAT, "tensor '%s' has shape %s, expected %s by the configuration",
                    expected->name, have, want);
}

/* After every parameter was found: more tensors than parameters means that some are not the model's. */
static nft_status check_unexpected(const nft_model *model, const nft_file *file)
{
    if (file->entry_count == model->parameters.count)
        return NFT_OK;
    for (int64_t i = 0; i < file->entry_count; i++) {
        bool known = false;
        for (int64_t j = 0; j < model->parameters.count && !known; j++)
            known = !strcmp(file->entries[i].name, model->parameters.items[j].name);
        if (!known)
            return nft_fail(NFT_ERROR_FORMAT, "tensor '%s' is not part of the configuration",
                            file->entries[i].name);
    }
    return NFT_OK;
}

static nft_status check_tensors(const nft_model *model, const nft_file *file)
{
    for (int64_t i = 0; i < model->parameters.count; i++) {
        const nft_parameter *parameter = &model->parameters.items[i];
        nft_status status = check_tensor(parameter, nft_file_find(file, parameter->name));
        if (status)
            return status;
    }
    return check_unexpected(model, file);
}

static nft_status read_tensors(nft_model *model, const nft_file *file)
{
    for (int64_t i = 0; i < model->parameters.count; i++) {
        const nft_parameter *parameter = &model->parameters.items[i];
        nft_status status = nft_file_read_f32(file, nft_file_find(file, parameter->name), 0, parameter->count,
                                              model->values + parameter->offset);
        if (status)
            return status;
    }
    return NFT_OK;
}

static nft_status keep_metadata(nft_model *model, const nft_file *file)
{
    nft_status status = NFT_OK;
    for (int64_t i = 0; i < file->metadata_count && !status; i++)
        if (strcmp(file->metadata[i].key, NFT_CONFIG_KEY))
            status = nft_metadata_set(&model->metadata, file->metadata[i].key, file->metadata[i].value);
    return status;
}

/* Takes over the file. Shapes are compared before the values are allocated. */
static nft_status load(nft_model **out, nft_file *file, int64_t memory_limit)
{
    nft_model *model = NULL;
    const char *config = nft_file_metadata(file, NFT_CONFIG_KEY);
    nft_status status = config ? nft_model_configure(&model, config, strlen(config), memory_limit)
                               : nft_fail(NFT_ERROR_FORMAT, "no '" NFT_CONFIG_KEY
                                                            "' in its metadata: this is not a model file");
    if (config && (status == NFT_ERROR_FORMAT || status == NFT_ERROR_CONFIG))
        status = nft_fail_in(status, "its configuration, " NFT_CONFIG_KEY " in the metadata");
    if (!status)
        status = check_tensors(model, file);
    if (!status)
        status = nft_model_allocate(model);
    if (!status)
        status = read_tensors(model, file);
    if (!status)
        status = keep_metadata(model, file);
    if (status) {
        status = nft_fail_in(status, "%s", file->path);
        nft_model_free(model);
    } else
        *out = model;
    nft_file_free(file);
    return status;
}

nft_status nft_model_load(nft_model **model, const char *path, const nft_load_options *options)
{
    static const char function[] = "nft_model_load";
    if (!model)
        return nft_fail_null(function, "model");
    *model = NULL;
    nft_file *file = NULL;
    nft_load_options filled;
    nft_status status = nft_open_to_load(function, &file, path, &filled, options);
    return status ? status : load(model, file, filled.memory_limit);
}

/* The configuration, then all other texts, for a writer. */
static nft_status gather_metadata(const nft_model *model, nft_metadata *all, const char ***list)
{
    nft_status status = nft_metadata_set(all, NFT_CONFIG_KEY, model->config);
    if (!status)
        status = nft_metadata_add_all(all, &model->metadata);
    if (status)
        return status;
    *list = nft_metadata_list(all);
    return *list ? NFT_OK : nft_fail_memory("the metadata", all->count * (int64_t)sizeof **list);
}

static nft_status write_tensors(const nft_model *model, nft_file_writer *writer)
{
    for (int64_t i = 0; i < model->parameters.count; i++) {
        const nft_parameter *parameter = &model->parameters.items[i];
        nft_status status = nft_file_append(writer, model->values + parameter->offset,
                                            parameter->count * (int64_t)sizeof(float));
        if (status)
            return status;
    }
    return NFT_OK;
}

nft_status nft_model_save(const nft_model *model, const char *path)
{
    if (!model || !path)
        return nft_fail_null("nft_model_save", model ? "path" : "model");
    int64_t count = model->parameters.count;
    nft_metadata metadata = {0};
    const char **texts = NULL;
    nft_file_writer *writer = NULL;
    nft_output *outputs = nft_allocate_array((size_t)count, sizeof *outputs);
    nft_status status = outputs ? gather_metadata(model, &metadata, &texts)
                                : nft_fail_memory("the file's header", count * (int64_t)sizeof *outputs);
    if (status)
        goto done;
    for (int64_t i = 0; i < count; i++) {
        const nft_parameter *parameter = &model->parameters.items[i];
        outputs[i] = (nft_output){.name = parameter->name,
                                  .type = NFT_TYPE_F32,
                                  .rank = parameter->rank,
                                  .shape = parameter->shape};
    }
    if ((status = nft_file_create(&writer, path, outputs, count, texts)))
        goto done;
    if ((status = write_tensors(model, writer)))
        nft_file_cancel(writer);
    else
        status = nft_file_commit(writer);
done:
    nft_release(texts);
    nft_metadata_clear(&metadata);
    nft_release(outputs);
    return status;
}
