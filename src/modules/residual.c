/* x + dropout(activation(base(norm(x)))), with a base and, unless it is null, a norm that are modules of
 * their own. */
#include "modules/elementwise.h"
#include "modules/tokens.h"

#include <inttypes.h>
#include <stdio.h>

typedef struct residual {
    nft_module *norm; /* NULL for none */
    nft_module *base;
    int activation; /* an nft_function */
    double dropout; /* in training only */
    int64_t normed; /* scratch: norm(x) */
    int64_t inner;  /* scratch of the modules inside */
} residual;

/* The module `key` inside; it must give what it takes. */
static nft_status add_inner(nft_module **inner, nft_builder *builder, const json_t *config, const char *key,
                            const char *prefix)
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
        (status = nft_options_value(options, "norm", false, &norm)) ||
        (status = add_inner(&s->base, builder, base, "base", "base_layer.")) ||
        (norm && (status = add_inner(&s->norm, builder, norm, "norm", "norm."))))
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

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    const residual *s = module->state;
    const float *x = in;
    nft_exec inner = *exec;
    inner.scratch = exec->scratch + s->inner;
    if (s->norm) {
        float *normed = exec->scratch + s->normed;
        s->norm->class->forward(s->norm, &inner, in, normed);
        x = normed;
    }
    s->base->class->forward(s->base, &inner, x, out);
    nft_exec_elementwise(exec, (nft_function)s->activation, nft_value_floats(&module->in, module->space), out,
                         in, out);
}

const nft_module_class nft_module_residual = {
    .type = "residual", .configure = configure, .forward = forward, .release = release};
