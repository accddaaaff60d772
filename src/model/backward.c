/* nft_backward: module by module from the last to the first. Each sample goes from the gradient of the
 * module's output to the gradient of its input. The same thread makes the sample's gradients of the module's
 * parameters, or leaves the two factors of one where these are smaller. Then the samples' gradients are
 * added, each tile in the order of the samples. A round has as many samples as have backward blocks at the
 * same time. Each sample is added by itself, so the number of samples in a round changes no bit. */
#include "model/backward.h"

#include "io/file.h"
#include "model/view.h"

#include <inttypes.h>
#include <string.h>

/* One call, as its workers see it. */
typedef struct call {
    nft_context *context;
    nft_view output_gradient;
    nft_gradients *gradients;
    const float *added; /* to the gradient of value `added_index`; or NULL */
    int64_t added_index;
    int64_t step;         /* that is gone back through, */
    int64_t first, count; /* by these samples */
} call;

/* Of the step that is gone back through. */
static int64_t step_tiles(const call *c)
{
    return c->gradients->first_tiles[c->step + 1] - c->gradients->first_tiles[c->step];
}

static void read_output_gradient(const call *c, const nft_sequence *sequence, int64_t sample, float *gradient)
{
    int64_t floats = nft_sequence_floats(sequence, c->step + 1);
    int64_t index = nft_view_index(&c->output_gradient, sample);
    if (c->output_gradient.weights)
        nft_weights_gather(c->output_gradient.weights, index, gradient);
    else
        memcpy(gradient, (const float *)c->output_gradient.array->data + index * floats,
               (size_t)floats * sizeof *gradient);
}

/* The gradient through the modules, plus the gradients that some modules add to the input directly. */
static void write_input_gradient(const call *c, const nft_sequence *sequence, int64_t sample,
                                 const float *added, float *gradient)
{
    const nft_context *context = c->context;
    int64_t floats = nft_sequence_floats(sequence, 0);
    nft_vector()->add(floats, added, gradient);
    if (!context->options.input_gradient)
        return;
    const nft_outputs *given = &context->plan->input_gradient;
    if (given->features)
        nft_weights_scatter(given->features, sample, gradient);
    else
        memcpy((float *)given->output->storage + sample * floats, gradient,
               (size_t)floats * sizeof *gradient);
}

/* Numbers of a parameter for each that its tiles count. */
static int64_t tile_width(const nft_parameter *parameter)
{
    return parameter->mapped ? parameter->count / parameter->shape[0] : 1;
}

/* Rows `tile` of the sum of the products of one sample's factors, (tile->count, inputs). */
static void multiply_factors(const nft_exec *exec, const nft_sequence *sequence, const nft_gradient *g,
                             const nft_gradient_tile *tile, bool add, float *values)
{
    const nft_contribution *contributions = sequence->gradients.contributions;
    for (int64_t i = g->first; i >= 0; i = contributions[i].next) {
        const nft_buffer *x = &contributions[i].x, *dy = &contributions[i].dy;
        nft_weight_gradient(dy->rows, g->inputs, tile->count, nft_at(exec, dy) + tile->first, dy->stride,
                            nft_at(exec, x), x->stride, add, values);
        add = true;
    }
}

/* Numbers `tile` of the sum over the rows of one sample. */
static void sum_rows(const nft_exec *exec, const nft_sequence *sequence, const nft_gradient *g,
                     const nft_gradient_tile *tile, float *values)
{
    const nft_contribution *contributions = sequence->gradients.contributions;
    memset(values, 0, (size_t)tile->count * sizeof *values);
    for (int64_t i = g->first; i >= 0; i = contributions[i].next) {
        const nft_buffer *dy = &contributions[i].dy;
        nft_vector()->sum_rows(dy->rows, tile->count, nft_at(exec, dy) + tile->first, dy->stride, values);
    }
}

typedef struct own_gradients {
    const call *call;
    const nft_exec *exec;
    const nft_sequence *sequence;
} own_gradients;

static void make_own(void *argument, int64_t item, float *item_memory)
{
    (void)item_memory;
    const own_gradients *o = argument;
    const nft_gradients *gradients = o->call->gradients;
    const nft_gradient_tile *tile = &gradients->tiles[gradients->first_tiles[o->call->step] + item];
    const nft_gradient *g = nft_sequence_gradient(o->sequence, tile->parameter);
    if (!g->has_own || g->kind == NFT_GRADIENT_SUM)
        return;
    const nft_parameter *parameter = &o->call->context->model->parameters.items[tile->parameter];
    float *values = nft_at(o->exec, &g->own) + tile->first * tile_width(parameter);
    if (g->kind == NFT_GRADIENT_PRODUCT)
        multiply_factors(o->exec, o->sequence, g, tile, false, values);
    else
        sum_rows(o->exec, o->sequence, g, tile, values);
}

static void backward_sample(void *argument, int64_t item, int worker, nft_pool *team)
{
    const call *c = argument;
    const nft_context *context = c->context;
    int64_t sample = c->first + item;
    const nft_sequence *sequence = nft_context_plan_of(context, sample)->sequence;
    const nft_step *step = &sequence->steps[c->step];
    float *grad_out = nft_context_gradient(context, c->step + 1, sample),
          *grad_in = nft_context_gradient(context, c->step, sample);
    nft_exec exec = nft_context_exec(context, sample, worker, team);
    nft_context_enter_step(context, c->step, sample, item, &exec);
    if (c->step == context->step_count - 1) {
        memset(exec.input_gradient, 0,
               (size_t)nft_sequence_floats(sequence, 0) * sizeof *exec.input_gradient);
        read_output_gradient(c, sequence, sample, grad_out);
    }
    if (c->added && c->step + 1 == c->added_index) {
        int64_t floats = nft_sequence_floats(sequence, c->added_index);
        nft_vector()->add(floats, c->added + sample * floats, grad_out);
    }
    nft_context_restore(context, c->step, sample, &exec);
    step->module->class->backward(step->module, &exec, exec.frame, exec.frame + step->frame_out, grad_out,
                                  grad_in);
    if (c->gradients)
        nft_exec_for(&exec, step_tiles(c), make_own, &(own_gradients){c, &exec, sequence});
    if (c->step == 0)
        write_input_gradient(c, sequence, sample, exec.input_gradient, grad_in);
}

/* Adds one tile of a sample's gradient; nothing of a parameter that the sample's space does not use. */
static void add_sample(const call *c, int64_t item, const nft_gradient_tile *tile, int64_t width,
                       float *values)
{
    int64_t sample = c->first + item;
    const nft_sequence *sequence = nft_context_plan_of(c->context, sample)->sequence;
    const nft_gradient *g = nft_sequence_gradient(sequence, tile->parameter);
    if (g->kind == NFT_GRADIENT_NONE)
        return;
    nft_exec exec = nft_context_exec(c->context, sample, 0, NULL);
    nft_context_enter_step(c->context, c->step, sample, item, &exec);
    if (g->has_own)
        nft_vector()->add(tile->count * width, nft_at(&exec, &g->own) + tile->first * width, values);
    else
        multiply_factors(&exec, sequence, g, tile, true, values);
}

static void add_tile(void *argument, int64_t item, int worker)
{
    (void)worker;
    const call *c = argument;
    const nft_gradient_tile *tile = &c->gradients->tiles[c->gradients->first_tiles[c->step] + item];
    const nft_parameter *parameter = &c->context->model->parameters.items[tile->parameter];
    int64_t width = tile_width(parameter);
    float *values = c->gradients->values + parameter->offset + tile->first * width;
    for (int64_t i = 0; i < c->count; i++)
        add_sample(c, i, tile, width, values);
}

static nft_status check_context(const nft_context *context, const nft_gradients *gradients)
{
    if (!context->options.keep_for_backward)
        return nft_fail(NFT_ERROR_ARGUMENT, "the context was made without keep_for_backward");
    if (!context->has_output)
        return nft_fail(NFT_ERROR_ARGUMENT, "no forward has succeeded before it");
    if (context->spent)
        return nft_fail(
            NFT_ERROR_ARGUMENT,
            "the values that the last forward kept have been used up; call nft_forward again, or make the "
            "context with recompute");
    if (context->changed)
        return nft_fail(NFT_ERROR_ARGUMENT,
                        "the model has changed since the last forward; call nft_forward again");
    if (!gradients && !context->options.input_gradient)
        return nft_fail(NFT_ERROR_ARGUMENT,
                        "argument 'gradients' is NULL, but the context was made without input_gradient: "
                        "there is nothing to compute");
    if (gradients && gradients->model != context->model &&
        strcmp(gradients->model->config, context->model->config) != 0)
        return nft_fail(NFT_ERROR_MISMATCH, "the gradients are of another model than the context's");
    return NFT_OK;
}

/* `found` has a row for each of `samples`, whatever the number of its rows. */
static nft_status check_array(const nft_array *output, const nft_array *found, int64_t samples)
{
    if (found->type == NFT_ARRAY_F32 && found->rank == output->rank && samples == output->shape[0] &&
        !memcmp(found->shape + 1, output->shape + 1, (size_t)(output->rank - 1) * sizeof *output->shape))
        return NFT_OK;
    char want[160], have[160];
    int64_t shape[NFT_ARRAY_MAX_RANK];
    memcpy(shape, found->shape, sizeof shape);
    shape[0] = samples;
    nft_shape_describe(output->shape, output->rank, want, sizeof want);
    nft_shape_describe(shape, found->rank, have, sizeof have);
    return nft_fail(NFT_ERROR_MISMATCH, "the output's gradient is %s %s, expected F32 %s",
                    found->type == NFT_ARRAY_F32 ? "F32" : "I64", have, want);
}

static nft_status check_weights(const nft_weights *output, const nft_weights *found, int64_t samples)
{
    nft_status status = nft_space_check_equal(output->space, found->space);
    if (status)
        return status;
    if (found->channels != output->channels || samples != output->count)
        return nft_fail(NFT_ERROR_MISMATCH,
                        "the output's gradient has %" PRId64 " networks of %" PRId64
                        " channels, expected %" PRId64 " of %" PRId64,
                        samples, found->channels, output->count, output->channels);
    return NFT_OK;
}

static nft_status check_output_gradient(const nft_context *context, const nft_view *gradient)
{
    const nft_outputs *given = context->given;
    if (!given->features != !gradient->weights)
        return nft_fail(NFT_ERROR_MISMATCH, "the model's output is %s, its gradient %s",
                        given->features ? "features" : "an array",
                        gradient->weights ? "weights" : "an array");
    return given->features ? check_weights(given->features, gradient->weights, gradient->count)
                           : check_array(given->output, gradient->array, gradient->count);
}

static void backward_step(call *c)
{
    nft_context *context = c->context;
    for (c->first = 0; c->first < context->samples; c->first += c->count) {
        c->count = nft_context_begin_round(context, c->step, c->first);
        nft_context_for_samples(context, c->first, c->count, backward_sample, c);
        if (c->gradients)
            nft_pool_run(context->pool, step_tiles(c), add_tile, c);
    }
}

static nft_status run(call *c, const nft_view *output_gradient)
{
    nft_context *context = c->context;
    nft_status status = check_context(context, c->gradients);
    if (!status)
        status = nft_view_fill(&c->output_gradient, output_gradient);
    if (!status)
        status = check_output_gradient(context, &c->output_gradient);
    if (status)
        return status;
    nft_context_enter(context);
    for (c->step = context->step_count - 1; c->step >= 0; c->step--)
        backward_step(c);
    nft_context_leave(context);
    context->spent = !context->options.recompute;
    context->has_input_gradient = context->options.input_gradient;
    return NFT_OK;
}

nft_status nft_backward(nft_context *context, const nft_view *output_gradient, nft_gradients *gradients)
{
    return nft_backward_adding(context, output_gradient, gradients, 0, NULL);
}

nft_status nft_backward_adding(nft_context *context, const nft_view *output_gradient,
                               nft_gradients *gradients, int64_t index, const float *added)
{
    static const char function[] = "nft_backward";
    call c = {.context = context, .gradients = gradients, .added = added, .added_index = index};
    if (!context || !output_gradient)
        return nft_fail_null(function, context ? "output_gradient" : "context");
    nft_status status = nft_context_acquire(context, function);
    if (status)
        return status;
    status = run(&c, output_gradient);
    nft_context_release(context);
    return status ? nft_fail_in(status, "%s", function) : NFT_OK;
}
