/* How gradients and statistics come about: the tables that modules fill when they are configured. */
#include "modules/shared/module.h"

#include <string.h>

void nft_gradient_table_clear(nft_gradient_table *table)
{
    nft_release(table->items);
    nft_release(table->contributions);
    *table = (nft_gradient_table){0};
}

void nft_statistics_table_clear(nft_statistics_table *table)
{
    nft_release(table->items);
    *table = (nft_statistics_table){0};
}

/* Gradients of parameters 0 … count - 1 are in the table; fresh ones are NFT_GRADIENT_NONE. */
static nft_status cover(nft_builder *builder, int64_t count)
{
    nft_gradient_table *table = builder->gradients;
    nft_status status = nft_grow(&table->items, count, &table->capacity, sizeof *table->items,
                                 "the table of gradients", builder->memory_limit);
    for (; !status && table->count < count; table->count++)
        table->items[table->count].first = table->items[table->count].last = -1;
    return status;
}

static nft_status find(nft_builder *builder, const nft_param *parameter, nft_gradient **gradient)
{
    nft_status status = cover(builder, parameter->index + 1);
    if (!status)
        *gradient = &builder->gradients->items[parameter->index];
    return status;
}

nft_status nft_gradient_add(nft_builder *builder, const nft_param *parameter, nft_buffer *own)
{
    nft_gradient *gradient = NULL;
    nft_status status = find(builder, parameter, &gradient);
    if (status)
        return status;
    if (gradient->kind != NFT_GRADIENT_SUM) {
        gradient->kind = NFT_GRADIENT_SUM;
        gradient->own = nft_reserve(builder, NFT_ARENA_BACKWARD, 1, parameter->count);
        gradient->has_own = true;
    }
    *own = gradient->own;
    return NFT_OK;
}

static nft_status contribute(nft_builder *builder, const nft_param *parameter, enum nft_gradient_kind kind,
                             const nft_map *map, const nft_buffer *x, const nft_buffer *dy)
{
    nft_gradient_table *table = builder->gradients;
    nft_gradient *gradient = NULL;
    nft_status status = find(builder, parameter, &gradient);
    if (!status)
        status = nft_grow(&table->contributions, table->contribution_count + 1, &table->contribution_capacity,
                          sizeof *table->contributions, "the table of gradients", builder->memory_limit);
    if (status)
        return status;
    int64_t index = table->contribution_count++;
    table->contributions[index] = (nft_contribution){.dy = *dy, .next = -1};
    if (x)
        table->contributions[index].x = *x;
    if (gradient->first < 0)
        gradient->first = index;
    else
        table->contributions[gradient->last].next = index;
    gradient->last = index;
    gradient->kind = kind;
    gradient->inputs = map->inputs;
    gradient->outputs = map->outputs;
    return NFT_OK;
}

nft_status nft_gradient_of_weight(nft_builder *builder, const nft_map *map, const nft_buffer *x,
                                  const nft_buffer *dy)
{
    return contribute(builder, &map->weight, NFT_GRADIENT_PRODUCT, map, x, dy);
}

nft_status nft_gradient_of_bias(nft_builder *builder, const nft_map *map, const nft_buffer *dy)
{
    return map->bias.index < 0 ? NFT_OK : contribute(builder, &map->bias, NFT_GRADIENT_ROWS, map, NULL, dy);
}

nft_status nft_gradient_of_map(nft_builder *builder, const nft_map *map, const nft_buffer *x,
                               const nft_buffer *dy)
{
    nft_status status = nft_gradient_of_weight(builder, map, x, dy);
    return status ? status : nft_gradient_of_bias(builder, map, dy);
}

/* Floats of all factors of a product, which are read again for every sample if the product is not made. */
static int64_t factor_floats(const nft_gradient_table *table, const nft_gradient *gradient)
{
    int64_t rows = 0;
    for (int64_t i = gradient->first; i >= 0; i = table->contributions[i].next)
        rows = nft_size_add(rows, table->contributions[i].dy.rows);
    return nft_size_multiply(rows, nft_size_add(gradient->inputs, gradient->outputs));
}

nft_status nft_gradients_finish(nft_builder *builder, int64_t first_parameter, int64_t end_parameter)
{
    nft_gradient_table *table = builder->gradients;
    nft_status status = cover(builder, end_parameter);
    for (int64_t i = first_parameter; i < end_parameter && !status; i++) {
        nft_gradient *gradient = &table->items[i];
        int64_t product = nft_size_multiply(gradient->outputs, gradient->inputs);
        bool small = gradient->kind == NFT_GRADIENT_ROWS ||
                     (gradient->kind == NFT_GRADIENT_PRODUCT && product < factor_floats(table, gradient));
        if (!small)
            continue;
        gradient->has_own = true;
        gradient->own = nft_reserve(builder, NFT_ARENA_BACKWARD, 1,
                                    gradient->kind == NFT_GRADIENT_ROWS ? gradient->outputs : product);
    }
    return status;
}

nft_status nft_statistics_add(nft_builder *builder, const nft_statistics *statistics)
{
    nft_statistics_table *table = builder->statistics;
    nft_status status = nft_grow(&table->items, table->count + 1, &table->capacity, sizeof *table->items,
                                 "the table of statistics", builder->memory_limit);
    if (!status)
        table->items[table->count++] = *statistics;
    return status;
}
