/* How the samples of a call share a context's threads and memory. */
#include "model/context.h"

#include <string.h>

typedef struct samples {
    nft_sample_work *work;
    void *argument;
    const nft_slot *order; /* order[i].order is the item that is run as number i; NULL: i */
    int64_t first;         /* of those that run at the same time */
} samples;

static int64_t item_at(const samples *s, int64_t number)
{
    return s->order ? s->order[number].order : number;
}

static void run_item(void *argument, int64_t number, int worker)
{
    const samples *s = argument;
    s->work(s->argument, item_at(s, s->first + number), worker, NULL);
}

/* Numbers first … count - 1: as many as keep all threads busy at the same time, the rest on all of them.
 * Where threads have no arenas of their own, all are the rest. */
static void run_parallel(nft_context *context, samples *s, int64_t first, int64_t count)
{
    int threads = nft_pool_threads(context->pool);
    bool alone = threads > 1 && nft_plan_arenas(&context->options) > 1;
    int64_t parallel = alone ? (count - first) / threads * threads : 0;
    s->first = first;
    nft_pool_run(context->pool, parallel, run_item, s);
    for (int64_t number = first + parallel; number < count; number++)
        s->work(s->argument, item_at(s, number), 0, threads > 1 ? context->pool : NULL);
}

static double work_of(const nft_context *context, int64_t sample)
{
    return (double)context->slots[sample].plan->sequence->flops;
}

/* Items by their work, the largest first (Shell's sort); equal ones in their order. Returns their work. */
static double order_items(nft_context *context, int64_t first, int64_t count)
{
    nft_slot *order = context->slots;
    double total = 0;
    int64_t gap = 1;
    for (int64_t i = 0; i < count; i++) {
        order[i].order = i;
        total += work_of(context, first + i);
    }
    while (gap < count / 3)
        gap = 3 * gap + 1;
    for (; gap; gap /= 3)
        for (int64_t i = gap; i < count; i++) {
            int64_t item = order[i].order, at = i;
            double work = work_of(context, first + item);
            for (; at >= gap; at -= gap) {
                int64_t other = order[at - gap].order;
                double other_work = work_of(context, first + other);
                if (other_work > work || (other_work == work && other < item))
                    break;
                order[at].order = other;
            }
            order[at].order = item;
        }
    return total;
}

/* A sample with more than a thread's part of the work that is left would let the other threads wait: it is
 * run on all of them. */
static void run_mixture(nft_context *context, samples *s, int64_t first, int64_t count)
{
    int threads = nft_pool_threads(context->pool);
    double left = order_items(context, first, count);
    int64_t large = 0;
    s->order = context->slots;
    for (; threads > 1 && large < count; large++) {
        double work = work_of(context, first + s->order[large].order);
        if (work * threads <= left)
            break;
        s->work(s->argument, s->order[large].order, 0, context->pool);
        left -= work;
    }
    run_parallel(context, s, large, count);
}

void nft_context_for_samples(nft_context *context, int64_t first, int64_t count, nft_sample_work *work,
                             void *argument)
{
    samples s = {.work = work, .argument = argument};
    if (context->plan)
        run_parallel(context, &s, 0, count);
    else
        run_mixture(context, &s, first, count);
}

static float *kept_of(const nft_context *context, int64_t sample)
{
    return context->kept + (context->plan ? sample * context->plan->plan.kept : context->slots[sample].kept);
}

nft_exec nft_context_exec(const nft_context *context, int64_t sample, int worker, nft_pool *team)
{
    const nft_plan *plan = &nft_context_plan_of(context, sample)->plan;
    float *arena = nft_context_arena(context, worker);
    float *kept = plan->kept ? kept_of(context, sample) : NULL;
    return (nft_exec){.parameters = context->model->values,
                      .packed = context->packed,
                      .packed_back = context->packed_back,
                      .input = kept ? kept + plan->values[0] : arena + plan->place[NFT_PLACE_INPUT],
                      .input_gradient = kept ? kept + plan->input_gradient : NULL,
                      .dropout = context->dropout ? context->dropout + sample : NULL,
                      .team = team,
                      .call = arena + plan->call,
                      .item = arena + plan->item,
                      .item_stride = nft_plan_arenas(&context->options) == 1
                                         ? plan->item_stride
                                         : context->frame + context->arena};
}

float *nft_context_value(const nft_context *context, int64_t index, int64_t sample)
{
    return kept_of(context, sample) + nft_context_plan_of(context, sample)->plan.values[index];
}

float *nft_context_gradient(const nft_context *context, int64_t index, int64_t sample)
{
    return kept_of(context, sample) + nft_context_plan_of(context, sample)->plan.gradients[index % 2];
}

void nft_context_enter_step(const nft_context *context, int64_t step, int64_t sample, int64_t slot,
                            nft_exec *exec)
{
    const nft_space_plan *own = nft_context_plan_of(context, sample);
    const nft_step *entered = &own->sequence->steps[step];
    exec->training = exec->call + entered->module->memory.call;
    if (!own->plan.kept)
        return;
    exec->frame = context->options.recompute ? nft_context_arena(context, (int)slot) - context->frame
                                             : nft_context_value(context, step, sample);
    exec->backward =
        context->backward + (context->plan ? slot * entered->backward : context->slots[sample].backward);
}

int64_t nft_context_frame_count(const nft_context *context)
{
    return context->options.recompute ? context->options.threads : context->options.max_batch;
}

/* Places the backward blocks of samples from `first` on that fit; returns how many. */
static int64_t place_blocks(nft_context *context, int64_t step, int64_t first, int64_t most)
{
    int64_t floats = 0, count = 0;
    for (; count < most; count++) {
        nft_slot *slot = &context->slots[first + count];
        int64_t size = slot->plan->sequence->steps[step].backward;
        if (floats + size > context->backward_floats)
            break;
        slot->backward = floats;
        floats += size;
    }
    return count;
}

int64_t nft_context_begin_round(nft_context *context, int64_t step, int64_t first)
{
    int64_t left = context->samples - first, frames = nft_context_frame_count(context),
            most = left < frames ? left : frames, count, threads = nft_pool_threads(context->pool);
    if (context->plan) {
        int64_t size = context->plan->sequence->steps[step].backward;
        count = size ? context->backward_floats / size : most;
        count = count < most ? count : most;
    } else {
        count = place_blocks(context, step, first, most);
    }
    /* The last round takes all that are left. */
    return count < left && count > threads ? count - count % threads : count;
}

void nft_context_restore(const nft_context *context, int64_t step, int64_t sample, const nft_exec *exec)
{
    const nft_sequence *sequence = nft_context_plan_of(context, sample)->sequence;
    const nft_step *own = &sequence->steps[step];
    if (!context->options.recompute)
        return;
    memcpy(exec->frame, nft_context_value(context, step, sample),
           (size_t)nft_sequence_floats(sequence, step) * sizeof *exec->frame);
    own->module->class->forward(own->module, exec, exec->frame, exec->frame + own->frame_out);
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
