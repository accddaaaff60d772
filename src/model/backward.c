/* nft_backward: module by module from the last to the first. Each sample goes from the gradient of what
 * leaves the module to that of what arrives; the same thread makes its own gradients of the module's
 * parameters, or leaves the two factors of one where these are smaller. Then the samples' gradients are
 * added, each tile in the order of the samples. As many samples at a time as have sides: as each is added by
 * itself, their number changes no bit. */
#include "model/backward.h"

#include <inttypes.h>
#include <string.h>

nft_status nft_context_prepare_backward(nft_context *context)
{
    const nft_model *model = context->model;
    int64_t kept =
        nft_size_multiply(nft_size_multiply(context->plan.kept, context->options.max_batch), sizeof(float));
    context->kept = nft_allocate((size_t)kept);
    int64_t sides = nft_size_multiply(context->plan.sides, sizeof(float));
    context->sides = nft_allocate((size_t)sides);
    if (!context->kept || !context->sides)
        return nft_fail_memory("what backward needs", nft_size_add(kept, sides));
    if (!context->options.input_gradient)
        return NFT_OK;
    if (model->space)
        return nft_weights_allocate(&context->input_gradient_features, model->space,
                                    context->options.max_batch, model->input.channels, NULL, 0);
    int64_t shape[] = {context->options.max_batch, model->input.tokens, model->input.channels};
    return nft_array_create(&context->input_gradient, NFT_ARRAY_F32, shape, 3, NULL);
}

/* One call, as its workers see it. */
typedef struct call {
    nft_context *context;
    const nft_array *array; /* the output's gradient, or */
    const nft_weights *weights;
    nft_gradients *gradients;
    int64_t step;         /* that is gone back through, */
    int64_t first, count; /* by these samples */
} call;

/* Of the step that is gone back through. */
static int64_t step_tiles(const call *c)
{
    return c->gradients->first_tiles[c->step + 1] - c->gradients->first_tiles[c->step];
}

/* The gradient of value `index` of a sample. */
static float *gradient_of(const call *c, int64_t index, int64_t sample)
{
    const nft_plan *plan = &c->context->plan;
    return c->context->kept + sample * plan->kept + plan->gradients[index % 2];
}

static void read_output_gradient(const call *c, int64_t sample, float *gradient)
{
    const nft_model *model = c->context->model;
    int64_t floats = nft_value_floats(&model->steps[c->step].module->out, model->space);
    if (c->weights)
        nft_weights_gather(c->weights, sample, gradient);
    else
        memcpy(gradient, (const float *)c->array->data + sample * floats, (size_t)floats * sizeof *gradient);
}

/* What came through the modules and what some added on their own. */
static void write_input_gradient(const call *c, int64_t sample, const float *added, float *gradient)
{
    nft_context *context = c->context;
    nft_vector()->add(nft_value_floats(&context->model->input, context->model->space), added, gradient);
    if (context->input_gradient_features)
        nft_weights_scatter(context->input_gradient_features, sample, gradient);
    if (context->input_gradient) {
        int64_t floats = nft_value_floats(&context->model->input, NULL);
        memcpy((float *)context->input_gradient->storage + sample * floats, gradient,
               (size_t)floats * sizeof *gradient);
    }
}

/* What stands at a place of a gradient's declaration. */
static const float *factor_at(const nft_exec *exec, int64_t place)
{
    return place < NFT_SIDES ? exec->kept + place : exec->sides + (place - NFT_SIDES);
}

/* (count, inputs) of the product of one sample's factors. */
static void multiply_factors(const nft_exec *exec, const nft_gradient *g, const nft_gradient_tile *tile,
                             bool add, float *values)
{
    nft_weight_gradient(g->rows, g->inputs, tile->count, factor_at(exec, g->dy) + tile->first, g->dy_stride,
                        factor_at(exec, g->x), g->x_stride, add, values);
}

/* Numbers of a parameter for each that its tiles count. */
static int64_t tile_width(const nft_gradient *g)
{
    return g->kind == NFT_GRADIENT_PRODUCT ? g->inputs : 1;
}

typedef struct own_gradients {
    const call *call;
    const nft_exec *exec;
} own_gradients;

static void make_own(void *argument, int64_t item, float *thread_scratch)
{
    (void)thread_scratch;
    const own_gradients *o = argument;
    const nft_gradients *gradients = o->call->gradients;
    const nft_gradient_tile *tile = &gradients->tiles[gradients->first_tiles[o->call->step] + item];
    const nft_gradient *g = &o->call->context->model->parameters.items[tile->parameter].gradient;
    if (g->kind == NFT_GRADIENT_SUM || g->own < 0)
        return;
    float *values = o->exec->sides + g->own + tile->first * tile_width(g);
    if (g->kind == NFT_GRADIENT_PRODUCT) {
        multiply_factors(o->exec, g, tile, false, values);
        return;
    }
    memset(values, 0, (size_t)tile->count * sizeof *values);
    nft_vector()->sum_rows(g->rows, tile->count, factor_at(o->exec, g->dy) + tile->first, g->dy_stride,
                           values);
}

static void backward_sample(void *argument, int64_t item, int worker, nft_pool *team)
{
    const call *c = argument;
    const nft_context *context = c->context;
    const nft_model *model = context->model;
    const nft_step *step = &model->steps[c->step];
    int64_t sample = c->first + item;
    float *grad_out = gradient_of(c, c->step + 1, sample), *grad_in = gradient_of(c, c->step, sample);
    nft_exec exec = nft_context_exec(context, sample, worker, team);
    exec.kept = nft_context_frame(context, c->step, sample, item);
    exec.sides = nft_context_sides(context, c->step, item);
    if (c->step == context->plan.step_count - 1) {
        int64_t inputs = nft_value_floats(&model->input, model->space);
        memset(exec.input_gradient, 0, (size_t)inputs * sizeof *exec.input_gradient);
        read_output_gradient(c, sample, grad_out);
    }
    nft_context_restore(context, c->step, sample, &exec);
    step->module->class->backward(step->module, &exec, exec.kept, exec.kept + step->frame_out, grad_out,
                                  grad_in);
    if (c->gradients)
        nft_exec_for(&exec, step_tiles(c), make_own, &(own_gradients){c, &exec});
    if (c->step == 0)
        write_input_gradient(c, sample, exec.input_gradient, grad_in);
}

static void add_tile(void *argument, int64_t item, int worker)
{
    (void)worker;
    const call *c = argument;
    const nft_context *context = c->context;
    const nft_gradient_tile *tile = &c->gradients->tiles[c->gradients->first_tiles[c->step] + item];
    const nft_parameter *parameter = &context->model->parameters.items[tile->parameter];
    const nft_gradient *g = &parameter->gradient;
    int64_t width = tile_width(g);
    float *values = c->gradients->values + parameter->offset + tile->first * width;
    for (int64_t i = 0; i < c->count; i++) {
        nft_exec exec = {.kept = nft_context_frame(context, c->step, c->first + i, i),
                         .sides = nft_context_sides(context, c->step, i)};
        if (g->own < 0)
            multiply_factors(&exec, g, tile, true, values);
        else
            nft_vector()->add(tile->count * width, exec.sides + g->own + tile->first * width, values);
    }
}

static nft_status check_context(const char *function, const nft_context *context, const void *gradient,
                                const nft_gradients *gradients)
{
    if (!context || !gradient)
        return nft_fail_null(function, context ? "output_gradient" : "context");
    if (!context->plan.kept)
        return nft_fail(NFT_ERROR_ARGUMENT, "%s: the context was made without keep_for_backward", function);
    if (!context->has_output)
        return nft_fail(NFT_ERROR_ARGUMENT, "%s: no forward has succeeded before it", function);
    if (context->spent)
        return nft_fail(NFT_ERROR_ARGUMENT,
                        "%s: a backward has used up what the last forward kept; call nft_forward again, or "
                        "make the context with recompute",
                        function);
    if (context->changed)
        return nft_fail(NFT_ERROR_ARGUMENT,
                        "%s: the model has changed since the last forward; call nft_forward again", function);
    if (!gradients && !context->options.input_gradient)
        return nft_fail(NFT_ERROR_ARGUMENT,
                        "%s: argument 'gradients' is NULL, but the context was made without input_gradient: "
                        "there is nothing to compute",
                        function);
    if (gradients && gradients->model != context->model &&
        strcmp(gradients->model->config, context->model->config) != 0)
        return nft_fail(NFT_ERROR_MISMATCH, "%s: the gradients are of another model than the context's",
                        function);
    return NFT_OK;
}

static void backward_step(call *c)
{
    nft_context *context = c->context;
    int64_t slots = nft_context_side_count(context, c->step);
    for (c->first = 0; c->first < context->samples; c->first += c->count) {
        int64_t left = context->samples - c->first;
        c->count = left < slots ? left : slots;
        nft_context_for_samples(context, c->count, backward_sample, c);
        if (c->gradients)
            nft_pool_run(context->pool, step_tiles(c), add_tile, c);
    }
}

static nft_status run(call *c)
{
    nft_context *context = c->context;
    nft_context_enter(context);
    for (c->step = context->plan.step_count - 1; c->step >= 0; c->step--)
        backward_step(c);
    nft_context_leave(context);
    context->spent = !context->options.recompute;
    context->has_input_gradient = context->options.input_gradient;
    nft_context_set_count(context, context->samples);
    return NFT_OK;
}

nft_status nft_backward(nft_context *context, const nft_array *output_gradient, nft_gradients *gradients)
{
    nft_status status = check_context("nft_backward", context, output_gradient, gradients);
    if (status)
        return status;
    const nft_array *output = context->output;
    if (!output)
        return nft_fail(NFT_ERROR_MISMATCH,
                        "nft_backward: the model's output is features; call nft_backward_weights");
    if (output_gradient->type != NFT_ARRAY_F32 || output_gradient->rank != output->rank ||
        memcmp(output_gradient->shape, output->shape, (size_t)output->rank * sizeof *output->shape)) {
        char expected[160], found[160];
        nft_shape_describe(output->shape, output->rank, expected, sizeof expected);
        nft_shape_describe(output_gradient->shape, output_gradient->rank, found, sizeof found);
        return nft_fail(NFT_ERROR_MISMATCH, "nft_backward: the output's gradient is %s %s, expected F32 %s",
                        output_gradient->type == NFT_ARRAY_F32 ? "F32" : "I64", found, expected);
    }
    call c = {.context = context, .array = output_gradient, .gradients = gradients};
    return run(&c);
}

nft_status nft_backward_weights(nft_context *context, const nft_weights *output_gradient,
                                nft_gradients *gradients)
{
    nft_status status = check_context("nft_backward_weights", context, output_gradient, gradients);
    if (status)
        return status;
    const nft_weights *output = context->features;
    if (!output)
        return nft_fail(NFT_ERROR_MISMATCH,
                        "nft_backward_weights: the model's output is not features; call nft_backward");
    if ((status = nft_space_check_equal(output->space, output_gradient->space)))
        return nft_fail_in(status, "nft_backward_weights");
    if (output_gradient->channels != output->channels || output_gradient->count != output->count)
        return nft_fail(NFT_ERROR_MISMATCH,
                        "nft_backward_weights: the output's gradient has %" PRId64 " networks of %" PRId64
                        " channels, expected %" PRId64 " of %" PRId64,
                        output_gradient->count, output_gradient->channels, output->count, output->channels);
    call c = {.context = context, .weights = output_gradient, .gradients = gradients};
    return run(&c);
}

const nft_array *nft_context_input_gradient(const nft_context *context)
{
    return context && context->has_input_gradient ? context->input_gradient : NULL;
}

const nft_weights *nft_context_input_gradient_weights(const nft_context *context)
{
    return context && context->has_input_gradient ? context->input_gradient_features : NULL;
}
