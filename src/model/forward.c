/* nft_forward: samples beside each other on the threads, or one after the other on all threads when there are
 * few. */
#include "model/context.h"

#include <inttypes.h>
#include <string.h>

/* One call, as its workers see it. */
typedef struct call {
    nft_context *context;
    const nft_weights *weights; /* or */
    const nft_array *tokens;
    int64_t first, count;
    int64_t done;     /* atomic: samples finished */
    int64_t reported; /* what the callback heard last */
    int cancelled;    /* atomic */
} call;

static void read_input(const call *c, int64_t sample, float *input)
{
    if (c->weights) {
        nft_weights_gather(c->weights, c->first + sample, input);
        return;
    }
    int64_t floats = nft_value_floats(&c->context->model->input, NULL);
    const float *tokens = c->tokens->data;
    memcpy(input, tokens + (c->first + sample) * floats, (size_t)floats * sizeof *tokens);
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

/* All steps for one sample, in worker `worker`'s arena; `team` shares the work of each step. */
static void run_sample(const call *c, int64_t sample, int worker, nft_pool *team)
{
    const nft_context *context = c->context;
    const nft_plan *plan = &context->plan;
    float *arena = context->arenas + worker * plan->arena;
    float *input = arena + plan->place[NFT_PLACE_INPUT];
    nft_exec exec = {.parameters = context->model->values,
                     .packed = context->model->packed,
                     .input = input,
                     .scratch = arena + plan->scratch,
                     .thread_scratch = arena + plan->thread_scratch,
                     .thread_stride = plan->arena,
                     .team = team};
    read_input(c, sample, input);
    const float *value = input;
    for (int64_t i = 0; i < plan->step_count; i++) {
        const nft_module *module = context->model->steps[i].module;
        float *out = arena + plan->place[plan->places[i]];
        module->class->forward(module, &exec, value, out);
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

static void sample_item(void *argument, int64_t item, int worker)
{
    call *c = argument;
    if (__atomic_load_n(&c->cancelled, __ATOMIC_RELAXED))
        return;
    run_sample(c, item, worker, NULL);
    report(c, worker);
}

static nft_status run(call *c)
{
    nft_context *context = c->context;
    nft_status status = nft_context_reserve(context, c->count);
    if (status)
        return status;
    context->has_output = false;
    nft_context_set_count(context, c->count);
    if (!context->options.keep_blas_threads)
        nft_blas_enter();
    int threads = nft_pool_threads(context->pool);
    int64_t beside = threads > 1 ? c->count / threads * threads : 0;
    nft_pool_run(context->pool, beside, sample_item, c);
    for (int64_t sample = beside; sample < c->count && !c->cancelled; sample++) {
        run_sample(c, sample, 0, threads > 1 ? context->pool : NULL);
        report(c, 0);
    }
    if (!c->cancelled && c->reported < c->count) /* the last samples were other threads' */
        tell(c, c->count);
    if (!context->options.keep_blas_threads)
        nft_blas_leave();
    if (c->cancelled)
        return nft_fail(NFT_ERROR_CANCELLED,
                        "nft_forward: the progress callback stopped it after %" PRId64 " of %" PRId64
                        " networks",
                        c->done, c->count);
    context->has_output = true;
    return NFT_OK;
}

static nft_status check_range(const char *function, int64_t first, int64_t count, int64_t available)
{
    if (count < 1)
        return nft_fail(NFT_ERROR_ARGUMENT, "%s: count is %" PRId64 ", expected at least 1 network", function,
                        count);
    if (first < 0 || first > available || count > available - first)
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
    if ((status = nft_space_check_equal(model->space, weights->space)))
        return nft_fail_in(status, "nft_forward");
    if (weights->channels != model->input.channels)
        return nft_fail(NFT_ERROR_MISMATCH,
                        "nft_forward: the weights have %" PRId64 " channels, the model takes %" PRId64,
                        weights->channels, model->input.channels);
    if ((status = check_range("nft_forward", first, count, weights->count)))
        return status;
    call c = {.context = context, .weights = weights, .first = first, .count = count};
    return run(&c);
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
    if (tokens->type != NFT_ARRAY_F32 || tokens->rank != 3 || tokens->shape[1] != model->input.tokens ||
        tokens->shape[2] != model->input.channels) {
        char found[160];
        nft_shape_describe(tokens->shape, tokens->rank, found, sizeof found);
        return nft_fail(NFT_ERROR_MISMATCH,
                        "nft_forward_tokens: the array is %s %s, expected F32 (N, %" PRId64 ", %" PRId64 ")",
                        tokens->type == NFT_ARRAY_F32 ? "F32" : "I64", found, model->input.tokens,
                        model->input.channels);
    }
    nft_status status = check_range("nft_forward_tokens", first, count, tokens->shape[0]);
    if (status)
        return status;
    call c = {.context = context, .tokens = tokens, .first = first, .count = count};
    return run(&c);
}
