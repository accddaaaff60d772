#include "model/plan.h"

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

int64_t nft_plan_steps(const nft_model *model, const nft_context_options *options)
{
    return options->without_decoder ? model->module_count : nft_model_step_count(model);
}

static void place_outputs(nft_plan *plan, const nft_sequence *sequence, int64_t steps)
{
    int64_t sizes[NFT_PLACE_COUNT] = {nft_sequence_floats(sequence, 0), 0, 0};
    nft_place current = NFT_PLACE_INPUT;
    for (int64_t i = 0; i < steps; i++) {
        if (!sequence->steps[i].module->class->in_place || current == NFT_PLACE_INPUT)
            current = current == NFT_PLACE_A ? NFT_PLACE_B : NFT_PLACE_A;
        plan->places[i] = current;
        sizes[current] = larger(sizes[current], nft_sequence_floats(sequence, i + 1));
    }
    for (int i = 0; i < NFT_PLACE_COUNT; i++)
        plan->place[i] = nft_take(&plan->arena, sizes[i]);
}

/* For backward. `values` NULL: only the sizes. Returns the floats that are kept of a sample. */
static int64_t place_values(const nft_sequence *sequence, int64_t steps, bool recompute, int64_t *values,
                            int64_t gradients[2], int64_t *input_gradient)
{
    int64_t largest[2] = {0, 0}, kept = 0;
    for (int64_t i = 0; i <= steps; i++) {
        int64_t floats = nft_sequence_floats(sequence, i);
        largest[i % 2] = larger(largest[i % 2], floats);
        int64_t place = nft_take(&kept, i == steps || recompute ? floats : sequence->steps[i].frame_out);
        if (values)
            values[i] = place;
    }
    for (int i = 0; i < 2; i++)
        gradients[i] = nft_take(&kept, largest[i]);
    *input_gradient = nft_take(&kept, nft_sequence_floats(sequence, 0));
    return kept;
}

int64_t nft_kept_floats(const nft_sequence *sequence, bool recompute)
{
    int64_t gradients[2], input_gradient;
    return place_values(sequence, sequence->step_count, recompute, NULL, gradients, &input_gradient);
}

/* Room for the backward block of a sample on each thread, or of more samples where blocks are small: the
 * threads wait for each other after each round. */
#define ROUND_FLOATS (INT64_C(1) << 20) /* for each thread, about the size of its cache */

static int64_t backward_floats(const nft_sequence *sequence, int64_t steps, int64_t samples, int64_t threads)
{
    int64_t largest = 0;
    for (int64_t i = 0; i < steps; i++)
        largest = larger(largest, sequence->steps[i].backward);
    int64_t least = nft_size_multiply(largest, samples < threads ? samples : threads),
            all = nft_size_multiply(largest, samples), round = threads * ROUND_FLOATS;
    return larger(least, all < round ? all : round);
}

static void place_kept(nft_plan *plan, const nft_sequence *sequence, int64_t steps,
                       const nft_context_options *options)
{
    int64_t frame = 0, samples = options->max_batch, threads = options->threads;
    if (options->recompute && samples > threads) /* no more have a frame */
        samples = threads;
    plan->kept = place_values(sequence, steps, options->recompute, plan->values, plan->gradients,
                              &plan->input_gradient);
    for (int64_t i = 0; i < steps && options->recompute; i++)
        frame = larger(frame, sequence->steps[i].frame);
    nft_take(&plan->frame, frame);
    plan->backward = backward_floats(sequence, steps, samples, threads);
}

int64_t nft_plan_arenas(const nft_context_options *options)
{
    return options->recompute || options->max_batch >= options->threads ? options->threads : 1;
}

static void place_scratch(nft_plan *plan, const nft_sequence *sequence, int64_t steps,
                          const nft_context_options *options)
{
    bool training = options->keep_for_backward;
    int64_t call = 0, item = 0;
    for (int64_t i = 0; i < steps; i++) {
        const nft_memory *memory = &sequence->steps[i].module->memory;
        call = larger(call, training ? nft_size_add(memory->call, memory->training) : memory->call);
        item = larger(item, memory->item);
    }
    plan->call = nft_take(&plan->arena, call);
    nft_take(&plan->item_stride, item);
    plan->item = nft_take(&plan->arena,
                          nft_size_multiply(plan->item_stride, options->threads / nft_plan_arenas(options)));
}

/* Floats that a call gives for one sample: the last value, and the latents if a decoder follows them. */
static int64_t output_floats(const nft_model *model, const nft_sequence *sequence, int64_t steps)
{
    int64_t floats = nft_sequence_floats(sequence, steps);
    return steps > model->module_count
               ? nft_size_add(floats, nft_sequence_floats(sequence, model->module_count))
               : floats;
}

int64_t nft_plan_packed_bytes(const nft_model *model, const nft_context_options *options)
{
    nft_pack_format format = nft_format_of(options->precision);
    int64_t bytes = nft_packed_weights_bytes(&model->parameters, format, false);
    if (options->keep_for_backward)
        bytes = nft_size_add(bytes, nft_packed_weights_bytes(&model->parameters, format, true));
    return bytes;
}

nft_status nft_plan_make(nft_plan *plan, const nft_model *model, const nft_sequence *sequence,
                         const nft_context_options *options)
{
    int64_t steps = nft_plan_steps(model, options);
    *plan = (nft_plan){0};
    plan->places = nft_allocate_array((size_t)steps, sizeof *plan->places);
    plan->values = nft_allocate_array((size_t)steps + 1, sizeof *plan->values);
    if (!plan->places || !plan->values)
        return nft_fail_memory("a memory plan",
                               (steps + 1) * (int64_t)(sizeof *plan->places + sizeof *plan->values));
    if (options->keep_for_backward)
        place_kept(plan, sequence, steps, options);
    else
        place_outputs(plan, sequence, steps);
    place_scratch(plan, sequence, steps, options);
    plan->given = plan->output = output_floats(model, sequence, steps);
    if (options->keep_for_backward && options->input_gradient)
        plan->given = nft_size_add(plan->output, nft_sequence_floats(sequence, 0));
    int64_t floats =
        nft_size_add(nft_size_multiply(nft_size_add(plan->frame, plan->arena), nft_plan_arenas(options)),
                     nft_size_multiply(nft_size_add(plan->given, plan->kept), options->max_batch));
    if (options->keep_for_backward)
        floats = nft_size_add(floats, plan->backward);
    plan->bytes =
        nft_size_add(nft_size_multiply(floats, sizeof(float)), nft_plan_packed_bytes(model, options));
    return NFT_OK;
}

void nft_plan_clear(nft_plan *plan)
{
    nft_release(plan->places);
    nft_release(plan->values);
}
