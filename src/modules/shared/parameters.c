#include "modules/shared/parameters.h"
#include "modules/shared/module.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define FIRST_PARAMETERS 64 /* that every model may have, whatever its limit */
#define LINE_FLOATS 16

nft_init nft_init_constant(double value)
{
    return (nft_init){NFT_INIT_CONSTANT, value};
}

nft_init nft_init_uniform(double bound)
{
    return (nft_init){NFT_INIT_UNIFORM, bound};
}

nft_init nft_init_normal(double deviation)
{
    return (nft_init){NFT_INIT_NORMAL, deviation};
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

/* The parameter must be the one that the first space declared at this place. */
static nft_status find_again(nft_builder *builder, nft_param *found, const char *name, int64_t rank,
                             const int64_t *shape)
{
    const nft_parameters *parameters = builder->parameters;
    int64_t index = (*builder->bound)++;
    const nft_parameter *parameter = index < parameters->count ? &parameters->items[index] : NULL;
    if (!parameter || strcmp(parameter->name, name) || parameter->rank != rank ||
        (rank && memcmp(parameter->shape, shape, (size_t)rank * sizeof *shape)))
        return nft_fail(NFT_ERROR_CONFIG,
                        "%s: the parameter '%s' depends on the space of the networks, which a model of any "
                        "space does not know",
                        builder->where, name);
    *found = (nft_param){.index = index, .offset = parameter->offset, .count = parameter->count};
    return NFT_OK;
}

/* Takes the name over. */
static nft_status declare(nft_builder *builder, nft_param *added, char *name, bool trained, nft_init init,
                          int64_t rank, const int64_t *shape)
{
    nft_parameters *parameters = builder->parameters;
    nft_status status = NFT_OK;
    if (parameters->count == parameters->capacity)
        status = nft_grow(&parameters->items, parameters->count + FIRST_PARAMETERS, &parameters->capacity,
                          sizeof *parameters->items, "the table of parameters",
                          parameters->capacity ? builder->memory_limit : 0);
    if (status) {
        nft_release(name);
        return status;
    }
    nft_parameter *parameter = &parameters->items[parameters->count];
    *parameter = (nft_parameter){.name = name,
                                 .rank = rank,
                                 .count = 1,
                                 .offset = parameters->total,
                                 .trained = trained,
                                 .init = init};
    for (int64_t i = 0; i < rank; i++) {
        parameter->shape[i] = shape[i];
        parameter->count = nft_size_multiply(parameter->count, shape[i]);
    }
    /* Tensors begin on cache lines. */
    parameters->total = nft_size_add(parameters->total, nft_size_add(parameter->count, LINE_FLOATS - 1) /
                                                            LINE_FLOATS * LINE_FLOATS);
    *added =
        (nft_param){.index = parameters->count++, .offset = parameter->offset, .count = parameter->count};
    return NFT_OK;
}

static nft_status add_named(nft_builder *builder, nft_param *parameter, bool trained, nft_init init,
                            int64_t rank, const int64_t *shape, const char *format, va_list arguments,
                            const char *suffix)
{
    char name[256];
    vsnprintf(name, sizeof name, format, arguments);
    nft_text full = {0};
    nft_text_append(&full, "%s%s%s", builder->path, name, suffix);
    if (full.failed) {
        nft_text_clear(&full);
        return nft_fail_memory("the name of a parameter", (int64_t)sizeof name);
    }
    if (!builder->binding)
        return declare(builder, parameter, full.data, trained, init, rank, shape);
    nft_status status = find_again(builder, parameter, full.data, rank, shape);
    nft_text_clear(&full);
    return status;
}

nft_status nft_parameter_add(nft_builder *builder, nft_param *parameter, bool trained, nft_init init,
                             int64_t rank, const int64_t *shape, const char *name_format, ...)
{
    va_list arguments;
    va_start(arguments, name_format);
    nft_status status = add_named(builder, parameter, trained, init, rank, shape, name_format, arguments, "");
    va_end(arguments);
    return status;
}

void nft_map_exact(nft_builder *builder, nft_map *map)
{
    map->exact = builder->parameters->items[map->weight.index].exact = true;
}

static nft_status begin_map(nft_builder *builder, nft_map *map, int64_t outputs, int64_t inputs)
{
    *map = (nft_map){.inputs = inputs, .outputs = outputs, .bias = {.index = -1}};
    return nft_require_product_rows(builder, builder->value.kind);
}

nft_status nft_map_add(nft_builder *builder, nft_map *map, int64_t outputs, int64_t inputs, int ones,
                       bool bias, nft_init init, const char *name_format, ...)
{
    va_list arguments;
    nft_status status = begin_map(builder, map, outputs, inputs);
    if (status)
        return status;
    va_start(arguments, name_format);
    status = add_named(builder, &map->weight, true, init, 2 + ones, NFT_SHAPE(outputs, inputs, 1, 1),
                       name_format, arguments, ".weight");
    va_end(arguments);
    if (status)
        return status;
    builder->parameters->items[map->weight.index].mapped = true;
    if (!bias)
        return NFT_OK;
    va_start(arguments, name_format);
    status =
        add_named(builder, &map->bias, true, init, 1, NFT_SHAPE(outputs), name_format, arguments, ".bias");
    va_end(arguments);
    return status;
}

nft_status nft_map_add_as(nft_builder *builder, nft_map *map, int64_t outputs, int64_t inputs, int ones,
                          nft_init weight_init, const char *weight_name, nft_init bias_init,
                          const char *bias_name)
{
    nft_status status = begin_map(builder, map, outputs, inputs);
    if (!status)
        status = nft_parameter_add(builder, &map->weight, true, weight_init, 2 + ones,
                                   NFT_SHAPE(outputs, inputs, 1, 1), "%s", weight_name);
    if (status)
        return status;
    builder->parameters->items[map->weight.index].mapped = true;
    return nft_parameter_add(builder, &map->bias, true, bias_init, 1, NFT_SHAPE(outputs), "%s", bias_name);
}
