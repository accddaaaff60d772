#include "model/plan.h"

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t count_floats(const nft_model *model, const nft_value *value)
{
    return nft_value_floats(value, model->space);
}

static void place_outputs(nft_plan *plan, const nft_model *model)
{
    int64_t sizes[NFT_PLACE_COUNT] = {count_floats(model, &model->input), 0, 0};
    nft_place current = NFT_PLACE_INPUT;
    for (int64_t i = 0; i < plan->step_count; i++) {
        const nft_module *module = model->steps[i].module;
        if (!module->class->in_place || current == NFT_PLACE_INPUT)
            current = current == NFT_PLACE_A ? NFT_PLACE_B : NFT_PLACE_A;
        plan->places[i] = current;
        sizes[current] = larger(sizes[current], count_floats(model, &module->out));
    }
    for (int i = 0; i < NFT_PLACE_COUNT; i++)
        plan->place[i] = nft_reserve(&plan->arena, sizes[i]);
}

/* For backward. `values` NULL: the sizes alone. Returns the floats that are kept of a sample. */
static int64_t place_values(const nft_model *model, int64_t steps, bool recompute, int64_t *values,
                            int64_t gradients[2], int64_t *input_gradient)
{
    int64_t input = count_floats(model, &model->input), largest[2] = {input, 0}, kept = 0;
    for (int64_t i = 0; i <= steps; i++) {
        const nft_step *step = &model->steps[i];
        int64_t floats = i ? count_floats(model, &step[-1].module->out) : input;
        largest[i % 2] = larger(largest[i % 2], floats);
        int64_t place = nft_reserve(&kept, i == steps || recompute ? floats : step->frame_out);
        if (values)
            values[i] = place;
    }
    for (int i = 0; i < 2; i++)
        gradients[i] = nft_reserve(&kept, largest[i]);
    *input_gradient = nft_reserve(&kept, input);
    return kept;
}

int64_t nft_kept_floats(const nft_model *model, bool recompute)
{
    int64_t gradients[2], input_gradient;
    return place_values(model, nft_model_step_count(model), recompute, NULL, gradients, &input_gradient);
}

/* Room for the sides of a sample on each thread, or of more samples where they are small: the threads wait
 * for each other after each round. */
#define ROUND_FLOATS (INT64_C(1) << 20) /* for each thread, about what its cache holds */

static int64_t side_floats(const nft_model *model, int64_t steps, int64_t samples, int64_t threads)
{
    int64_t largest = 0;
    for (int64_t i = 0; i < steps; i++)
        largest = larger(largest, model->steps[i].sides);
    int64_t least = nft_size_multiply(largest, samples < threads ? samples : threads),
            all = nft_size_multiply(largest, samples), round = threads * ROUND_FLOATS;
    return larger(least, all < round ? all : round);
}

static void place_kept(nft_plan *plan, const nft_model *model, const nft_context_options *options,
                       int threads)
{
    int64_t frame = 0, samples = options->max_batch;
    if (options->recompute && samples > threads) /* no more have a frame */
        samples = threads;
    plan->kept = place_values(model, plan->step_count, options->recompute, plan->values, plan->gradients,
                              &plan->input_gradient);
    for (int64_t i = 0; i < plan->step_count && options->recompute; i++)
        frame = larger(frame, model->steps[i].frame);
    plan->frame = nft_reserve(&plan->arena, frame);
    plan->sides = side_floats(model, plan->step_count, samples, threads);
}

static void place_scratch(nft_plan *plan, const nft_model *model, bool training)
{
    int64_t scratch = 0, thread_scratch = 0;
    for (int64_t i = 0; i < plan->step_count; i++) {
        const nft_module *module = model->steps[i].module;
        scratch = larger(scratch, module->scratch);
        if (training)
            scratch = larger(scratch, module->training_scratch);
        thread_scratch = larger(thread_scratch, module->thread_scratch);
    }
    plan->scratch = nft_reserve(&plan->arena, scratch);
    plan->thread_scratch = nft_reserve(&plan->arena, thread_scratch);
}

/* Floats of what a call gives for one sample: the last value, and the latents if a decoder follows them. */
static int64_t output_floats(const nft_plan *plan, const nft_model *model)
{
    int64_t floats = count_floats(model, &model->steps[plan->step_count - 1].module->out);
    if (plan->step_count > model->module_count)
        floats =
            nft_size_add(floats, count_floats(model, &model->steps[model->module_count - 1].module->out));
    return floats;
}

static int64_t packed_bytes(const nft_model *model, const nft_context_options *options)
{
    nft_format format = nft_format_of(options->precision);
    int64_t bytes = nft_packed_weights_bytes(&model->parameters, format, false);
    if (options->keep_for_backward)
        bytes = nft_size_add(bytes, nft_packed_weights_bytes(&model->parameters, format, true));
    return bytes;
}

void nft_plan_make(nft_plan *plan, const nft_model *model, const nft_context_options *options, int threads)
{
    plan->step_count = options->without_decoder ? model->module_count : nft_model_step_count(model);
    plan->arena = plan->kept = plan->sides = 0;
    if (options->keep_for_backward)
        place_kept(plan, model, options, threads);
    else
        place_outputs(plan, model);
    place_scratch(plan, model, options->keep_for_backward);
    plan->arena_count = threads;
    plan->output = output_floats(plan, model);
    int64_t sample = nft_size_add(plan->output, plan->kept);
    if (options->keep_for_backward && options->input_gradient)
        sample = nft_size_add(sample, count_floats(model, &model->input));
    int64_t floats = nft_size_add(nft_size_multiply(plan->arena, plan->arena_count),
                                  nft_size_multiply(sample, options->max_batch));
    if (options->keep_for_backward)
        floats = nft_size_add(floats, plan->sides);
    plan->bytes = nft_size_add(nft_size_multiply(floats, sizeof(float)), packed_bytes(model, options));
}
