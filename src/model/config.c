/* From the text of a configuration to configured modules. */
#include "config/json.h"
#include "io/space_json.h"
#include "math/blas.h"
#include "model/model.h"
#include "model/prototypes.h"
#include "modules/sequence/decoder.h"

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

/* An object, or "any". */
static nft_status read_space(nft_model *model, const json_t *value)
{
    const char *word = json_string_value(value);
    if (!word)
        return nft_space_from_json(&model->space, value);
    model->any_space = !strcmp(word, "any");
    return model->any_space
               ? NFT_OK
               : nft_fail(NFT_ERROR_CONFIG,
                          "configuration: 'space' is \"%.64s\", expected an object or \"any\"", word);
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
    return read_space(model, space);
}

/* A sequence while its modules are configured. */
typedef struct assembly {
    const nft_model *model;
    nft_parameters *parameters;
    nft_sequence *sequence;
    bool binding; /* the parameters exist */
    int64_t bound;
    const char *owner; /* begins the names of places and parameters */
} assembly;

/* The builder of module number step_count of the sequence; its frame begins with the module's input. */
static nft_builder begin_step(assembly *a, const char *where, const char *path)
{
    nft_sequence *sequence = a->sequence;
    int64_t index = sequence->step_count;
    nft_step *step = &sequence->steps[index];
    int64_t floats = nft_sequence_floats(sequence, index);
    step->first_parameter = a->binding ? a->bound : a->parameters->count;
    nft_take(&step->frame_out, floats);
    return (nft_builder){
        .space = nft_sequence_space(sequence, index),
        .whole = sequence->space,
        .any_space = a->model->any_space,
        .input = sequence->input,
        .value = *nft_sequence_value(sequence, index),
        .arrives = {.arena = NFT_ARENA_FRAME, .rows = 1, .width = floats, .stride = floats},
        .parameters = a->parameters,
        .binding = a->binding,
        .bound = &a->bound,
        .gradients = &sequence->gradients,
        .statistics = &sequence->statistics,
        .frame = &step->frame_out,
        .backward = &step->backward,
        .where = where,
        .path = path,
        .memory_limit = a->model->memory_limit,
    };
}

/* Every space declares the parameters that the prototype declared. */
static nft_status end_step(assembly *a, nft_builder *builder)
{
    nft_sequence *sequence = a->sequence;
    int64_t index = sequence->step_count++;
    nft_step *step = &sequence->steps[index];
    step->end_parameter = a->binding ? a->bound : a->parameters->count;
    if (a->binding && step->end_parameter != a->model->sequence->steps[index].end_parameter)
        return nft_fail(NFT_ERROR_CONFIG,
                        "%s (%s): the number of its parameters depends on the space, but this model is of "
                        "any space",
                        builder->where, step->module->class->type);
    nft_status status = nft_gradients_finish(builder, step->first_parameter, step->end_parameter);
    step->frame = step->frame_out;
    nft_take(&step->frame, nft_sequence_floats(sequence, index + 1));
    sequence->flops = nft_size_add(sequence->flops, step->module->flops);
    return status;
}

static nft_status add_module(assembly *a, const json_t *config)
{
    char where[64], path[64];
    int64_t index = a->sequence->step_count;
    snprintf(where, sizeof where, "%smodules[%" PRId64 "]", a->owner, index);
    snprintf(path, sizeof path, "%s%" PRId64 ".", a->owner, index);
    nft_builder builder = begin_step(a, where, path);
    nft_status status = nft_module_create(&a->sequence->steps[index].module, &builder, config);
    return status ? status : end_step(a, &builder);
}

static nft_status add_decoder(assembly *a, const json_t *config)
{
    char where[64];
    snprintf(where, sizeof where, "%sdecoder", a->owner);
    nft_builder builder = begin_step(a, where, a->owner);
    nft_step *step = &a->sequence->steps[a->sequence->step_count];
    nft_status status = nft_module_create_as(&step->module, &nft_decoder, &builder, config);
    return status ? status : end_step(a, &builder);
}

/* `owner`: of the modules, "" of a model. `parameters` is the model's, in which a sequence that is bound only
 * finds its parameters. */
static nft_status assemble(nft_sequence **out, const nft_model *model, nft_parameters *parameters,
                           const nft_space *space, const json_t *modules, const json_t *decoder,
                           const char *owner)
{
    assembly a = {
        .model = model, .parameters = parameters, .binding = model->sequence != NULL, .owner = owner};
    int64_t count = (int64_t)json_array_size(modules);
    nft_status status = nft_sequence_allocate(&a.sequence, space, &model->input, count + (decoder != NULL));
    for (int64_t i = 0; i < count && !status; i++)
        status = add_module(&a, json_array_get(modules, (size_t)i));
    if (!status && decoder)
        status = add_decoder(&a, decoder);
    if (status) {
        nft_sequence_free(a.sequence);
        return status;
    }
    *out = a.sequence;
    return NFT_OK;
}

nft_status nft_model_bind(nft_sequence **out, const nft_model *model, const nft_space *space)
{
    *out = NULL;
    if (!model->any_space) {
        *out = nft_sequence_retain(model->sequence);
        return NFT_OK;
    }
    json_t *config = NULL;
    nft_status status = nft_json_parse(&config, model->config, strlen(model->config));
    if (status)
        return status;
    nft_parameters *parameters = (nft_parameters *)&model->parameters; /* found again, never changed */
    status = assemble(out, model, parameters, space, json_object_get(config, "modules"), NULL, "");
    json_decref(config);
    return status;
}

/* The values that leave the steps. Numbers that differ between two spaces depend on the space: 0. */
static nft_status keep_outputs(nft_model *model, const nft_sequence *other)
{
    int64_t count = model->sequence->step_count;
    model->outputs = nft_allocate_array((size_t)count, sizeof *model->outputs);
    if (!model->outputs)
        return nft_fail_memory("the modules", count * (int64_t)sizeof *model->outputs);
    for (int64_t i = 0; i < count; i++) {
        nft_value *value = &model->outputs[i];
        *value = *nft_sequence_value(model->sequence, i + 1);
        const nft_value *second = nft_sequence_value(other, i + 1);
        value->tokens = value->tokens == second->tokens ? value->tokens : 0;
        value->channels = value->channels == second->channels ? value->channels : 0;
    }
    return NFT_OK;
}

/* The model's own sequence; in a model of any space a second one shows that the parameters do not depend on
 * the space. */
static nft_status configure_modules(nft_model *model, const json_t *modules, const json_t *decoder,
                                    const char *owner)
{
    nft_space *spaces[2] = {NULL, NULL};
    nft_sequence *second = NULL;
    nft_status status = NFT_OK;
    for (int i = 0; i < 2 && model->any_space && !status; i++)
        status = nft_space_prototype(&spaces[i], i);
    if (!status)
        status = assemble(&model->sequence, model, &model->parameters,
                          model->any_space ? spaces[0] : model->space, modules, decoder, owner);
    if (!status && model->any_space)
        status = assemble(&second, model, &model->parameters, spaces[1], modules, NULL, owner);
    if (!status)
        status = keep_outputs(model, second ? second : model->sequence);
    nft_sequence_free(second);
    nft_space_free(spaces[0]);
    nft_space_free(spaces[1]);
    return status;
}

static nft_status check_modules(const nft_model *model, const json_t *modules, const json_t *decoder)
{
    if (!json_is_array(modules))
        return nft_fail(NFT_ERROR_CONFIG, "configuration: 'modules' is not a list, expected 1 … %d modules",
                        MAX_MODULES);
    if (json_array_size(modules) < 1 || json_array_size(modules) > MAX_MODULES)
        return nft_fail(NFT_ERROR_CONFIG, "configuration: %zu 'modules', expected 1 … %d",
                        json_array_size(modules), MAX_MODULES);
    if (decoder && model->any_space)
        return nft_fail(NFT_ERROR_CONFIG, "decoder: needs the model's space, but this model is of any space");
    return NFT_OK;
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
        (status = nft_options_finish(&options)) || (status = check_modules(model, modules, decoder)))
        return status;
    model->module_count = (int64_t)json_array_size(modules);
    model->has_decoder = decoder != NULL;
    return configure_modules(model, modules, decoder, "");
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
    nft_status status = model ? nft_json_parse_within(&config, text, length, memory_limit)
                              : nft_fail_memory("a model", sizeof *model);
    if (model) {
        nft_references_init(&model->references);
        nft_packed_cache_init(&model->packed);
        model->memory_limit = memory_limit;
    }
    if (!status)
        status = configure(model, config);
    if (!status)
        status = keep_config(model, config);
    if (!status)
        nft_model_note_facts(model);
    json_decref(config);
    if (status) {
        nft_model_free(model);
        return status;
    }
    *out = model;
    return NFT_OK;
}

/* As if the value were the tokens of a model; a vector is one token. */
static nft_value tokens_of(const nft_value *value)
{
    bool vector = value->kind == NFT_VALUE_VECTOR;
    return (nft_value){
        .kind = NFT_VALUE_TOKENS, .tokens = vector ? 1 : value->tokens, .channels = value->channels};
}

nft_status nft_model_configure_head(nft_model **out, const nft_model *model, const nft_value *value,
                                    const nft_json *modules, const nft_json *decoder, const char *owner)
{
    *out = NULL;
    nft_model *head = nft_allocate(sizeof *head);
    if (!head)
        return nft_fail_memory("a model", sizeof *head);
    nft_references_init(&head->references);
    nft_packed_cache_init(&head->packed);
    head->memory_limit = model->memory_limit;
    head->space = nft_space_retain(model->space);
    head->input = tokens_of(value);
    head->module_count = (int64_t)json_array_size(modules);
    head->has_decoder = true;
    nft_status status = configure_modules(head, modules, decoder, owner);
    if (status) {
        nft_model_free(head);
        return status;
    }
    nft_model_note_facts(head);
    *out = head;
    return NFT_OK;
}
