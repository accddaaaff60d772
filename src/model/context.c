#include "model/context.h"

#include "math/kernel_set.h"

#include <inttypes.h>
#include <string.h>

#define DEFAULT_BATCH 32
#define DEFAULT_SPACES 64

/* The options of an older caller are shorter; missing fields are zero, the default. */
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
    if ((status = nft_check_precision(function, filled->precision)) ||
        (status = nft_kernel_set_check(function)))
        return status;
    if (filled->max_batch < 0 || filled->max_spaces < 0)
        return nft_fail(NFT_ERROR_ARGUMENT, "%s: %s is %" PRId64 ", expected 0 or more", function,
                        filled->max_batch < 0 ? "max_batch" : "max_spaces",
                        filled->max_batch < 0 ? filled->max_batch : filled->max_spaces);
    if (filled->threads == 0)
        filled->threads = nft_machine_cores();
    if (filled->max_batch == 0)
        filled->max_batch = filled->threads > DEFAULT_BATCH ? filled->threads : DEFAULT_BATCH;
    if (filled->max_spaces == 0)
        filled->max_spaces = DEFAULT_SPACES;
    return NFT_OK;
}

/* The space must be one that the model takes, or NULL where it has only one. */
static nft_status check_space(const nft_model *model, const nft_space *space)
{
    if (model->any_space && !space)
        return nft_fail(NFT_ERROR_ARGUMENT, "argument 'space' is NULL, but the model is of any space");
    if (space && model->input.kind == NFT_VALUE_TOKENS)
        return nft_fail(NFT_ERROR_MISMATCH, "the model takes tokens, and has no space");
    return space && model->space ? nft_space_check_equal(model->space, space) : NFT_OK;
}

nft_status nft_context_cost(int64_t *bytes, int64_t *flops, const nft_model *model, const nft_space *space,
                            const nft_context_options *options)
{
    static const char function[] = "nft_context_cost";
    int64_t unwanted = 0;
    if (!model || (!bytes && !flops))
        return nft_fail_null(function, model ? "bytes" : "model");
    bytes = bytes ? bytes : &unwanted;
    flops = flops ? flops : &unwanted;
    *bytes = *flops = 0;
    nft_context_options filled;
    nft_sequence *sequence = NULL;
    nft_plan plan = {0};
    nft_status status = fill_options(&filled, options, function);
    if (status)
        return status;
    if (!(status = check_space(model, space)) && !(status = nft_model_bind(&sequence, model, space)) &&
        !(status = nft_plan_make(&plan, model, sequence, &filled))) {
        *bytes = plan.bytes;
        *flops = sequence->flops;
    }
    nft_plan_clear(&plan);
    nft_sequence_free(sequence);
    return status ? nft_fail_in(status, "%s", function) : NFT_OK;
}

static nft_status take_packed(nft_packed_weights **packed, const nft_context *context, bool transposed)
{
    nft_model *model = context->model;
    return nft_packed_weights_take(packed, &model->packed, &model->parameters, model->values,
                                   nft_format_of(context->options.precision), transposed);
}

nft_status nft_context_pack(nft_context *context)
{
    nft_packed_weights *packed = NULL, *packed_back = NULL;
    nft_status status = take_packed(&packed, context, false);
    if (!status && context->options.keep_for_backward)
        status = take_packed(&packed_back, context, true);
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

/* Everything that does not depend on a space; of a model with one space, everything. */
static nft_status prepare(nft_context *context)
{
    const nft_model *model = context->model;
    const nft_context_options *options = &context->options;
    nft_status status = NFT_OK;
    if (!model->any_space)
        status = nft_context_plan_for(context, model->space, options->max_batch);
    else if (nft_model_value_is_fixed(model, nft_model_last_value(model)))
        status = nft_outputs_reserve(context, NULL, options->max_batch);
    if (!status)
        status = nft_check_limit("the context", nft_context_bytes(context), options->memory_limit);
    return status ? status : nft_context_pack(context);
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
    context->views = nft_allocate_array(NFT_OUTPUT_COUNT, sizeof *context->views);
    nft_status status = context->views
                            ? nft_contract_read(&context->contract, model)
                            : nft_fail_memory("a context", NFT_OUTPUT_COUNT * sizeof *context->views);
    if (!status && !(status = fill_options(&context->options, options, "nft_context_create"))) {
        context->step_count = nft_plan_steps(model, &context->options);
        if (!(status = nft_pool_create(&context->pool, context->options.threads)))
            status = prepare(context);
    }
    if (status) {
        nft_context_free(context);
        return status;
    }
    *out = context;
    return NFT_OK;
}

void nft_context_free(nft_context *context)
{
    if (!context)
        return;
    nft_outputs_clear(&context->outputs);
    nft_context_clear_plans(context);
    nft_pool_free(context->pool);
    nft_release(context->slots);
    nft_release(context->kept);
    nft_release(context->backward);
    nft_packed_weights_give(context->packed);
    nft_packed_weights_give(context->packed_back);
    nft_release(context->arenas);
    nft_release(context->views);
    nft_contract_clear(&context->contract);
    nft_model_free(context->model);
    nft_release(context);
}

nft_status nft_context_acquire(nft_context *context, const char *function)
{
    if (!__atomic_exchange_n(&context->busy, 1, __ATOMIC_ACQUIRE))
        return NFT_OK;
    return nft_fail(NFT_ERROR_ARGUMENT,
                    "%s: the context is in use by another thread, or by the call of this callback; make "
                    "another context",
                    function);
}

void nft_context_release(nft_context *context)
{
    __atomic_store_n(&context->busy, 0, __ATOMIC_RELEASE);
}

void nft_context_set_progress(nft_context *context, nft_progress_callback *callback, void *user)
{
    if (!context)
        return;
    context->progress = callback;
    context->progress_user = user;
}

void nft_context_set_dropout(nft_context *context, const nft_dropout_key *keys)
{
    context->dropout = keys;
}

nft_pool *nft_context_pool(const nft_context *context)
{
    return context->pool;
}

static void pack_parameter(void *argument, int64_t item, int worker)
{
    (void)worker;
    const nft_context *context = argument;
    nft_model_pack_parameter(context->model, item);
}

void nft_context_parameters_changed(nft_context *context)
{
    nft_pool_run(context->pool, context->model->parameters.count, pack_parameter, context);
    context->changed = true;
}

static void show_output(const nft_context *context, nft_view *view)
{
    view->array = context->given->output;
    view->weights = context->given->features;
}

/* Without the decoder the output is the latents. */
static void show_latents(const nft_context *context, nft_view *view)
{
    const nft_outputs *given = context->given;
    if (context->model->has_decoder)
        view->array = given->latents ? given->latents : given->output;
}

static void show_input_gradient(const nft_context *context, nft_view *view)
{
    view->array = context->plan->input_gradient.output;
    view->weights = context->plan->input_gradient.features;
}

const nft_view *nft_context_output(const nft_context *context, int32_t which)
{
    static const nft_view none = NFT_VIEW_INIT;
    if (!context || which < 0 || which >= NFT_OUTPUT_COUNT)
        return &none;
    nft_view *view = &context->views[which];
    *view = none;
    if (which == NFT_OUTPUT && context->has_output)
        show_output(context, view);
    else if (which == NFT_OUTPUT_LATENTS && context->has_output)
        show_latents(context, view);
    else if (which == NFT_OUTPUT_INPUT_GRADIENT && context->has_input_gradient)
        show_input_gradient(context, view);
    if (view->array || view->weights)
        view->count = context->samples;
    return view;
}
