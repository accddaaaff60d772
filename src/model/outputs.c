/* The results of a context: arrays and weight sets with room for the largest batch so far. */
#include "model/context.h"
#include "siren/form.h"

void nft_outputs_clear(nft_outputs *outputs)
{
    nft_array_free(outputs->output);
    nft_array_free(outputs->latents);
    nft_weights_free(outputs->features);
    *outputs = (nft_outputs){0};
}

nft_outputs *nft_outputs_of(nft_context *context, nft_space_plan *plan)
{
    const nft_model *model = context->model;
    return nft_model_value_is_fixed(model, nft_model_last_value(model)) ? &context->outputs : &plan->outputs;
}

/* The values that outputs hold. */
typedef struct shapes {
    const nft_value *output, *latents; /* latents may be NULL */
    const nft_space *space;            /* of an output that is features */
    int64_t floats;                    /* of one sample */
} shapes;

static nft_status make_array(nft_array **array, const nft_value *value, int64_t samples)
{
    bool tokens = value->kind == NFT_VALUE_TOKENS;
    int64_t shape[3] = {samples, tokens ? value->tokens : value->channels, value->channels};
    return nft_array_create(array, NFT_ARRAY_F32, shape, tokens ? 3 : 2, NULL);
}

/* The networks that a model of loss render gives note their form: ω of the loss, and the offset of its data.
 */
static nft_status note_form(nft_weights *features, const nft_context *context)
{
    const char *omega = nft_metadata_get(&context->model->metadata, NFT_OMEGA_KEY);
    nft_status status = nft_metadata_set(&features->metadata, NFT_OMEGA_KEY, omega);
    if (status || !omega)
        return status;
    return nft_metadata_set(&features->metadata, NFT_OFFSET_KEY,
                            context->contract.texts[NFT_CONTRACT_OFFSET]);
}

static nft_status make_outputs(nft_outputs *made, const nft_context *context, const shapes *of,
                               int64_t samples)
{
    nft_status status;
    made->capacity = samples;
    made->floats = of->floats;
    if (of->output->kind == NFT_VALUE_FEATURES) {
        status = nft_weights_allocate(&made->features, of->space, samples, of->output->channels, NULL, 0);
        if (!status)
            status = note_form(made->features, context);
        if (!status)
            made->features->rank = 3;
    } else {
        status = make_array(&made->output, of->output, samples);
    }
    if (!status && of->latents)
        status = make_array(&made->latents, of->latents, samples);
    return status;
}

/* The outputs that there were stay unless all new ones are there. */
static nft_status reserve(nft_context *context, nft_outputs *outputs, const shapes *of, int64_t samples)
{
    nft_outputs made = {0};
    if (samples <= outputs->capacity)
        return NFT_OK;
    int64_t floats = nft_size_multiply(of->floats, samples);
    nft_status status = nft_context_check_room(context, floats);
    if (status)
        return nft_fail_in(status, "an output of that many samples");
    if ((status = make_outputs(&made, context, of, samples))) {
        nft_outputs_clear(&made);
        return status;
    }
    context->output_floats += floats - outputs->floats * outputs->capacity;
    nft_outputs_clear(outputs);
    *outputs = made;
    return NFT_OK;
}

static nft_status reserve_input_gradient(nft_context *context, nft_space_plan *plan, int64_t samples)
{
    const nft_sequence *sequence = plan->sequence;
    const shapes of = {&sequence->input, NULL, sequence->space, nft_sequence_floats(sequence, 0)};
    return reserve(context, &plan->input_gradient, &of, samples);
}

nft_status nft_outputs_reserve(nft_context *context, nft_space_plan *plan, int64_t samples)
{
    const nft_model *model = context->model;
    const nft_context_options *options = &context->options;
    int64_t steps = context->step_count;
    shapes of = {.output = &model->outputs[steps - 1]};
    if (steps > model->module_count && model->module_count)
        of.latents = &model->outputs[model->module_count - 1];
    if (plan) {
        of.output = nft_sequence_value(plan->sequence, steps);
        of.space = nft_sequence_space(plan->sequence, steps);
        of.floats = plan->plan.output;
    } else {
        of.floats = nft_value_floats(of.output, NULL);
    }
    nft_status status = reserve(context, nft_outputs_of(context, plan), &of, samples);
    if (!status && plan && options->keep_for_backward && options->input_gradient)
        status = reserve_input_gradient(context, plan, samples);
    return status;
}

static void set_leading(nft_outputs *outputs, int64_t samples)
{
    nft_array *arrays[] = {outputs->output, outputs->latents};
    for (int i = 0; i < 2; i++)
        if (arrays[i]) {
            arrays[i]->shape[0] = samples;
            arrays[i]->count = nft_shape_count(arrays[i]->shape, arrays[i]->rank);
        }
    if (outputs->features)
        outputs->features->count = samples;
}

void nft_outputs_set_count(nft_context *context)
{
    set_leading(context->given, context->samples);
    if (context->plan)
        set_leading(&context->plan->input_gradient, context->samples);
}
