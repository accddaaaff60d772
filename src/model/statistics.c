/* Statistics of the data: the entries that modules of a step read, sample by sample. */
#include "model/context.h"

/* Samples first … first + count - 1 have frames of the step. */
typedef struct visit {
    nft_context *context;
    int64_t step, parameter, first, count;
    nft_statistics_visit *visit;
    void *user;
} visit;

static nft_exec enter_visited(const visit *v, int64_t item, int worker, nft_pool *team)
{
    nft_exec exec = nft_context_exec(v->context, v->first + item, worker, team);
    nft_context_enter_step(v->context, v->step, v->first + item, item, &exec);
    return exec;
}

static void restore_frame(void *argument, int64_t item, int worker, nft_pool *team)
{
    const visit *v = argument;
    nft_exec exec = enter_visited(v, item, worker, team);
    nft_context_restore(v->context, v->step, v->first + item, &exec);
}

static void visit_parameter(void *argument, int64_t item, int worker)
{
    const visit *v = argument;
    for (int64_t i = 0; i < v->count; i++) {
        const nft_statistics_table *table =
            &nft_context_plan_of(v->context, v->first + i)->sequence->statistics;
        nft_exec exec = enter_visited(v, i, worker, NULL);
        for (int64_t k = 0; k < table->count; k++)
            if (table->items[k].deviation == v->parameter + item)
                v->visit(v->user, item, &table->items[k], nft_at(&exec, &table->items[k].entries));
    }
}

void nft_context_visit_statistics(nft_context *context, int64_t step, int64_t first, int64_t count,
                                  nft_statistics_visit *work, void *user)
{
    visit v = {.context = context, .step = step, .parameter = first, .visit = work, .user = user};
    int64_t frames = nft_context_frame_count(context);
    for (; v.first < context->samples; v.first += v.count) {
        int64_t left = context->samples - v.first;
        v.count = left < frames ? left : frames;
        if (context->options.recompute) {
            nft_context_enter(context);
            nft_context_for_samples(context, v.first, v.count, restore_frame, &v);
            nft_context_leave(context);
        }
        nft_pool_run(context->pool, count, visit_parameter, &v);
    }
}
