#include "modules/module.h"

#include "math/blas.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MAX_DEPTH 8

int64_t nft_value_floats(const nft_value *value, const nft_space *space)
{
    switch (value->kind) {
    case NFT_VALUE_FEATURES:
        return nft_size_multiply(space->numbers, value->channels);
    case NFT_VALUE_TOKENS:
        return nft_size_multiply(value->tokens, value->channels);
    default:
        return value->channels;
    }
}

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
                            "%s: layer %" PRId64 " has %" PRId64
                            " filter positions, expected 1 in every layer",
                            builder->where, space->tensors[t].layer, space->tensors[t].positions);
    return NFT_OK;
}

nft_init nft_init_constant(double value)
{
    return (nft_init){.kind = NFT_INIT_CONSTANT, .a = value};
}

nft_init nft_init_uniform(double bound)
{
    return (nft_init){.kind = NFT_INIT_UNIFORM, .a = bound};
}

nft_init nft_init_normal(double deviation)
{
    return (nft_init){.kind = NFT_INIT_NORMAL, .a = deviation};
}

nft_init nft_init_fan(int64_t fan_in)
{
    return nft_init_uniform(fan_in > 0 ? 1 / sqrt((double)fan_in) : 0);
}

void nft_parameters_clear(nft_parameters *parameters)
{
    for (int64_t i = 0; i < parameters->count; i++)
        nft_release(parameters->items[i].name);
    nft_release(parameters->items);
    *parameters = (nft_parameters){0};
}

#define FIRST_PARAMETERS 64 /* which every model may have */
#define NAME_BYTES 64       /* that a parameter's name takes, about */

static nft_status parameters_grow(nft_parameters *parameters, int64_t memory_limit)
{
    if (parameters->count < parameters->capacity)
        return NFT_OK;
    int64_t capacity = parameters->capacity ? 2 * parameters->capacity : FIRST_PARAMETERS;
    int64_t bytes = nft_size_multiply(capacity, sizeof(nft_parameter) + NAME_BYTES);
    nft_status status =
        parameters->capacity ? nft_check_limit("the table of parameters", bytes, memory_limit) : NFT_OK;
    if (status)
        return status;
    nft_parameter *items = nft_allocate_array((size_t)capacity, sizeof *items);
    if (!items)
        return nft_fail_memory("the table of parameters", capacity * (int64_t)sizeof *items);
    if (parameters->count)
        memcpy(items, parameters->items, (size_t)parameters->count * sizeof *items);
    nft_release(parameters->items);
    parameters->items = items;
    parameters->capacity = capacity;
    return NFT_OK;
}

static nft_status add_named(nft_builder *builder, int64_t *offset, bool trained, nft_init init, int64_t rank,
                            const int64_t *shape, const char *format, va_list arguments, const char *suffix)
{
    nft_parameters *parameters = builder->parameters;
    nft_status status = parameters_grow(parameters, builder->memory_limit);
    if (status)
        return status;
    char name[256];
    vsnprintf(name, sizeof name, format, arguments);
    nft_text full = {0};
    nft_text_append(&full, "%s%s%s", builder->path, name, suffix);
    if (full.failed) {
        nft_text_clear(&full);
        return nft_fail_memory("the name of a parameter", (int64_t)sizeof name);
    }
    nft_parameter *parameter = &parameters->items[parameters->count++];
    *parameter = (nft_parameter){.name = full.data,
                                 .rank = rank,
                                 .count = 1,
                                 .offset = parameters->total,
                                 .trained = trained,
                                 .init = init};
    for (int64_t i = 0; i < rank; i++) {
        parameter->shape[i] = shape[i];
        parameter->count = nft_size_multiply(parameter->count, shape[i]);
    }
    /* Tensors begin on cache lines: 16 floats. */
    parameters->total = nft_size_add(parameters->total, nft_size_add(parameter->count, 15) / 16 * 16);
    *offset = parameter->offset;
    return NFT_OK;
}

nft_status nft_parameter_add(nft_builder *builder, int64_t *offset, bool trained, nft_init init, int64_t rank,
                             const int64_t *shape, const char *name_format, ...)
{
    va_list arguments;
    va_start(arguments, name_format);
    nft_status status = add_named(builder, offset, trained, init, rank, shape, name_format, arguments, "");
    va_end(arguments);
    return status;
}

/* The parameter that was declared last is the map's weight. */
static void pack_last(nft_builder *builder, nft_map *map)
{
    nft_parameters *parameters = builder->parameters;
    map->index = parameters->count - 1;
    parameters->items[map->index].mapped = true;
}

void nft_map_exact(nft_builder *builder, nft_map *map)
{
    map->exact = builder->parameters->items[map->index].exact = true;
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

nft_status nft_map_add(nft_builder *builder, nft_map *map, int64_t outputs, int64_t inputs, int ones,
                       bool bias, nft_init init, const char *name_format, ...)
{
    *map = (nft_map){.inputs = inputs, .outputs = outputs, .bias = -1};
    va_list arguments;
    nft_status status = nft_require_product_rows(builder, builder->value.kind);
    if (status)
        return status;
    va_start(arguments, name_format);
    status = add_named(builder, &map->weight, true, init, 2 + ones, NFT_SHAPE(outputs, inputs, 1, 1),
                       name_format, arguments, ".weight");
    va_end(arguments);
    if (status)
        return status;
    pack_last(builder, map);
    if (!bias)
        return NFT_OK;
    va_start(arguments, name_format);
    status =
        add_named(builder, &map->bias, true, init, 1, NFT_SHAPE(outputs), name_format, arguments, ".bias");
    va_end(arguments);
    return status;
}

nft_status nft_map_add_as(nft_builder *builder, nft_map *map, int64_t outputs, int64_t inputs,
                          nft_init weight_init, const char *weight_name, nft_init bias_init,
                          const char *bias_name)
{
    *map = (nft_map){.inputs = inputs, .outputs = outputs, .bias = -1};
    nft_status status = nft_require_product_rows(builder, builder->value.kind);
    if (!status)
        status = nft_parameter_add(builder, &map->weight, true, weight_init, 2, NFT_SHAPE(outputs, inputs),
                                   "%s", weight_name);
    if (status)
        return status;
    pack_last(builder, map);
    return nft_parameter_add(builder, &map->bias, true, bias_init, 1, NFT_SHAPE(outputs), "%s", bias_name);
}

int64_t nft_side(int64_t offset)
{
    return nft_size_add(NFT_SIDES, offset);
}

void nft_gradient_add(nft_builder *builder, int64_t *side)
{
    nft_gradient_add_of(builder, builder->parameters->count - 1, side);
}

void nft_gradient_add_of(nft_builder *builder, int64_t index, int64_t *side)
{
    nft_parameter *parameter = &builder->parameters->items[index];
    bool declared = parameter->gradient.kind == NFT_GRADIENT_ROWS;
    *side = declared ? parameter->gradient.own : nft_reserve(builder->sides, parameter->count);
    parameter->gradient = (nft_gradient){.kind = NFT_GRADIENT_SUM, .own = *side};
}

void nft_gradient_of_map(nft_builder *builder, const nft_map *map, int64_t rows, int64_t x, int64_t x_stride,
                         int64_t dy, int64_t dy_stride)
{
    nft_parameter *weight = &builder->parameters->items[map->index];
    int64_t product = nft_size_multiply(map->outputs, map->inputs),
            factors = nft_size_multiply(rows, nft_size_add(map->outputs, map->inputs));
    weight->gradient = (nft_gradient){.kind = NFT_GRADIENT_PRODUCT,
                                      .rows = rows,
                                      .inputs = map->inputs,
                                      .outputs = map->outputs,
                                      .x = x,
                                      .x_stride = x_stride,
                                      .dy = dy,
                                      .dy_stride = dy_stride,
                                      .own = product < factors ? nft_reserve(builder->sides, product) : -1};
    if (map->bias < 0)
        return;
    nft_parameter *bias = weight + 1;
    while (bias->offset != map->bias)
        bias++;
    bias->gradient = weight->gradient;
    bias->gradient.kind = NFT_GRADIENT_ROWS;
    bias->gradient.own = nft_reserve(builder->sides, map->outputs);
}

void nft_statistics_declare(nft_builder *builder, const nft_statistics *statistics)
{
    nft_parameter *deviation = &builder->parameters->items[builder->parameters->count - 1];
    deviation->statistics = *statistics;
    deviation->statistics.declared = true;
}

int64_t nft_reserve(int64_t *size, int64_t floats)
{
    int64_t start = *size;
    *size = nft_size_add(start, floats > INT64_MAX - 15 ? INT64_MAX : (floats + 15) / 16 * 16);
    return start;
}

int64_t nft_row_at(int64_t base, int64_t first, int64_t width)
{
    return nft_size_add(base, nft_size_multiply(first, width));
}

nft_status nft_module_state(nft_module *module, size_t bytes)
{
    module->state = nft_allocate(bytes);
    return module->state ? NFT_OK : nft_fail_memory(module->class->type, (int64_t)bytes);
}

nft_status nft_module_create_as(nft_module **out, const nft_module_class *class, nft_builder *builder,
                                const json_t *config)
{
    *out = NULL;
    char where[256];
    snprintf(where, sizeof where, "%s (%s)", builder->where, class->type);
    nft_builder inner = *builder;
    inner.where = where;
    nft_options options;
    const char *type = NULL;
    nft_status status;
    if ((status = nft_options_open(&options, config, where)) ||
        (status = nft_options_text(&options, "type", true, &type)))
        return status;
    nft_module *module = nft_allocate(sizeof *module);
    if (!module)
        return nft_fail_memory(where, (int64_t)sizeof *module);
    module->class = class;
    module->space = builder->space;
    module->in = module->out = builder->value;
    if (!(status = class->configure(module, &inner, &options)))
        status = nft_options_finish(&options);
    if (status) {
        nft_module_free(module);
        return status;
    }
    *out = module;
    return NFT_OK;
}

nft_status nft_module_create(nft_module **out, nft_builder *builder, const json_t *config)
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
