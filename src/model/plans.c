/* The plans of a context, one for each space that it has met, and the memory that they share. */
#include "model/context.h"

#include <inttypes.h>
#include <string.h>

int64_t nft_context_bytes(const nft_context *context)
{
    int64_t floats =
        nft_size_multiply(nft_size_add(context->frame, context->arena), nft_plan_arenas(&context->options));
    const int64_t parts[] = {context->kept_floats, context->backward_floats, context->output_floats};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        floats = nft_size_add(floats, parts[i]);
    return nft_size_add(nft_size_multiply(floats, sizeof(float)),
                        nft_plan_packed_bytes(context->model, &context->options));
}

/* Of the outputs that go with a plan. */
static int64_t own_floats(const nft_space_plan *plan)
{
    return plan->outputs.floats * plan->outputs.capacity +
           plan->input_gradient.floats * plan->input_gradient.capacity;
}

static void free_plan(nft_context *context, nft_space_plan *plan)
{
    context->output_floats -= own_floats(plan);
    nft_outputs_clear(&plan->outputs);
    nft_outputs_clear(&plan->input_gradient);
    nft_plan_clear(&plan->plan);
    nft_sequence_free(plan->sequence);
    nft_release(plan);
}

void nft_context_clear_plans(nft_context *context)
{
    for (int64_t i = 0; i < context->plan_count; i++)
        free_plan(context, context->plans[i]);
    nft_release(context->plans);
}

/* Its results go as well. */
static void drop_plan(nft_context *context, int64_t index)
{
    nft_space_plan *plan = context->plans[index];
    if (context->plan && context->plan == plan) {
        context->plan = NULL;
        context->given = NULL;
        context->samples = 0;
        context->has_output = context->has_input_gradient = false;
    }
    if (!context->plan)
        context->spent = true;
    context->plan_count--;
    memmove(context->plans + index, context->plans + index + 1,
            (size_t)(context->plan_count - index) * sizeof *context->plans);
    free_plan(context, plan);
}

/* The least recently used plan that this call does not use; -1 if there is none. */
static int64_t find_idle(const nft_context *context)
{
    int64_t idle = -1;
    for (int64_t i = 0; i < context->plan_count; i++)
        if (context->plans[i]->used != context->call &&
            (idle < 0 || context->plans[i]->used < context->plans[idle]->used))
            idle = i;
    return idle;
}

static void drop_new(nft_context *context)
{
    for (int64_t i = context->plan_count - 1; i >= 0; i--)
        if (context->plans[i]->is_new)
            drop_plan(context, i);
}

/* Floats that go with the plans that this call does not use. */
static int64_t idle_floats(const nft_context *context)
{
    int64_t floats = 0;
    for (int64_t i = 0; i < context->plan_count; i++)
        if (context->plans[i]->used != context->call)
            floats += own_floats(context->plans[i]);
    return floats;
}

nft_status nft_context_check_room(nft_context *context, int64_t floats)
{
    int64_t limit = context->options.memory_limit ? context->options.memory_limit : nft_machine_memory(),
            more = nft_size_multiply(floats, sizeof(float)),
            bytes = nft_size_add(nft_context_bytes(context), more), idle;
    if (bytes - idle_floats(context) * (int64_t)sizeof(float) > limit)
        return nft_check_limit("the context", bytes, limit);
    while (nft_size_add(nft_context_bytes(context), more) > limit && (idle = find_idle(context)) >= 0)
        drop_plan(context, idle);
    return NFT_OK;
}

/* Parameters belong to roles, which equal spaces need not share. */
static bool same_roles(const nft_space *a, const nft_space *b)
{
    for (int64_t t = 0; t < a->tensor_count; t++)
        if (a->tensors[t].role != b->tensors[t].role)
            return false;
    return true;
}

static bool is_same(const nft_space *a, const nft_space *b)
{
    return a == b || (a->hash == b->hash && nft_space_equal(a, b) && same_roles(a, b));
}

static nft_status make_plan(nft_context *context, const nft_space *space, nft_space_plan **out)
{
    nft_status status = nft_grow(&context->plans, context->plan_count + 1, &context->plan_capacity,
                                 sizeof *context->plans, "the plans of a context", 0);
    if (status)
        return status;
    nft_space_plan *plan = nft_allocate(sizeof *plan);
    if (!plan)
        return nft_fail_memory("the plans of a context", sizeof *plan);
    plan->is_new = true;
    if ((status = nft_model_bind(&plan->sequence, context->model, space)) ||
        (status = nft_plan_make(&plan->plan, context->model, plan->sequence, &context->options))) {
        free_plan(context, plan);
        return status;
    }
    *out = context->plans[context->plan_count++] = plan;
    return NFT_OK;
}

/* The plan of a space, NULL for tokens, now used by this call. */
static nft_status find_plan(nft_context *context, const nft_space *space, nft_space_plan **plan)
{
    nft_space_plan *found = NULL;
    for (int64_t i = 0; i < context->plan_count && !found; i++)
        if (!context->model->any_space || is_same(context->plans[i]->sequence->space, space))
            found = context->plans[i];
    nft_status status = found ? NFT_OK : make_plan(context, space, &found);
    if (status)
        return status;
    found->used = context->call;
    *plan = found;
    return NFT_OK;
}

/* Nothing in it is of use any more. */
static nft_status replace(float **block, int64_t floats, const char *what)
{
    int64_t bytes = nft_size_multiply(floats, sizeof(float));
    nft_release(*block);
    *block = nft_allocate((size_t)bytes);
    return *block ? NFT_OK : nft_fail_memory(what, bytes);
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Floats of the memory that all plans share. */
typedef struct shared {
    int64_t frame, arena; /* of one thread */
    int64_t kept, backward;
} shared;

static int64_t shared_floats(const nft_context *context, const shared *s)
{
    return nft_size_add(
        nft_size_multiply(nft_size_add(s->frame, s->arena), nft_plan_arenas(&context->options)),
        nft_size_add(s->kept, s->backward));
}

static void include(shared *s, const shared *other)
{
    s->frame = larger(s->frame, other->frame);
    s->arena = larger(s->arena, other->arena);
    s->kept = larger(s->kept, other->kept);
    s->backward = larger(s->backward, other->backward);
}

static shared shared_of(const nft_space_plan *plan, int64_t count)
{
    return (shared){.frame = plan->plan.frame,
                    .arena = plan->plan.arena,
                    .kept = nft_size_multiply(plan->plan.kept, count),
                    .backward = plan->plan.backward};
}

/* Blocks of no floats are there as well: addresses in them are counted from their beginning. */
static nft_status replace_shared(nft_context *context, const shared *now, const shared *all)
{
    nft_status status = NFT_OK;
    if (!context->arenas || all->frame > now->frame || all->arena > now->arena) {
        status = replace(&context->arenas, (all->frame + all->arena) * nft_plan_arenas(&context->options),
                         "the context's workspace");
        context->frame = status ? 0 : all->frame;
        context->arena = status ? 0 : all->arena;
    }
    if (!status && all->kept > now->kept) {
        status = replace(&context->kept, all->kept, "memory for backward");
        context->kept_floats = status ? 0 : all->kept;
    }
    if (!status && (!context->backward || all->backward > now->backward)) {
        status = replace(&context->backward, all->backward, "memory for backward");
        context->backward_floats = status ? 0 : all->backward;
    }
    return status;
}

/* Grows the memory that all plans share. Within the limit only the machine can fail; then sizes are 0, and
 * the next call tries again. */
static nft_status grow_shared(nft_context *context, const shared *need)
{
    const shared now = {context->frame, context->arena, context->kept_floats, context->backward_floats};
    shared all = now;
    include(&all, need);
    int64_t more = shared_floats(context, &all) - shared_floats(context, &now);
    if (!more && context->arenas && context->backward)
        return NFT_OK;
    nft_status status = nft_context_check_room(context, more);
    if (status)
        return status;
    status = replace_shared(context, &now, &all);
    context->spent |= status || all.kept > now.kept;
    return status;
}

/* Begins a call whose memory is there. */
static void begin_call(nft_context *context, nft_space_plan *plan, int64_t count)
{
    int64_t idle;
    for (int64_t i = 0; i < context->plan_count; i++)
        context->plans[i]->is_new = false;
    context->plan = plan;
    context->given = nft_outputs_of(context, plan);
    context->samples = count;
    while (context->plan_count > context->options.max_spaces && (idle = find_idle(context)) >= 0)
        drop_plan(context, idle);
    nft_outputs_set_count(context);
}

static nft_status plan_for(nft_context *context, nft_space_plan *plan, int64_t count)
{
    shared need = shared_of(plan, count);
    nft_status status = grow_shared(context, &need);
    if (!status)
        status = nft_outputs_reserve(context, plan, count);
    if (!status)
        begin_call(context, plan, count);
    return status;
}

nft_status nft_context_plan_for(nft_context *context, const nft_space *space, int64_t count)
{
    nft_space_plan *plan = NULL;
    context->call++;
    nft_status status = find_plan(context, space, &plan);
    if (!status)
        status = plan_for(context, plan, count);
    if (status)
        drop_new(context);
    return status;
}

/* Gives each sample its slot; counts the spaces, and adds up their memory. */
static nft_status fill_slots(nft_context *context, const nft_forward_sample *samples, int64_t count,
                             int64_t *spaces, shared *all)
{
    nft_status status = NFT_OK;
    for (int64_t i = 0; i < count; i++) {
        nft_slot *slot = &context->slots[i];
        const nft_space *space = samples[i].weights->space;
        if (i && space == samples[i - 1].weights->space)
            slot->plan = slot[-1].plan;
        else if ((status = find_plan(context, space, &slot->plan)))
            break;
        *spaces += slot->plan->counted != context->call;
        slot->plan->counted = context->call;
        shared own = shared_of(slot->plan, 1);
        slot->kept = all->kept;
        own.kept = nft_size_add(all->kept, own.kept);
        include(all, &own);
    }
    return status;
}

static nft_status check_mixture(const nft_context *context, int64_t spaces)
{
    if (spaces > context->options.max_spaces)
        return nft_fail(NFT_ERROR_ARGUMENT,
                        "the samples of the call have %" PRId64
                        " spaces, the context takes at most max_spaces, "
                        "%" PRId64,
                        spaces, context->options.max_spaces);
    if (!nft_model_value_is_fixed(context->model, nft_model_last_value(context->model)))
        return nft_fail(NFT_ERROR_MISMATCH,
                        "the samples of the call have %" PRId64
                        " spaces, but the shape of the model's output depends on the "
                        "space: one space a call is possible",
                        spaces);
    if (context->options.input_gradient)
        return nft_fail(NFT_ERROR_MISMATCH,
                        "the samples of the call have %" PRId64
                        " spaces, but a context with input_gradient takes one space a call",
                        spaces);
    return NFT_OK;
}

static nft_status plan_mixture(nft_context *context, const nft_forward_sample *samples, int64_t count)
{
    int64_t spaces = 0;
    shared all = {0};
    nft_status status = fill_slots(context, samples, count, &spaces, &all);
    if (status)
        return status;
    if (spaces == 1)
        return plan_for(context, context->slots[0].plan, count);
    if ((status = check_mixture(context, spaces)) || (status = grow_shared(context, &all)) ||
        (status = nft_outputs_reserve(context, NULL, count)))
        return status;
    begin_call(context, NULL, count);
    return NFT_OK;
}

nft_status nft_context_plan_samples(nft_context *context, const nft_forward_sample *samples, int64_t count)
{
    if (!context->model->any_space)
        return nft_context_plan_for(context, context->model->space, count);
    nft_status status = nft_grow(&context->slots, count, &context->slot_capacity, sizeof *context->slots,
                                 "the samples of a call", 0);
    if (status)
        return status;
    context->call++;
    context->spent = true; /* the slots of the last call are overwritten */
    status = plan_mixture(context, samples, count);
    if (status)
        drop_new(context);
    return status;
}
