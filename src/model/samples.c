/* How the samples of a call share a context's threads and memory. */
#include "model/context.h"

#include <string.h>

typedef struct samples {
    nft_sample_work *work;
    void *argument;
} samples;

static void run_item(void *argument, int64_t item, int worker)
{
    const samples *s = argument;
    s->work(s->argument, item, worker, NULL);
}

void nft_context_for_samples(nft_context *context, int64_t count, nft_sample_work *work, void *argument)
{
    samples s = {work, argument};
    int threads = nft_pool_threads(context->pool);
    int64_t beside = threads > 1 ? count / threads * threads : 0;
    nft_pool_run(context->pool, beside, run_item, &s);
    for (int64_t sample = beside; sample < count; sample++)
        work(argument, sample, 0, threads > 1 ? context->pool : NULL);
}

nft_exec nft_context_exec(const nft_context *context, int64_t sample, int worker, nft_pool *team)
{
    const nft_plan *plan = &context->plan;
    float *arena = context->arenas + worker * plan->arena;
    float *kept = plan->kept ? context->kept + sample * plan->kept : NULL;
    return (nft_exec){.parameters = context->model->values,
                      .packed = context->packed,
                      .packed_back = context->packed_back,
                      .input = kept ? kept + plan->values[0] : arena + plan->place[NFT_PLACE_INPUT],
                      .dropout = context->dropout ? context->dropout + sample : NULL,
                      .input_gradient = kept ? kept + plan->input_gradient : NULL,
                      .scratch = arena + plan->scratch,
                      .thread_scratch = arena + plan->thread_scratch,
                      .thread_stride = plan->arena,
                      .team = team};
}

float *nft_context_value(const nft_context *context, int64_t index, int64_t sample)
{
    return context->kept + sample * context->plan.kept + context->plan.values[index];
}

int64_t nft_context_frame_count(const nft_context *context)
{
    return context->options.recompute ? context->plan.arena_count : context->options.max_batch;
}

int64_t nft_context_side_count(const nft_context *context, int64_t step)
{
    int64_t size = context->model->steps[step].sides, frames = nft_context_frame_count(context),
            threads = nft_pool_threads(context->pool), count = size ? context->plan.sides / size : frames;
    count = count < frames ? count : frames;
    return count > threads ? count - count % threads : count;
}

float *nft_context_sides(const nft_context *context, int64_t step, int64_t slot)
{
    return context->sides + slot * context->model->steps[step].sides;
}

float *nft_context_frame(const nft_context *context, int64_t step, int64_t sample, int64_t slot)
{
    const nft_plan *plan = &context->plan;
    return context->options.recompute ? context->arenas + slot * plan->arena + plan->frame
                                      : nft_context_value(context, step, sample);
}

void nft_context_restore(const nft_context *context, int64_t step, int64_t sample, const nft_exec *exec)
{
    const nft_step *own = &context->model->steps[step];
    if (!context->options.recompute)
        return;
    int64_t floats = nft_value_floats(&own->module->in, context->model->space);
    memcpy(exec->kept, nft_context_value(context, step, sample), (size_t)floats * sizeof *exec->kept);
    own->module->class->forward(own->module, exec, exec->kept, exec->kept + own->frame_out);
}

typedef struct frames {
    const nft_context *context;
    int64_t step, first;
} frames;

static void restore_frame(void *argument, int64_t item, int worker, nft_pool *team)
{
    const frames *f = argument;
    int64_t sample = f->first + item;
    nft_exec exec = nft_context_exec(f->context, sample, worker, team);
    exec.kept = nft_context_frame(f->context, f->step, sample, item);
    nft_context_restore(f->context, f->step, sample, &exec);
}

void nft_context_restore_frames(nft_context *context, int64_t step, int64_t first, int64_t count)
{
    frames f = {context, step, first};
    if (!context->options.recompute)
        return;
    nft_context_enter(context);
    nft_context_for_samples(context, count, restore_frame, &f);
    nft_context_leave(context);
}

void nft_context_enter(const nft_context *context)
{
    if (!context->options.keep_blas_threads)
        nft_blas_enter();
}

void nft_context_leave(const nft_context *context)
{
    if (!context->options.keep_blas_threads)
        nft_blas_leave();
}
