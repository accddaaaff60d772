#include "train/auxiliary.h"

#include "config/json.h"
#include "modules/sequence/decoder.h"
#include "siren/siren.h"
#include "train/optimizer.h"
#include "train/trainer.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

/* Dropout of the head differs from that of the model's modules. */
#define DROPOUT_SEED UINT64_C(0x9e3779b97f4a7c15)

static nft_status keep_config(nft_auxiliary_options *options, const json_t *value)
{
    nft_text text = {0};
    if (!nft_json_append(&text, value, JSON_COMPACT)) {
        nft_text_clear(&text);
        return nft_fail_memory("the recipe", 1 << 10);
    }
    options->config = text.data;
    return NFT_OK;
}

nft_status nft_auxiliary_read(nft_auxiliary_options *auxiliary, const nft_json *value)
{
    nft_options options;
    const json_t *modules = NULL, *decoder = NULL;
    const char *const losses[] = {nft_losses[NFT_LOSS_RECONSTRUCTION].name};
    int loss = 0;
    nft_status status;
    if (!value)
        return NFT_OK;
    auxiliary->weight = 1;
    if ((status = nft_options_open(&options, value, "auxiliary")) ||
        (status = nft_options_choice(&options, "loss", false, losses, 1, &loss)) ||
        (status = nft_options_number(&options, "weight", false, 0, FLT_MAX, &auxiliary->weight)) ||
        (status = nft_options_integer(&options, "module", true, 0, INT32_MAX, &auxiliary->module)) ||
        (status = nft_options_value(&options, "modules", false, &modules)) ||
        (status = nft_options_value(&options, "decoder", true, &decoder)) ||
        (status = nft_options_finish(&options)))
        return status;
    if (modules && !json_is_array(modules))
        return nft_fail(NFT_ERROR_CONFIG, "auxiliary: 'modules' is not a list");
    return keep_config(auxiliary, value);
}

void nft_auxiliary_options_clear(nft_auxiliary_options *options)
{
    nft_release(options->config);
    *options = (nft_auxiliary_options){0};
}

static nft_status check_model(const nft_model *model, int64_t module)
{
    if (!model->space || model->input.channels != 1)
        return nft_fail(NFT_ERROR_MISMATCH,
                        "auxiliary: renders the networks of a model of one space with 1 channel, the weights "
                        "of a network");
    nft_status status = nft_siren_check_space(model->space);
    if (status)
        return nft_fail_in(status, "auxiliary");
    if (module >= model->module_count)
        return nft_fail(NFT_ERROR_MISMATCH,
                        "auxiliary: 'module' is %" PRId64 ", the model has modules 0 … %" PRId64, module,
                        model->module_count - 1);
    if (model->outputs[module].kind == NFT_VALUE_FEATURES)
        return nft_fail(NFT_ERROR_MISMATCH,
                        "auxiliary: the output of module %" PRId64 " is features, expected tokens or a "
                        "vector; take a pooling or flattening module",
                        module);
    return NFT_OK;
}

static nft_status configure(nft_model **head, const nft_auxiliary_options *options, const nft_model *model)
{
    json_t *config = NULL;
    nft_status status = check_model(model, options->module);
    if (!status)
        status = nft_json_parse(&config, options->config, strlen(options->config));
    if (!status)
        status = nft_model_configure_head(head, model, &model->outputs[options->module],
                                          json_object_get(config, "modules"),
                                          json_object_get(config, "decoder"), "auxiliary.");
    json_decref(config);
    if (status || !(*head)->sequence->statistics.count)
        return status;
    nft_model_free(*head);
    *head = NULL;
    return nft_fail(NFT_ERROR_CONFIG,
                    "auxiliary: one of its modules keeps statistics of the data (normalize), which only "
                    "those of the model may");
}

static nft_context_options context_options(const nft_trainer_options *options, int64_t group)
{
    nft_context_options filled = nft_training_options(options, group);
    filled.input_gradient = 1;
    return filled;
}

static nft_status create_group(nft_auxiliary *auxiliary, int64_t group)
{
    const nft_value *input = &auxiliary->model->input;
    const int64_t shape[] = {group, input->tokens, input->channels};
    auxiliary->dropout = nft_allocate_array((size_t)group, sizeof *auxiliary->dropout);
    if (!auxiliary->dropout)
        return nft_fail_memory("a group", nft_size_multiply(group, sizeof *auxiliary->dropout));
    return nft_array_create(&auxiliary->tokens, NFT_ARRAY_F32, shape, 3, NULL);
}

static int64_t joint_bytes(const nft_model *model, const nft_model *head)
{
    return nft_size_multiply(nft_size_add(model->parameters.total, head->parameters.total), sizeof(float));
}

static nft_status create_joint(nft_auxiliary *auxiliary, const nft_model *model)
{
    int64_t bytes = joint_bytes(model, auxiliary->model);
    auxiliary->joint = nft_allocate((size_t)bytes);
    return auxiliary->joint ? NFT_OK : nft_fail_memory("the gradients of all ranks", bytes);
}

nft_status nft_auxiliary_create(nft_auxiliary *auxiliary, const nft_auxiliary_options *options,
                                const nft_model *model, uint64_t seed, int64_t group,
                                const nft_trainer_options *trainer_options)
{
    const nft_context_options context = context_options(trainer_options, group);
    nft_status status;
    if (!options->config)
        return NFT_OK;
    auxiliary->value = options->module + 1;
    auxiliary->weight = options->weight;
    if ((status = configure(&auxiliary->model, options, model)) ||
        (status = nft_model_allocate(auxiliary->model)))
        return status;
    nft_model_initialize(auxiliary->model, seed);
    if ((status = nft_context_create(&auxiliary->context, auxiliary->model, &context)) ||
        (status = nft_gradients_create(&auxiliary->gradients, auxiliary->model)) ||
        (status = nft_objective_create(&auxiliary->objective, auxiliary->model,
                                       &nft_losses[NFT_LOSS_RECONSTRUCTION], group, false)))
        return status;
    status = create_group(auxiliary, group);
    return !status && trainer_options->ranks > 1 ? create_joint(auxiliary, model) : status;
}

void nft_auxiliary_clear(nft_auxiliary *auxiliary)
{
    nft_objective_clear(&auxiliary->objective);
    nft_gradients_free(auxiliary->gradients);
    nft_context_free(auxiliary->context);
    nft_array_free(auxiliary->tokens);
    nft_release(auxiliary->dropout);
    nft_release(auxiliary->joint);
    nft_model_free(auxiliary->model);
    *auxiliary = (nft_auxiliary){0};
}

nft_status nft_auxiliary_bytes(int64_t *bytes, const nft_auxiliary_options *options, const nft_model *model,
                               int64_t group, const nft_trainer_options *trainer_options)
{
    const nft_context_options context = context_options(trainer_options, group);
    nft_model *head = NULL;
    int64_t contexts = 0;
    *bytes = 0;
    if (!options->config)
        return NFT_OK;
    nft_status status = configure(&head, options, model);
    if (!status)
        status = nft_context_cost(&contexts, NULL, head, NULL, &context);
    if (!status) {
        int64_t numbers = nft_size_add(nft_value_floats(&head->input, NULL),
                                       nft_value_floats(nft_model_last_value(head), NULL));
        const int64_t parts[] = {contexts,
                                 nft_size_multiply(head->parameters.total, 2 * sizeof(float)),
                                 nft_moments_bytes(head),
                                 nft_size_multiply(nft_size_multiply(group, numbers), sizeof(float)),
                                 nft_objective_image_bytes(head, &nft_losses[NFT_LOSS_RECONSTRUCTION]),
                                 trainer_options->ranks > 1 ? joint_bytes(model, head) : 0};
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
            *bytes = nft_size_add(*bytes, parts[i]);
    }
    nft_model_free(head);
    return status;
}

void nft_auxiliary_begin(nft_auxiliary *auxiliary)
{
    nft_gradients_clear(auxiliary->gradients);
}

/* The inputs of the head are values of the model. */
static nft_status run_forward(nft_auxiliary *auxiliary, const nft_context *model,
                              const nft_dropout_key *dropout, int64_t count)
{
    nft_forward_sample inputs[NFT_GROUP_MOST];
    int64_t floats = nft_value_floats(&auxiliary->model->input, NULL);
    for (int64_t i = 0; i < count; i++) {
        memcpy((float *)auxiliary->tokens->storage + i * floats,
               nft_context_value(model, auxiliary->value, i), (size_t)floats * sizeof(float));
        inputs[i] = (nft_forward_sample){.tokens = auxiliary->tokens, .index = i};
        auxiliary->dropout[i] = dropout[i];
        auxiliary->dropout[i].seed ^= DROPOUT_SEED;
    }
    nft_context_set_dropout(auxiliary->context, auxiliary->dropout);
    nft_status status = nft_context_run(auxiliary->context, inputs, count, 0);
    nft_context_set_dropout(auxiliary->context, NULL);
    return status;
}

nft_status nft_auxiliary_run(nft_auxiliary *auxiliary, const nft_context *model, const nft_sample *samples,
                             const nft_dropout_key *dropout, int64_t count, double scale, double *loss)
{
    nft_objective *objective = &auxiliary->objective;
    double weighted = scale * auxiliary->weight;
    if (!auxiliary->model)
        return NFT_OK;
    nft_status status = run_forward(auxiliary, model, dropout, count);
    for (int64_t i = 0; i < count && !status; i++) {
        double own =
            nft_objective_loss(objective, &samples[i], nft_objective_output(objective, auxiliary->context, i),
                               weighted, nft_objective_gradient(objective, i));
        if (!isfinite(own))
            status = nft_fail(NFT_ERROR_NOT_FINITE,
                              "the auxiliary loss of sample %" PRId64 " is not finite; try a smaller lr or a "
                              "smaller weight of it",
                              samples[i].number);
        *loss += own * weighted;
    }
    return status
               ? status
               : nft_objective_backward(objective, auxiliary->context, count, auxiliary->gradients, 0, NULL);
}

const float *nft_auxiliary_gradient(const nft_auxiliary *auxiliary)
{
    if (!auxiliary->model)
        return NULL;
    return nft_array_f32(nft_context_output(auxiliary->context, NFT_OUTPUT_INPUT_GRADIENT)->array);
}
