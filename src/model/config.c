/* From the text of a configuration to configured modules. */
#include "io/space_json.h"
#include "math/blas.h"
#include "model/decoder.h"
#include "model/model.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MAX_CHANNELS (INT64_C(1) << 24)
#define MAX_TOKENS NFT_GEMM_MAX_SIZE
#define MAX_MODULES 4096

/* "input": {"type": "tokens", "tokens": 16, "channels": 256} in place of space and in_channels. */
static nft_status read_token_input(nft_model *model, const json_t *value)
{
    static const char *const types[] = {"tokens"};
    nft_options options;
    int type = 0;
    nft_status status;
    model->input = (nft_value){.kind = NFT_VALUE_TOKENS};
    if ((status = nft_options_open(&options, value, "input")) ||
        (status = nft_options_choice(&options, "type", true, types, 1, &type)) ||
        (status = nft_options_integer(&options, "tokens", true, 1, MAX_TOKENS, &model->input.tokens)) ||
        (status = nft_options_integer(&options, "channels", true, 1, MAX_CHANNELS, &model->input.channels)))
        return status;
    return nft_options_finish(&options);
}

static nft_status read_input(nft_model *model, nft_options *options)
{
    const json_t *input = NULL, *space = NULL;
    nft_status status;
    if ((status = nft_options_value(options, "input", false, &input)))
        return status;
    if (input)
        return read_token_input(model, input);
    model->input = (nft_value){.kind = NFT_VALUE_FEATURES, .channels = 1};
    if ((status = nft_options_value(options, "space", true, &space)) ||
        (status =
             nft_options_integer(options, "in_channels", false, 1, MAX_CHANNELS, &model->input.channels)))
        return status;
    return nft_space_from_json(&model->space, space);
}

/* What a module of the sequence is told; its frame begins with its input. */
static nft_builder builder_of(nft_model *model, int64_t index, nft_value value, const char *where,
                              const char *path)
{
    nft_step *step = &model->steps[index];
    step->first_parameter = model->parameters.count;
    nft_reserve(&step->frame_out, nft_value_floats(&value, model->space));
    return (nft_builder){.space = model->space,
                         .input = model->input,
                         .value = value,
                         .parameters = &model->parameters,
                         .kept = &step->frame_out,
                         .sides = &step->sides,
                         .where = where,
                         .path = path,
                         .memory_limit = model->memory_limit};
}

static void end_step(nft_model *model, nft_step *step)
{
    step->end_parameter = model->parameters.count;
    step->frame = step->frame_out;
    nft_reserve(&step->frame, nft_value_floats(&step->module->out, model->space));
}

static nft_status configure_modules(nft_model *model, const json_t *list, nft_value *value)
{
    size_t count = json_array_size(list);
    for (size_t i = 0; i < count; i++) {
        char where[64], path[32];
        snprintf(where, sizeof where, "modules[%zu]", i);
        snprintf(path, sizeof path, "%zu.", i);
        nft_step *step = &model->steps[i];
        nft_builder builder = builder_of(model, (int64_t)i, *value, where, path);
        nft_status status = nft_module_create(&step->module, &builder, json_array_get(list, i));
        if (status)
            return status;
        end_step(model, step);
        model->module_count++;
        *value = step->module->out;
    }
    return NFT_OK;
}

static nft_status configure_decoder(nft_model *model, const json_t *config, nft_value value)
{
    nft_step *step = &model->steps[model->module_count];
    nft_builder builder = builder_of(model, model->module_count, value, "decoder", "");
    nft_status status = nft_module_create_as(&step->module, &nft_decoder, &builder, config);
    model->has_decoder = !status;
    if (!status)
        end_step(model, step);
    return status;
}

static nft_status configure(nft_model *model, const json_t *config)
{
    nft_options options;
    int64_t version = 0;
    const json_t *modules = NULL, *decoder = NULL;
    nft_status status;
    if ((status = nft_options_open(&options, config, "configuration")) ||
        (status = nft_options_integer(&options, "format_version", true, 1, 1, &version)) ||
        (status = read_input(model, &options)) ||
        (status = nft_options_value(&options, "modules", true, &modules)) ||
        (status = nft_options_value(&options, "decoder", false, &decoder)) ||
        (status = nft_options_finish(&options)))
        return status;
    if (!json_is_array(modules))
        return nft_fail(NFT_ERROR_CONFIG, "configuration: 'modules' is not a list, expected 1 … %d modules",
                        MAX_MODULES);
    if (json_array_size(modules) < 1 || json_array_size(modules) > MAX_MODULES)
        return nft_fail(NFT_ERROR_CONFIG, "configuration: %zu 'modules', expected 1 … %d",
                        json_array_size(modules), MAX_MODULES);
    model->steps = nft_allocate_array(json_array_size(modules) + 1, sizeof *model->steps);
    if (!model->steps)
        return nft_fail_memory("the modules", (int64_t)(json_array_size(modules) * sizeof *model->steps));
    nft_value value = model->input;
    status = configure_modules(model, modules, &value);
    return status || !decoder ? status : configure_decoder(model, decoder, value);
}

static nft_status keep_config(nft_model *model, const json_t *config)
{
    nft_text text = {0};
    if (!nft_json_append(&text, config, JSON_COMPACT)) {
        int64_t bytes = (int64_t)text.length;
        nft_text_clear(&text);
        return nft_fail_memory("the configuration", bytes);
    }
    model->config = text.data;
    return NFT_OK;
}

nft_status nft_model_configure(nft_model **out, const char *text, size_t length, int64_t memory_limit)
{
    *out = NULL;
    json_t *config = NULL;
    nft_model *model = nft_allocate(sizeof *model);
    nft_status status =
        model ? nft_json_parse(&config, text, length) : nft_fail_memory("a model", sizeof *model);
    if (model) {
        nft_references_init(&model->references);
        nft_packed_cache_init(&model->packed);
        model->memory_limit = memory_limit;
    }
    if (!status)
        status = configure(model, config);
    if (!status)
        status = keep_config(model, config);
    json_decref(config);
    if (status) {
        nft_model_free(model);
        return status;
    }
    *out = model;
    return NFT_OK;
}
