#include "modules/shared/module.h"

#include "siren/siren.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MAX_DEPTH 8

static const char *kind_name(int32_t kind)
{
    return kind == NFT_VALUE_FEATURES ? "features" : kind == NFT_VALUE_TOKENS ? "tokens" : "a vector";
}

static const char *arrival(int32_t kind)
{
    return kind == NFT_VALUE_FEATURES ? "features arrive"
           : kind == NFT_VALUE_TOKENS ? "tokens arrive"
                                      : "a vector arrives";
}

nft_status nft_require_kind(const nft_builder *builder, int32_t kind)
{
    if (builder->value.kind == kind)
        return NFT_OK;
    const char *advice = "";
    if (builder->value.kind == NFT_VALUE_FEATURES)
        advice = "; put a flattening or pooling module before it";
    else if (kind == NFT_VALUE_FEATURES && builder->space)
        advice = "; put it before the pooling or flattening";
    return nft_fail(NFT_ERROR_CONFIG, "%s: takes %s, but %s%s", builder->where, kind_name(kind),
                    arrival(builder->value.kind), advice);
}

nft_status nft_require_one_position(const nft_builder *builder)
{
    const nft_space *space = builder->space;
    for (int64_t t = 0; t < space->tensor_count; t++)
        if (space->tensors[t].positions != 1)
            return nft_fail(NFT_ERROR_CONFIG,
                            "%s: tensor '%s' has %" PRId64 " positions, expected 1 in every tensor; put lift "
                            "before it",
                            builder->where, space->tensors[t].name, space->tensors[t].positions);
    return NFT_OK;
}

nft_status nft_require_layers(const nft_builder *builder)
{
    if (builder->space && builder->space->layer_count)
        return NFT_OK;
    return nft_fail(NFT_ERROR_CONFIG, "%s: works on chains of layers, but the space is %s", builder->where,
                    !builder->space      ? "none: the model takes tokens"
                    : builder->any_space ? "any"
                                         : "given by tensors and axes");
}

nft_status nft_require_sirens(const nft_builder *builder)
{
    nft_status status = nft_require_kind(builder, NFT_VALUE_FEATURES);
    if (status)
        return status;
    if (builder->value.channels != 1)
        return nft_fail(NFT_ERROR_CONFIG,
                        "%s: takes raw weights, 1 channel, but %" PRId64 " arrive; put it first",
                        builder->where, builder->value.channels);
    status = nft_siren_check_space(builder->space);
    return status ? nft_fail_in(status, "%s", builder->where) : NFT_OK;
}

/* The rows that a map is applied to: weights and biases, or tokens. */
nft_status nft_require_product_rows(const nft_builder *builder, int32_t kind)
{
    int64_t rows = kind == NFT_VALUE_FEATURES ? builder->space->tokens : builder->value.tokens;
    if (rows <= NFT_GEMM_MAX_SIZE)
        return NFT_OK;
    return nft_fail(NFT_ERROR_LIMIT, "%s: %" PRId64 " %s, a matrix product takes at most %" PRId64,
                    builder->where, rows, kind == NFT_VALUE_FEATURES ? "weights and biases" : "tokens",
                    NFT_GEMM_MAX_SIZE);
}

nft_status nft_module_state(nft_module *module, size_t bytes)
{
    module->state = nft_allocate(bytes);
    return module->state ? NFT_OK : nft_fail_memory(module->class->type, (int64_t)bytes);
}

/* A model of any space has modules whose parameters belong to no space. */
static nft_status require_place(const nft_builder *builder, const nft_module_class *class, const char *where)
{
    if (!builder->any_space || class->any_space == NFT_ANY_SPACE_ALWAYS)
        return NFT_OK;
    if (class->any_space == NFT_ANY_SPACE_SIZED)
        return nft_fail(NFT_ERROR_CONFIG,
                        "%s: its size depends on the space, but the model is of any space; role_pool has one "
                        "size for all",
                        where);
    if (class->any_space == NFT_ANY_SPACE_NEVER)
        return nft_fail(NFT_ERROR_CONFIG,
                        "%s: its parameters belong to one space, but the model is of any space", where);
    if (builder->value.kind == NFT_VALUE_FEATURES && !builder->value.lifted)
        return nft_fail(NFT_ERROR_CONFIG, "%s: in a model of any space it stands behind lift", where);
    return NFT_OK;
}

nft_status nft_module_create_as(nft_module **out, const nft_module_class *class, nft_builder *builder,
                                const nft_json *config)
{
    *out = NULL;
    char where[256];
    snprintf(where, sizeof where, "%s (%s)", builder->where, class->type);
    nft_options options;
    const char *type = NULL;
    nft_status status = require_place(builder, class, where);
    if (status || (status = nft_options_open(&options, config, where)) ||
        (status = nft_options_text(&options, "type", true, &type)))
        return status;
    nft_module *module = nft_allocate(sizeof *module);
    if (!module)
        return nft_fail_memory(where, (int64_t)sizeof *module);
    module->class = class;
    module->space = builder->space;
    module->in = module->out = builder->value;
    nft_builder inner = *builder;
    inner.where = where;
    inner.memory = &module->memory;
    if (!(status = class->configure(module, &inner, &options)))
        status = nft_options_finish(&options);
    if (status) {
        nft_module_free(module);
        return status;
    }
    *out = module;
    return NFT_OK;
}

nft_status nft_module_create(nft_module **out, nft_builder *builder, const nft_json *config)
{
    *out = NULL;
    if (builder->depth >= MAX_DEPTH)
        return nft_fail(NFT_ERROR_CONFIG, "%s: modules inside modules more than %d deep", builder->where,
                        MAX_DEPTH);
    nft_options options;
    const char *type = NULL;
    nft_status status;
    if ((status = nft_options_open(&options, config, builder->where)) ||
        (status = nft_options_text(&options, "type", true, &type)))
        return status;
    const nft_module_class *class = nft_module_find(type);
    if (!class) {
        const char *nearest = nft_module_nearest(type);
        return nft_fail(NFT_ERROR_CONFIG, "%s: there is no module '%.64s'%s%s%s", builder->where, type,
                        nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
    }
    return nft_module_create_as(out, class, builder, config);
}

void nft_module_free(nft_module *module)
{
    if (!module)
        return;
    if (module->state && module->class->release)
        module->class->release(module);
    nft_release(module->state);
    nft_release(module);
}
