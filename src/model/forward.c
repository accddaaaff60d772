/* nft_forward: samples at the same time on the threads, or one after the other on all threads when there are
 * few. */
#include "io/file.h"
#include "model/context.h"
#include "model/view.h"

#include <inttypes.h>
#include <string.h>

/* One call, as its workers see it. */
typedef struct call {
    nft_context *context;
    const nft_forward_sample *samples; /* NULL: those of `view` */
    nft_view view;
    int64_t count;
    int64_t steps;    /* how many are run */
    int64_t done;     /* atomic: samples finished */
    int64_t reported; /* that the callback was told of last */
    int cancelled;    /* atomic */
} call;

static void read_input(const call *c, int64_t sample, float *input)
{
    const nft_forward_sample *own = c->samples ? &c->samples[sample] : NULL;
    const nft_weights *weights = own ? own->weights : c->view.weights;
    int64_t index = own ? own->index : nft_view_index(&c->view, sample);
    if (weights) {
        nft_weights_gather(weights, index, input);
        return;
    }
    int64_t floats = nft_value_floats(&c->context->model->input, NULL);
    const float *tokens = own ? own->tokens->data : c->view.array->data;
    memcpy(input, tokens + index * floats, (size_t)floats * sizeof *tokens);
}

static void write_array(const nft_array *array, int64_t sample, int64_t floats, const float *value)
{
    memcpy((float *)array->storage + sample * floats, value, (size_t)floats * sizeof *value);
}

static void write_output(const call *c, const nft_sequence *sequence, int64_t step, int64_t sample,
                         const float *value)
{
    const nft_context *context = c->context;
    const nft_outputs *given = context->given;
    int64_t floats = nft_sequence_floats(sequence, step + 1);
    if (step == context->step_count - 1 && given->features)
        nft_weights_scatter(given->features, sample, value);
    else if (step == context->step_count - 1)
        write_array(given->output, sample, floats, value);
    else if (step == context->model->module_count - 1 && given->latents)
        write_array(given->latents, sample, floats, value);
}

/* All steps for one sample; `team` shares the work of each step. */
static void run_sample(const call *c, int64_t sample, int worker, nft_pool *team)
{
    const nft_context *context = c->context;
    const nft_space_plan *own = nft_context_plan_of(context, sample);
    const nft_plan *plan = &own->plan;
    float *arena = nft_context_arena(context, worker);
    nft_exec exec = nft_context_exec(context, sample, worker, team);
    read_input(c, sample, (float *)exec.input);
    const float *value = exec.input;
    for (int64_t i = 0; i < c->steps; i++) {
        const nft_module *module = own->sequence->steps[i].module;
        float *out =
            plan->kept ? nft_context_value(context, i + 1, sample) : arena + plan->place[plan->places[i]];
        nft_context_enter_step(context, i, sample, worker, &exec);
        module->class->forward(module, &exec, value, out);
        if (c->steps == context->step_count)
            write_output(c, own->sequence, i, sample, out);
        value = out;
    }
}

/* Only the caller's thread, worker 0, speaks to the callback. */
static void tell(call *c, int64_t done)
{
    const nft_context *context = c->context;
    c->reported = done;
    if (context->progress && context->progress(done, c->count, context->progress_user))
        __atomic_store_n(&c->cancelled, 1, __ATOMIC_RELAXED);
}

static void report(call *c, int worker)
{
    int64_t done = __atomic_add_fetch(&c->done, 1, __ATOMIC_RELAXED);
    if (worker == 0)
        tell(c, done);
}

static void forward_sample(void *argument, int64_t sample, int worker, nft_pool *team)
{
    call *c = argument;
    if (__atomic_load_n(&c->cancelled, __ATOMIC_RELAXED))
        return;
    run_sample(c, sample, worker, team);
    report(c, worker);
}

static nft_status check_batch(const call *c)
{
    const nft_context_options *options = &c->context->options;
    if (!options->keep_for_backward || c->count <= options->max_batch)
        return NFT_OK;
    return nft_fail(NFT_ERROR_ARGUMENT,
                    "a forward of %" PRId64
                    " samples, but a context that keeps for backward takes at most max_batch, %" PRId64,
                    c->count, options->max_batch);
}

static nft_status plan(const call *c)
{
    const nft_weights *weights = c->view.weights;
    nft_status status = check_batch(c);
    if (status)
        return status;
    return c->samples ? nft_context_plan_samples(c->context, c->samples, c->count)
                      : nft_context_plan_for(c->context, weights ? weights->space : NULL, c->count);
}

static nft_status run(call *c)
{
    nft_context *context = c->context;
    nft_status status = plan(c);
    if (status)
        return status;
    context->has_output = context->has_input_gradient = context->spent = context->changed = false;
    nft_context_enter(context);
    nft_context_for_samples(context, 0, c->count, forward_sample, c);
    if (!c->cancelled && c->reported < c->count) /* the last samples were other threads' */
        tell(c, c->count);
    nft_context_leave(context);
    if (c->cancelled)
        return nft_fail(NFT_ERROR_CANCELLED,
                        "the progress callback stopped the forward after %" PRId64 " of %" PRId64 " samples",
                        c->done, c->count);
    context->has_output = c->steps == context->step_count;
    return NFT_OK;
}

nft_status nft_context_run(nft_context *context, const nft_forward_sample *samples, int64_t count,
                           int64_t steps)
{
    call c = {
        .context = context, .samples = samples, .count = count, .steps = steps ? steps : context->step_count};
    return run(&c);
}

nft_status nft_model_check_weights(const nft_model *model, const nft_weights *weights)
{
    nft_status status = model->any_space ? NFT_OK : nft_space_check_equal(model->space, weights->space);
    if (!status && weights->channels != model->input.channels)
        status =
            nft_fail(NFT_ERROR_MISMATCH, "the weights have %" PRId64 " channels, the model takes %" PRId64,
                     weights->channels, model->input.channels);
    return status;
}

nft_status nft_model_check_tokens(const nft_model *model, const nft_array *tokens)
{
    if (tokens->type == NFT_ARRAY_F32 && tokens->rank == 3 && tokens->shape[1] == model->input.tokens &&
        tokens->shape[2] == model->input.channels)
        return NFT_OK;
    char found[160];
    nft_shape_describe(tokens->shape, tokens->rank, found, sizeof found);
    return nft_fail(NFT_ERROR_MISMATCH, "the array is %s %s, expected F32 (N, %" PRId64 ", %" PRId64 ")",
                    tokens->type == NFT_ARRAY_F32 ? "F32" : "I64", found, model->input.tokens,
                    model->input.channels);
}

static nft_status check_input(const nft_model *model, const nft_view *input)
{
    bool takes_tokens = model->input.kind == NFT_VALUE_TOKENS;
    if (takes_tokens && !input->array)
        return nft_fail(NFT_ERROR_MISMATCH, "the model takes tokens, not weights");
    if (!takes_tokens && !input->weights)
        return nft_fail(NFT_ERROR_MISMATCH, "the model takes weights, not tokens");
    return takes_tokens ? nft_model_check_tokens(model, input->array)
                        : nft_model_check_weights(model, input->weights);
}

static nft_status forward(nft_context *context, const nft_view *input)
{
    call c = {.context = context, .steps = context->step_count};
    nft_status status = nft_view_fill(&c.view, input);
    if (!status)
        status = check_input(context->model, &c.view);
    if (!status && c.view.weights)
        status = nft_contract_check_data(&context->contract, &c.view.weights->metadata);
    c.count = c.view.count;
    return status ? status : run(&c);
}

nft_status nft_forward(nft_context *context, const nft_view *input)
{
    static const char function[] = "nft_forward";
    if (!context || !input)
        return nft_fail_null(function, context ? "input" : "context");
    nft_status status = nft_context_acquire(context, function);
    if (status)
        return status;
    status = forward(context, input);
    nft_context_release(context);
    return status ? nft_fail_in(status, "%s", function) : NFT_OK;
}
