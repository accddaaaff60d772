#define _POSIX_C_SOURCE 200809L /* strdup */
#include "tables.h"

#include "report.h"

#include <stdlib.h>
#include <string.h>

nft_tensor_info *table_add(cli_tensor_table *table, const char *name, const char *type)
{
    if (table->count == table->room) {
        int64_t room = table->room ? 2 * table->room : 16;
        nft_tensor_info *larger = realloc(table->items, (size_t)room * sizeof *larger);
        if (!larger)
            return NULL;
        table->items = larger;
        table->room = room;
    }
    char *copy = strdup(name);
    if (!copy)
        return NULL;
    nft_tensor_info *info = &table->items[table->count++];
    *info = (nft_tensor_info)NFT_TENSOR_INFO_INIT;
    info->name = copy;
    info->type = type;
    return info;
}

nft_tensor_info *table_find(const cli_tensor_table *table, const char *name)
{
    for (int64_t i = 0; i < table->count; i++)
        if (!strcmp(table->items[i].name, name))
            return &table->items[i];
    return NULL;
}

void table_remove(cli_tensor_table *table, int64_t index)
{
    free((char *)table->items[index].name);
    table->count--;
    memmove(&table->items[index], &table->items[index + 1],
            (size_t)(table->count - index) * sizeof *table->items);
}

void table_free(cli_tensor_table *table)
{
    for (int64_t i = 0; i < table->count; i++)
        free((char *)table->items[i].name);
    free(table->items);
    *table = (cli_tensor_table){0};
}

int table_add_networks(cli_tensor_table *table, const nft_weights *networks, const int64_t *shape,
                       int64_t leading)
{
    const nft_space *space = nft_weights_space(networks);
    for (int64_t t = 0; t < nft_space_describe(space)->tensor_count; t++) {
        nft_space_tensor tensor = {.size = sizeof tensor};
        if (nft_space_get_tensor(&tensor, space, t))
            return fail_library();
        nft_tensor_info *info = tensor.from ? table_find(table, tensor.from) : NULL;
        if (info) {
            info->shape[leading + tensor.slice_dimension] += tensor.shape[tensor.slice_dimension];
            continue;
        }
        info = table_add(table, tensor.from ? tensor.from : nft_weights_tensor_name(networks, t), "F32");
        if (!info)
            return fail_memory();
        info->rank = leading + tensor.rank;
        memcpy(info->shape, shape, (size_t)leading * sizeof *shape);
        memcpy(info->shape + leading, tensor.shape, (size_t)tensor.rank * sizeof *shape);
    }
    return EXIT_SUCCESS;
}
