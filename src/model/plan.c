#include "model/plan.h"

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void place_outputs(nft_plan *plan, const nft_model *model, int64_t *sizes)
{
    nft_place current = NFT_PLACE_INPUT;
    for (int64_t i = 0; i < plan->step_count; i++) {
        const nft_module *module = model->steps[i].module;
        if (!module->class->in_place || current == NFT_PLACE_INPUT)
            current = current == NFT_PLACE_A ? NFT_PLACE_B : NFT_PLACE_A;
        plan->places[i] = current;
        sizes[current] = larger(sizes[current], nft_value_floats(&module->out, model->space));
    }
}

/* Floats of what a call gives for one sample: the last value, and the latents if a decoder follows them. */
static int64_t output_floats(const nft_plan *plan, const nft_model *model)
{
    int64_t floats = nft_value_floats(&model->steps[plan->step_count - 1].module->out, model->space);
    if (plan->step_count > model->module_count && model->module_count > 0)
        floats = nft_size_add(
            floats, nft_value_floats(&model->steps[model->module_count - 1].module->out, model->space));
    return floats;
}

void nft_plan_make(nft_plan *plan, const nft_model *model, const nft_context_options *options, int threads)
{
    int64_t sizes[NFT_PLACE_COUNT] = {nft_value_floats(&model->input, model->space), 0, 0};
    int64_t scratch = 0, thread_scratch = 0;
    plan->step_count = options->without_decoder && model->module_count > 0 ? model->module_count
                                                                           : nft_model_step_count(model);
    place_outputs(plan, model, sizes);
    for (int64_t i = 0; i < plan->step_count; i++) {
        scratch = larger(scratch, model->steps[i].module->scratch);
        thread_scratch = larger(thread_scratch, model->steps[i].module->thread_scratch);
    }
    plan->arena = 0;
    for (int i = 0; i < NFT_PLACE_COUNT; i++)
        plan->place[i] = nft_reserve(&plan->arena, sizes[i]);
    plan->scratch = nft_reserve(&plan->arena, scratch);
    plan->thread_scratch = nft_reserve(&plan->arena, thread_scratch);
    plan->arena_count = threads;
    int64_t outputs = nft_size_multiply(output_floats(plan, model), options->max_batch);
    int64_t floats = nft_size_add(nft_size_multiply(plan->arena, plan->arena_count), outputs);
    plan->bytes = nft_size_multiply(floats, sizeof(float));
}
