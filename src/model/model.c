#include "model/model.h"

#include "base/random.h"
#include "io/load_options.h"
#include "modules/sequence/decoder.h"

#include <inttypes.h>
#include <string.h>

nft_status nft_model_allocate(nft_model *model)
{
    const nft_parameters *table = &model->parameters;
    int64_t bytes = nft_size_multiply(table->total, sizeof(float));
    nft_status status = nft_check_limit("the model's parameters", bytes, model->memory_limit);
    if (status)
        return status;
    model->values = nft_allocate((size_t)bytes);
    return model->values ? NFT_OK : nft_fail_memory("the model's parameters", bytes);
}

void nft_model_pack_parameter(nft_model *model, int64_t index)
{
    nft_packed_cache_update(&model->packed, &model->parameters, model->values, index);
}

void nft_model_pack(nft_model *model)
{
    for (int64_t i = 0; i < model->parameters.count; i++)
        nft_model_pack_parameter(model, i);
}

static void initialize_tensor(const nft_parameter *parameter, float *values, uint64_t seed)
{
    nft_random random = {.seed = seed, .stream = nft_random_stream(parameter->name)};
    float a = (float)parameter->init.a;
    for (int64_t i = 0; i < parameter->count; i++) {
        uint64_t index = (uint64_t)i;
        switch (parameter->init.kind) {
        case NFT_INIT_CONSTANT:
            values[i] = a;
            break;
        case NFT_INIT_UNIFORM:
            values[i] = a * (2 * nft_random_uniform(&random, index) - 1);
            break;
        case NFT_INIT_NORMAL:
            values[i] = a * nft_random_normal(&random, index);
            break;
        }
    }
}

void nft_model_initialize(nft_model *model, uint64_t seed)
{
    for (int64_t i = 0; i < model->parameters.count; i++) {
        const nft_parameter *parameter = &model->parameters.items[i];
        initialize_tensor(parameter, model->values + parameter->offset, seed);
    }
    if (model->has_decoder)
        nft_decoder_initialize(model->sequence->steps[model->module_count].module, model->values);
}

nft_model *nft_model_retain(const nft_model *model)
{
    nft_model *shared = (nft_model *)model;
    nft_references_add(&shared->references);
    return shared;
}

nft_status nft_model_create(nft_model **out, const char *json, size_t length, uint64_t seed,
                            const nft_load_options *options)
{
    if (!out)
        return nft_fail_null("nft_model_create", "model");
    *out = NULL;
    if (!json)
        return nft_fail_null("nft_model_create", "json");
    nft_model *model = NULL;
    nft_load_options filled;
    nft_status status = nft_fill_load_options("nft_model_create", &filled, options);
    if (!status)
        status = nft_model_configure(&model, json, length, filled.memory_limit);
    if (!status)
        status = nft_model_allocate(model);
    if (status) {
        nft_model_free(model);
        return status;
    }
    nft_model_initialize(model, seed);
    *out = model;
    return NFT_OK;
}

void nft_model_free(nft_model *model)
{
    if (!model || !nft_references_drop(&model->references))
        return;
    nft_sequence_free(model->sequence);
    nft_release(model->outputs);
    nft_parameters_clear(&model->parameters);
    nft_release(model->values);
    nft_space_free(model->space);
    nft_metadata_clear(&model->metadata);
    nft_release(model->config);
    nft_packed_cache_clear(&model->packed);
    nft_release(model);
}

int64_t nft_model_step_count(const nft_model *model)
{
    return model->module_count + model->has_decoder;
}

const nft_value *nft_model_last_value(const nft_model *model)
{
    return &model->outputs[nft_model_step_count(model) - 1];
}

bool nft_model_value_is_fixed(const nft_model *model, const nft_value *value)
{
    return !model->any_space || (value->kind != NFT_VALUE_FEATURES && value->channels &&
                                 (value->kind != NFT_VALUE_TOKENS || value->tokens));
}

const char *nft_model_metadata(const nft_model *model, const char *key)
{
    return model && key ? nft_metadata_get(&model->metadata, key) : NULL;
}

nft_status nft_model_set_metadata(nft_model *model, const char *key, const char *text)
{
    return nft_metadata_set(&model->metadata, key, text);
}

static nft_status check_info(const char *function, const nft_model *model, const void *info, size_t size,
                             size_t expected)
{
    if (!model || !info)
        return nft_fail_null(function, model ? "info" : "model");
    if (size < expected)
        return nft_fail(NFT_ERROR_ARGUMENT, "%s: info->size is %zu, expected %zu", function, size, expected);
    return NFT_OK;
}

static void fill_value(nft_module_info *info, const char *type, const nft_value *value)
{
    *info = (nft_module_info){.size = info->size,
                              .type = type,
                              .output = value->kind,
                              .tokens = value->tokens,
                              .channels = value->channels};
}

/* The products of a model of any space depend on the space. */
static void add_counts(const nft_model *model, int64_t index, nft_module_info *info)
{
    const nft_step *step = &model->sequence->steps[index];
    for (int64_t i = step->first_parameter; i < step->end_parameter; i++) {
        const nft_parameter *parameter = &model->parameters.items[i];
        int64_t *sum = parameter->trained ? &info->parameter_count : &info->buffer_count;
        *sum = nft_size_add(*sum, parameter->count);
    }
    if (!model->any_space)
        info->flops = nft_size_add(info->flops, step->module->flops);
}

void nft_model_note_facts(nft_model *model)
{
    nft_model_facts *facts = &model->facts;
    facts->input.size = facts->output.size = sizeof facts->input;
    fill_value(&facts->input, "input", &model->input);
    fill_value(&facts->output, "output", nft_model_last_value(model));
    for (int64_t i = 0; i < nft_model_step_count(model); i++)
        add_counts(model, i, &facts->output);
    facts->description = (nft_model_description){.size = sizeof facts->description,
                                                 .input = &facts->input,
                                                 .output = &facts->output,
                                                 .module_count = model->module_count,
                                                 .tensor_count = model->parameters.count,
                                                 .has_decoder = model->has_decoder,
                                                 .space = model->space,
                                                 .config = model->config};
}

const nft_model_description *nft_model_describe(const nft_model *model)
{
    static const nft_module_info nothing = NFT_MODULE_INFO_INIT;
    static const nft_model_description none = {sizeof none, &nothing, &nothing, 0, 0, 0, NULL, NULL};
    return model ? &model->facts.description : &none;
}

nft_status nft_model_module(nft_module_info *info, const nft_model *model, int64_t index)
{
    nft_status status = check_info("nft_model_module", model, info, info ? info->size : 0, sizeof *info);
    if (status)
        return status;
    if (index < 0 || index >= model->module_count)
        return nft_fail_index("nft_model_module", index, model->module_count);
    fill_value(info, model->sequence->steps[index].module->class->type, &model->outputs[index]);
    add_counts(model, index, info);
    return NFT_OK;
}

nft_status nft_model_tensor(nft_tensor_info *info, const nft_model *model, int64_t index)
{
    nft_status status = check_info("nft_model_tensor", model, info, info ? info->size : 0, sizeof *info);
    if (status)
        return status;
    if (index < 0 || index >= model->parameters.count)
        return nft_fail_index("nft_model_tensor", index, model->parameters.count);
    const nft_parameter *parameter = &model->parameters.items[index];
    *info = (nft_tensor_info){.size = info->size,
                              .name = parameter->name,
                              .type = "F32",
                              .rank = parameter->rank,
                              .count = parameter->count,
                              .data = model->values + parameter->offset,
                              .trained = parameter->trained};
    memcpy(info->shape, parameter->shape, sizeof info->shape);
    return NFT_OK;
}
