/* nft_forward: samples beside each other on the threads, or one after the other on all threads when there are
 * few. */
#include "model/context.h"

#include <inttypes.h>
#include <string.h>

/* One call, as its workers see it. */
typedef struct call {
    nft_context *context;
    const nft_forward_input *input;
    int64_t count;
    int64_t steps;    /* how many are run */
    int64_t done;     /* atomic: samples finished */
    int64_t reported; /* what the callback heard last */
    int cancelled;    /* atomic */
} call;

static void read_input(const call *c, int64_t sample, float *input)
{
    const nft_forward_input *from = c->input;
    int64_t index = from->indices ? from->indices[sample] : from->first + sample;
    if (from->weights) {
        nft_weights_gather(from->weights, index, input);
        return;
    }
    int64_t floats = nft_value_floats(&c->context->model->input, NULL);
    const float *tokens = from->tokens->data;
    memcpy(input, tokens + index * floats, (size_t)floats * sizeof *tokens);
}

static void write_value(const nft_array *array, int64_t sample, int64_t floats, const float *value)
{
    memcpy((float *)array->storage + sample * floats, value, (size_t)floats * sizeof *value);
}

static void write_output(const call *c, int64_t step, int64_t sample, const float *value)
{
    const nft_context *context = c->context;
    int64_t floats = nft_value_floats(&context->model->steps[step].module->out, context->model->space);
    if (step == context->plan.step_count - 1 && context->features)
        nft_weights_scatter(context->features, sample, value);
    else if (step == context->plan.step_count - 1)
        write_value(context->output, sample, floats, value);
    else if (step == context->model->module_count - 1 && context->latents)
        write_value(context->latents, sample, floats, value);
}

/* All steps for one sample; `team` shares the work of each step. */
static void run_sample(const call *c, int64_t sample, int worker, nft_pool *team)
{
    const nft_context *context = c->context;
    const nft_plan *plan = &context->plan;
    const nft_model *model = context->model;
    float *arena = context->arenas + worker * plan->arena;
    nft_exec exec = nft_context_exec(context, sample, worker, team);
    read_input(c, sample, (float *)exec.input);
    const float *value = exec.input;
    for (int64_t i = 0; i < c->steps; i++) {
        const nft_module *module = model->steps[i].module;
        float *out = arena + plan->place[plan->places[i]];
        if (plan->kept) {
            exec.kept = nft_context_frame(context, i, sample, worker);
            out = nft_context_value(context, i + 1, sample);
        }
        module->class->forward(module, &exec, value, out);
        if (c->steps == plan->step_count)
            write_output(c, i, sample, out);
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

nft_status nft_context_run(nft_context *context, const nft_forward_input *input)
{
    call c = {.context = context,
              .input = input,
              .count = input->count,
              .steps = input->steps ? input->steps : context->plan.step_count};
    if (context->plan.kept && c.count > context->options.max_batch)
        return nft_fail(NFT_ERROR_ARGUMENT,
                        "a forward of %" PRId64
                        " samples, but a context that keeps for backward takes at most max_batch, %" PRId64,
                        c.count, context->options.max_batch);
    nft_status status = nft_context_reserve(context, c.count);
    if (status)
        return status;
    context->has_output = context->has_input_gradient = context->spent = context->changed = false;
    context->samples = c.count;
    nft_context_set_count(context, c.count);
    nft_context_enter(context);
    nft_context_for_samples(context, c.count, forward_sample, &c);
    if (!c.cancelled && c.reported < c.count) /* the last samples were other threads' */
        tell(&c, c.count);
    nft_context_leave(context);
    if (c.cancelled)
        return nft_fail(NFT_ERROR_CANCELLED,
                        "the progress callback stopped the forward after %" PRId64 " of %" PRId64 " samples",
                        c.done, c.count);
    context->has_output = c.steps == context->plan.step_count;
    return NFT_OK;
}

nft_status nft_model_check_weights(const nft_model *model, const nft_weights *weights)
{
    nft_status status = nft_space_check_equal(model->space, weights->space);
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

static nft_status check_range(const char *function, int64_t first, int64_t count, int64_t available)
{
    if (count < 1)
        return nft_fail(NFT_ERROR_ARGUMENT, "%s: count is %" PRId64 ", expected at least 1 network", function,
                        count);
    if (first < 0 || first > available)
        return nft_fail(NFT_ERROR_ARGUMENT, "%s: first is %" PRId64 ", expected 0 … %" PRId64, function,
                        first, available > 0 ? available - 1 : 0);
    if (count > available - first)
        return nft_fail(NFT_ERROR_ARGUMENT,
                        "%s: first %" PRId64 " and count %" PRId64 " reach past the %" PRId64
                        " that there are",
                        function, first, count, available);
    return NFT_OK;
}

nft_status nft_forward_range(nft_context *context, const nft_weights *weights, int64_t first, int64_t count)
{
    if (!context || !weights)
        return nft_fail_null("nft_forward", context ? "weights" : "context");
    const nft_model *model = context->model;
    nft_status status;
    if (!model->space)
        return nft_fail(NFT_ERROR_MISMATCH,
                        "nft_forward: the model takes tokens, not weights; call nft_forward_tokens");
    if ((status = nft_model_check_weights(model, weights)))
        return nft_fail_in(status, "nft_forward");
    if ((status = check_range("nft_forward", first, count, weights->count)))
        return status;
    status =
        nft_context_run(context, &(nft_forward_input){.weights = weights, .first = first, .count = count});
    return status ? nft_fail_in(status, "nft_forward") : NFT_OK;
}

nft_status nft_forward(nft_context *context, const nft_weights *weights)
{
    return nft_forward_range(context, weights, 0, nft_weights_count(weights));
}

nft_status nft_forward_tokens(nft_context *context, const nft_array *tokens, int64_t first, int64_t count)
{
    if (!context || !tokens)
        return nft_fail_null("nft_forward_tokens", context ? "tokens" : "context");
    const nft_model *model = context->model;
    if (model->space)
        return nft_fail(NFT_ERROR_MISMATCH,
                        "nft_forward_tokens: the model takes weights, not tokens; call nft_forward");
    nft_status status = nft_model_check_tokens(model, tokens);
    if (status)
        return nft_fail_in(status, "nft_forward_tokens");
    status = check_range("nft_forward_tokens", first, count, tokens->shape[0]);
    if (status)
        return status;
    status = nft_context_run(context, &(nft_forward_input){.tokens = tokens, .first = first, .count = count});
    return status ? nft_fail_in(status, "nft_forward_tokens") : NFT_OK;
}
