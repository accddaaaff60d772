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
    nft_buffer normed;                           /* KEPT: norm(x) */
    nft_buffer kept_mapped;                      /* FRAME: base's output */
    nft_buffer normed_gradient, mapped_gradient; /* TRAINING */
    nft_buffer inner;                            /* CALL: the memory of the modules inside */
} residual;

/* The module `key` inside. Its output has the shape of its input, which in backward stands at `arrives`. */
static nft_status add_inner(nft_module **inner, nft_builder *builder, const nft_json *config, const char *key,
                            const char *prefix, const nft_buffer *arrives)
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
    child.arrives = *arrives;
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

static int64_t inner_floats(const nft_module *module)
{
    return module ? nft_inner_floats(module) : 0;
}

/* The modules inside run one after the other. */
static void plan_inner(nft_module *module, nft_builder *builder)
{
    residual *s = module->state;
    int64_t item = s->base->memory.item;
    module->flops = s->base->flops;
    if (s->norm) {
        item = larger(item, s->norm->memory.item);
        module->flops = nft_size_add(module->flops, s->norm->flops);
    }
    nft_begin_items(builder);
    nft_reserve(builder, NFT_ARENA_ITEM, 1, item);
    s->inner = nft_reserve(builder, NFT_ARENA_CALL, 1, larger(inner_floats(s->base), inner_floats(s->norm)));
}

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    const nft_json *base = NULL, *norm = NULL;
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
    nft_buffer base_arrives = builder->arrives;
    if (norm) {
        s->normed = nft_reserve(builder, NFT_ARENA_KEPT, 1, floats);
        base_arrives = s->normed;
    }
    s->kept_mapped = nft_reserve(builder, NFT_ARENA_FRAME, 1, floats);
    s->normed_gradient = nft_reserve(builder, NFT_ARENA_TRAINING, 1, floats);
    s->mapped_gradient = nft_reserve(builder, NFT_ARENA_TRAINING, 1, floats);
    /* In the order of forward, in which statistics of the data are taken. */
    if ((norm && (status = add_inner(&s->norm, builder, norm, "norm", "norm.", &builder->arrives))) ||
        (status = add_inner(&s->base, builder, base, "base", "base_layer.", &base_arrives)))
        return status;
    plan_inner(module, builder);
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
    int64_t floats = nft_value_floats(&module->in, module->space);
    float *mapped = nft_keeps(exec) ? nft_at(exec, &s->kept_mapped) : out;
    const float *x = in;
    if (s->norm) {
        float *normed = nft_at(exec, &s->normed);
        nft_exec inside = nft_exec_inside(exec, s->norm, &s->inner);
        s->norm->class->forward(s->norm, &inside, in, normed);
        x = normed;
    }
    nft_exec inside = nft_exec_inside(exec, s->base, &s->inner);
    s->base->class->forward(s->base, &inside, x, mapped);
    bool drops = exec->dropout && s->dropout > 0;
    nft_exec_elementwise(exec, (nft_function)s->activation, floats, mapped, drops ? NULL : in, out);
    if (drops)
        nft_add_dropped(exec, s->stream, s->dropout, floats, in, out, out);
}

/* d(mapped) = f'(mapped) drop(d(out)); through base and norm; d(out) is added to d(x). */
static void backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                     const float *grad_out, float *grad_in)
{
    (void)out;
    const residual *s = module->state;
    nft_function function = (nft_function)s->activation;
    int64_t floats = nft_value_floats(&module->in, module->space);
    float *normed_gradient = nft_at(exec, &s->normed_gradient),
          *mapped_gradient = nft_at(exec, &s->mapped_gradient);
    const float *mapped = nft_at(exec, &s->kept_mapped), *normed = s->norm ? nft_at(exec, &s->normed) : in;
    const float *x = mapped;
    if (nft_function_keeps_output(function)) {
        nft_exec_elementwise(exec, function, floats, mapped, NULL, normed_gradient);
        x = normed_gradient;
    }
    nft_drop(exec, s->stream, s->dropout, floats, grad_out, mapped_gradient);
    nft_exec_elementwise_back(exec, function, floats, x, mapped_gradient, mapped_gradient);
    nft_exec inside = nft_exec_inside(exec, s->base, &s->inner);
    s->base->class->backward(s->base, &inside, normed, mapped, mapped_gradient,
                             s->norm ? normed_gradient : grad_in);
    if (s->norm) {
        inside = nft_exec_inside(exec, s->norm, &s->inner);
        s->norm->class->backward(s->norm, &inside, in, normed, normed_gradient, grad_in);
    }
    nft_vector()->add(floats, grad_out, grad_in);
}

const nft_module_class nft_module_residual = {
    .type = "residual", .configure = configure, .forward = forward, .backward = backward, .release = release};
