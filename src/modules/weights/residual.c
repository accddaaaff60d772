/* x + dropout(activation(base(norm(x)))), with a base and, unless it is null, a norm that are modules of
 * their own. */
#include "base/random.h"
#include "modules/shared/elementwise.h"
#include "modules/sequence/tokens.h"

#include <inttypes.h>
#include <stdio.h>

typedef struct residual {
    nft_module *norm; /* NULL for none */
    nft_module *base;
    int activation; /* an nft_function */
    double dropout; /* in training only */
    uint64_t stream;
    int64_t normed;          /* scratch: norm(x) */
    int64_t inner;           /* scratch of the modules inside */
    int64_t training_normed; /* scratch of backward: the gradients of norm(x) and of base's output */
    int64_t training_mapped;
    int64_t training_inner;
    int64_t kept_normed, kept_mapped; /* kept: norm(x), and base's output */
} residual;

/* The module `key` inside, whose input is kept at `in_kept`; it must give what it takes. */
static nft_status add_inner(nft_module **inner, nft_builder *builder, const json_t *config, const char *key,
                            const char *prefix, int64_t in_kept)
{
    char where[192];
    nft_text path = {0};
    nft_text_append(&path, "%s%s", builder->path, prefix);
    if (path.failed) {
        nft_text_clear(&path);
        return nft_fail_memory(builder->where, (int64_t)sizeof where);
    }
    snprintf(where, sizeof where, "%s.%s", builder->where, key);
    nft_builder child = *builder;
    child.where = where;
    child.path = path.data;
    child.in_kept = in_kept;
    child.depth++;
    nft_status status = nft_module_create(inner, &child, config);
    nft_text_clear(&path);
    if (status)
        return status;
    const nft_value *in = &builder->value, *out = &(*inner)->out;
    if (out->kind != in->kind)
        return nft_fail(NFT_ERROR_CONFIG, "%s: %s does not give features, but its input is added to them",
                        where, (*inner)->class->type);
    if (out->channels != in->channels)
        return nft_fail(NFT_ERROR_CONFIG,
                        "%s: %s takes %" PRId64 " channels and gives %" PRId64 "; both must be the same",
                        where, (*inner)->class->type, in->channels, out->channels);
    return NFT_OK;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t training_scratch(const nft_module *module)
{
    return module ? larger(module->scratch, module->training_scratch) : 0;
}

static void plan_training(nft_module *module)
{
    residual *s = module->state;
    int64_t floats = nft_value_floats(&module->in, module->space);
    s->training_normed = nft_reserve(&module->training_scratch, floats);
    s->training_mapped = nft_reserve(&module->training_scratch, floats);
    s->training_inner =
        nft_reserve(&module->training_scratch, larger(training_scratch(s->base), training_scratch(s->norm)));
}

static void plan(nft_module *module)
{
    residual *s = module->state;
    int64_t scratch = s->base->scratch;
    module->thread_scratch = s->base->thread_scratch;
    module->flops = s->base->flops;
    if (s->norm) {
        s->normed = nft_reserve(&module->scratch, nft_value_floats(&module->in, module->space));
        scratch = larger(scratch, s->norm->scratch);
        module->thread_scratch = larger(module->thread_scratch, s->norm->thread_scratch);
        module->flops = nft_size_add(module->flops, s->norm->flops);
    }
    s->inner = nft_reserve(&module->scratch, scratch);
    plan_training(module);
}

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    const json_t *base = NULL, *norm = NULL;
    nft_status status = nft_require_kind(builder, NFT_VALUE_FEATURES);
    if (status || (status = nft_module_state(module, sizeof(residual))))
        return status;
    residual *s = module->state;
    if ((status = nft_options_value(options, "base", true, &base)) ||
        (status = nft_options_choice(options, "activation", true, nft_function_names, NFT_FUNCTION_COUNT,
                                     &s->activation)) ||
        (status = nft_dropout_option(builder, options, &s->dropout)) ||
        (status = nft_options_value(options, "norm", false, &norm)))
        return status;
    int64_t floats = nft_value_floats(&builder->value, builder->space);
    s->stream = nft_random_stream(builder->path);
    s->kept_normed = norm ? nft_reserve(builder->kept, floats) : builder->in_kept;
    s->kept_mapped = nft_reserve(builder->kept, floats);
    /* In the order of forward, in which statistics of the data are taken. */
    if ((norm && (status = add_inner(&s->norm, builder, norm, "norm", "norm.", builder->in_kept))) ||
        (status = add_inner(&s->base, builder, base, "base", "base_layer.", s->kept_normed)))
        return status;
    plan(module);
    return NFT_OK;
}

static void release(nft_module *module)
{
    residual *s = module->state;
    nft_module_free(s->base);
    nft_module_free(s->norm);
}

static nft_exec exec_inside(const nft_exec *exec, int64_t scratch)
{
    nft_exec inner = *exec;
    inner.scratch = exec->scratch + scratch;
    return inner;
}

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    const residual *s = module->state;
    int64_t floats = nft_value_floats(&module->in, module->space);
    nft_exec inner = exec_inside(exec, exec->kept ? s->training_inner : s->inner);
    float *mapped = exec->kept ? exec->kept + s->kept_mapped : out;
    const float *x = in;
    if (s->norm) {
        float *normed = exec->kept ? exec->kept + s->kept_normed : exec->scratch + s->normed;
        s->norm->class->forward(s->norm, &inner, in, normed);
        x = normed;
    }
    s->base->class->forward(s->base, &inner, x, mapped);
    bool drops = exec->dropout && s->dropout > 0;
    nft_exec_elementwise(exec, (nft_function)s->activation, floats, mapped, drops ? NULL : in, out);
    if (drops)
        nft_add_dropped(exec, s->stream, s->dropout, floats, in, out, out);
}

/* d(mapped) = f'(mapped) drop(d(out)); through base and norm; d(x) gets d(out) besides. */
static void backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                     const float *grad_out, float *grad_in)
{
    (void)out;
    const residual *s = module->state;
    nft_function function = (nft_function)s->activation;
    int64_t floats = nft_value_floats(&module->in, module->space);
    nft_exec inner = exec_inside(exec, s->training_inner);
    float *normed_gradient = exec->scratch + s->training_normed,
          *mapped_gradient = exec->scratch + s->training_mapped;
    const float *mapped = exec->kept + s->kept_mapped, *normed = s->norm ? exec->kept + s->kept_normed : in;
    const float *x = mapped;
    if (nft_function_keeps_output(function)) {
        nft_exec_elementwise(exec, function, floats, mapped, NULL, normed_gradient);
        x = normed_gradient;
    }
    nft_drop(exec, s->stream, s->dropout, floats, grad_out, mapped_gradient);
    nft_exec_elementwise_back(exec, function, floats, x, mapped_gradient, mapped_gradient);
    s->base->class->backward(s->base, &inner, normed, mapped, mapped_gradient,
                             s->norm ? normed_gradient : grad_in);
    if (s->norm)
        s->norm->class->backward(s->norm, &inner, in, normed, normed_gradient, grad_in);
    nft_vector()->add(floats, grad_out, grad_in);
}

const nft_module_class nft_module_residual = {
    .type = "residual", .configure = configure, .forward = forward, .backward = backward, .release = release};
