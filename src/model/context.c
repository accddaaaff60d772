#include "model/context.h"

#include "math/kernel_set.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_BATCH 32

/* The options of an older caller are shorter; what is missing is zero, the default. */
static nft_status fill_options(nft_context_options *filled, const nft_context_options *options,
                               const char *function)
{
    *filled = (nft_context_options)NFT_CONTEXT_OPTIONS_INIT;
    if (options && options->size < sizeof options->size)
        return nft_fail(NFT_ERROR_ARGUMENT, "%s: options->size is %zu; begin with NFT_CONTEXT_OPTIONS_INIT",
                        function, options->size);
    if (options)
        memcpy(filled, options, options->size < sizeof *filled ? options->size : sizeof *filled);
    nft_status status = nft_check_threads(function, filled->threads);
    if (status || (status = nft_check_memory_limit(function, filled->memory_limit)))
        return status;
    if (filled->max_batch < 0)
        return nft_fail(NFT_ERROR_ARGUMENT, "%s: max_batch is %" PRId64 ", expected 0 or more", function,
                        filled->max_batch);
    if ((status = nft_check_precision(function, filled->precision)) ||
        (status = nft_kernel_set_check(function)))
        return status;
    if (filled->threads == 0)
        filled->threads = nft_machine_cores();
    if (filled->max_batch == 0)
        filled->max_batch = DEFAULT_BATCH;
    return NFT_OK;
}

static void clear_plan(nft_plan *plan)
{
    nft_release(plan->places);
    nft_release(plan->values);
}

static nft_status make_plan(nft_plan *plan, const nft_model *model, const nft_context_options *options)
{
    int64_t count = nft_model_step_count(model) + 1;
    plan->places = nft_allocate_array((size_t)count, sizeof *plan->places);
    plan->values = nft_allocate_array((size_t)count, sizeof *plan->values);
    if (!plan->places || !plan->values)
        return nft_fail_memory("a memory plan",
                               count * (int64_t)(sizeof *plan->places + sizeof *plan->values));
    nft_plan_make(plan, model, options, options->threads);
    return NFT_OK;
}

nft_status nft_context_memory(int64_t *bytes, const nft_model *model, const nft_context_options *options)
{
    if (!model || !bytes)
        return nft_fail_null("nft_context_memory", model ? "bytes" : "model");
    nft_context_options filled;
    nft_plan plan = {0};
    nft_status status = fill_options(&filled, options, "nft_context_memory");
    if (!status)
        status = make_plan(&plan, model, &filled);
    *bytes = status ? 0 : plan.bytes;
    clear_plan(&plan);
    return status;
}

nft_status nft_context_create(nft_context **out, const nft_model *model, const nft_context_options *options)
{
    if (!out)
        return nft_fail_null("nft_context_create", "context");
    *out = NULL;
    if (!model)
        return nft_fail_null("nft_context_create", "model");
    nft_context *context = nft_allocate(sizeof *context);
    if (!context)
        return nft_fail_memory("a context", sizeof *context);
    context->model = nft_model_retain(model);
    nft_plan *plan = &context->plan;
    nft_status status;
    if ((status = fill_options(&context->options, options, "nft_context_create")) ||
        (status = make_plan(plan, model, &context->options)) ||
        (status = nft_check_limit("the context", plan->bytes, context->options.memory_limit)) ||
        (status = nft_pool_create(&context->pool, context->options.threads)))
        goto failed;
    context->arenas = nft_allocate((size_t)(plan->arena * plan->arena_count) * sizeof(float));
    if (!context->arenas) {
        status = nft_fail_memory("the context's workspace",
                                 plan->arena * plan->arena_count * (int64_t)sizeof(float));
        goto failed;
    }
    if ((status = nft_context_pack(context)) ||
        (status = nft_context_reserve(context, context->options.max_batch)) ||
        (plan->kept && (status = nft_context_prepare_backward(context))))
        goto failed;
    *out = context;
    return NFT_OK;
failed:
    nft_context_free(context);
    return status;
}

static nft_status pack(nft_packed_weights **packed, const nft_context *context, bool transposed)
{
    nft_model *model = context->model;
    return nft_packed_weights_take(packed, &model->packed, &model->parameters, model->values,
                                   nft_format_of(context->options.precision), transposed);
}

nft_status nft_context_pack(nft_context *context)
{
    nft_packed_weights *packed = NULL, *packed_back = NULL;
    nft_status status = pack(&packed, context, false);
    if (!status && context->plan.kept)
        status = pack(&packed_back, context, true);
    if (status) {
        nft_packed_weights_give(packed);
        return status;
    }
    nft_packed_weights_give(context->packed);
    nft_packed_weights_give(context->packed_back);
    context->packed = packed;
    context->packed_back = packed_back;
    return NFT_OK;
}

static void forget_outputs(nft_context *context)
{
    context->output = context->latents = context->feature_views = NULL;
    context->features = NULL;
    context->capacity = 0;
    context->has_output = false;
}

static void free_outputs(nft_context *context)
{
    nft_array_free(context->output);
    nft_array_free(context->latents);
    nft_weights_free(context->features);
    nft_release(context->feature_views);
    forget_outputs(context);
}

void nft_context_free(nft_context *context)
{
    if (!context)
        return;
    free_outputs(context);
    nft_pool_free(context->pool);
    nft_release(context->kept);
    nft_release(context->sides);
    nft_packed_weights_give(context->packed);
    nft_packed_weights_give(context->packed_back);
    nft_array_free(context->input_gradient);
    nft_weights_free(context->input_gradient_features);
    nft_release(context->arenas);
    clear_plan(&context->plan);
    nft_model_free(context->model);
    nft_release(context);
}

void nft_context_set_progress(nft_context *context, nft_progress_callback *callback, void *user)
{
    if (!context)
        return;
    context->progress = callback;
    context->progress_user = user;
}

static nft_status reserve_value(nft_array **array, const nft_value *value, int64_t samples)
{
    bool tokens = value->kind == NFT_VALUE_TOKENS;
    int64_t shape[3] = {samples, tokens ? value->tokens : value->channels, value->channels};
    return nft_array_create(array, NFT_ARRAY_F32, shape, tokens ? 3 : 2, NULL);
}

static nft_status reserve_features(nft_context *context, const nft_value *value, int64_t samples)
{
    const nft_space *space = context->model->space;
    nft_status status = nft_weights_allocate(&context->features, space, samples, value->channels, NULL, 0);
    if (status)
        return status;
    context->features->rank = 3;
    context->feature_views = nft_allocate_array((size_t)space->tensor_count, sizeof *context->feature_views);
    if (!context->feature_views)
        return nft_fail_memory("the outputs", space->tensor_count * (int64_t)sizeof *context->feature_views);
    for (int64_t t = 0; t < space->tensor_count; t++) {
        const nft_tensor *tensor = &space->tensors[t];
        const nft_layer *layer = &space->layers[tensor->layer];
        bool conv = layer->type == NFT_LAYER_CONV2D && !tensor->bias;
        nft_array *view = &context->feature_views[t];
        *view = (nft_array){.type = NFT_ARRAY_F32,
                            .rank = tensor->bias ? 3
                                    : conv       ? 6
                                                 : 4,
                            .data = context->features->data[t]};
        int64_t columns = conv ? tensor->columns : tensor->columns * tensor->positions;
        int64_t shape[] = {samples, value->channels,      tensor->rows,
                           columns, layer->kernel_height, layer->kernel_width};
        memcpy(view->shape, shape, (size_t)view->rank * sizeof *shape);
    }
    return NFT_OK;
}

/* The context with an output of so many samples, beside the one that there is until then. */
static int64_t bytes_with_output(const nft_context *context, int64_t samples)
{
    int64_t more = nft_size_add(samples - context->options.max_batch, context->capacity);
    return nft_size_add(context->plan.bytes,
                        nft_size_multiply(nft_size_multiply(more, context->plan.output), sizeof(float)));
}

nft_status nft_context_reserve(nft_context *context, int64_t samples)
{
    if (samples <= context->capacity)
        return NFT_OK;
    const nft_model *model = context->model;
    const nft_value *last = &model->steps[context->plan.step_count - 1].module->out;
    nft_status status = nft_check_limit("the context, with an output of that many samples",
                                        bytes_with_output(context, samples), context->options.memory_limit);
    if (status)
        return status;
    nft_context before = *context; /* whose outputs stay unless all new ones are there */
    forget_outputs(context);
    if (last->kind == NFT_VALUE_FEATURES)
        status = reserve_features(context, last, samples);
    else
        status = reserve_value(&context->output, last, samples);
    if (!status && context->plan.step_count > model->module_count)
        status =
            reserve_value(&context->latents, &model->steps[model->module_count - 1].module->out, samples);
    if (status) {
        free_outputs(context);
        *context = before;
        return status;
    }
    free_outputs(&before);
    context->capacity = samples;
    return NFT_OK;
}

static void set_leading(nft_array *array, int64_t samples)
{
    if (!array)
        return;
    array->shape[0] = samples;
    array->count = nft_shape_count(array->shape, array->rank);
}

void nft_context_set_count(nft_context *context, int64_t samples)
{
    set_leading(context->output, samples);
    set_leading(context->latents, samples);
    set_leading(context->input_gradient, samples);
    if (context->input_gradient_features)
        context->input_gradient_features->count = samples;
    if (!context->features)
        return;
    context->features->count = samples;
    for (int64_t t = 0; t < context->model->space->tensor_count; t++)
        set_leading(&context->feature_views[t], samples);
}

const nft_array *nft_context_output(const nft_context *context)
{
    return context && context->has_output ? context->output : NULL;
}

const nft_weights *nft_context_output_weights(const nft_context *context)
{
    return context && context->has_output ? context->features : NULL;
}

static const nft_array *get_feature(const nft_context *context, const char *name)
{
    int64_t layer = strtoll(name, NULL, 10); /* if it is the name of a feature */
    if (layer < 0 || layer >= context->model->space->layer_count)
        return NULL;
    for (int64_t t = NFT_WEIGHT_OF(layer); t <= NFT_BIAS_OF(layer); t++) {
        char own[40];
        snprintf(own, sizeof own, "%" PRId64 ".%s", layer, t == NFT_BIAS_OF(layer) ? "bias" : "weight");
        if (!strcmp(own, name))
            return &context->feature_views[t];
    }
    return NULL;
}

const nft_array *nft_context_get(const nft_context *context, const char *name)
{
    if (!context || !name || !context->has_output)
        return NULL;
    if (!strcmp(name, "output"))
        return context->output;
    if (!strcmp(name, "latents") && context->model->has_decoder)
        return context->latents ? context->latents : context->output; /* of one without the decoder */
    return context->features ? get_feature(context, name) : NULL;
}
