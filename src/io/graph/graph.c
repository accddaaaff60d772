#include "io/graph/graph.h"

#include <inttypes.h>
#include <string.h>

#define MAX_VALUES (INT64_C(1) << 20)

void nft_graph_clear(nft_graph *graph)
{
    for (int64_t v = 0; v < graph->value_count; v++) {
        nft_release(graph->values[v].name);
        nft_release(graph->values[v].numbers);
    }
    nft_release(graph->values);
    nft_release(graph->slots);
    nft_release(graph->used.items);
    nft_dims_clear(&graph->dims);
    *graph = (nft_graph){0};
}

/* FNV-1a. */
static uint64_t hash_name(const char *name, size_t length)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (uint8_t)name[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static int32_t *find_slot(const nft_graph *graph, const char *name, size_t length)
{
    uint64_t mask = (uint64_t)graph->slot_count - 1, at = hash_name(name, length) & mask;
    for (; graph->slots[at] >= 0; at = (at + 1) & mask) {
        const char *other = graph->values[graph->slots[at]].name;
        if (!strncmp(other, name, length) && !other[length])
            break;
    }
    return &graph->slots[at];
}

static nft_status make_room(nft_graph *graph)
{
    if (graph->value_count >= MAX_VALUES)
        return nft_fail(NFT_ERROR_LIMIT, "the graph has more than %" PRId64 " values", MAX_VALUES);
    if (graph->value_count == graph->value_capacity) {
        nft_status status = nft_grow(&graph->values, graph->value_count + 1, &graph->value_capacity,
                                     sizeof *graph->values, "the values of a graph", 0);
        if (status)
            return status;
    }
    if (2 * graph->value_count < graph->slot_count)
        return NFT_OK;
    int64_t count = graph->slot_count ? 2 * graph->slot_count : 256;
    int32_t *slots = nft_allocate_array((size_t)count, sizeof *slots);
    if (!slots)
        return nft_fail_memory("the names of a graph", count * (int64_t)sizeof *slots);
    memset(slots, -1, (size_t)count * sizeof *slots);
    nft_release(graph->slots);
    graph->slots = slots;
    graph->slot_count = count;
    for (int32_t v = 0; v < graph->value_count; v++)
        *find_slot(graph, graph->values[v].name, strlen(graph->values[v].name)) = v;
    return NFT_OK;
}

int32_t nft_graph_find(nft_graph *graph, const char *name, size_t length)
{
    if (!graph->dims.status)
        graph->dims.status = make_room(graph);
    if (graph->dims.status)
        return -1;
    int32_t *slot = find_slot(graph, name, length);
    if (*slot >= 0)
        return *slot;
    nft_graph_value value = {.name = nft_copy_text_range(name, length), .said_rank = -1, .source = -1};
    if (!value.name) {
        graph->dims.status = nft_fail_memory("the name of a value", (int64_t)length);
        return -1;
    }
    *slot = (int32_t)graph->value_count;
    graph->values[graph->value_count++] = value;
    return *slot;
}

void nft_graph_use(nft_graph *graph, int32_t index)
{
    if (graph->dims.status || graph->values[index].is_used)
        return;
    graph->values[index].is_used = true;
    nft_dim_list_add(&graph->dims, &graph->used, index);
}

void nft_graph_set(nft_graph *graph, int32_t index, int64_t rank, const int32_t *dims)
{
    if (graph->dims.status || index < 0)
        return;
    nft_graph_value *value = &graph->values[index];
    if (value->is_made) {
        graph->dims.status = nft_fail(NFT_ERROR_FORMAT, "two operators of the graph make '%s'", value->name);
        return;
    }
    value->is_made = value->is_known = true;
    value->rank = rank;
    for (int64_t d = 0; d < rank; d++)
        value->dims[d] = dims[d];
    for (int64_t d = 0; d < rank && value->is_late; d++)
        nft_dims_order(&graph->dims, dims[d]);
}

void nft_graph_set_numbers(nft_graph *graph, int32_t index, const int64_t *numbers, int64_t count)
{
    if (graph->dims.status || index < 0 || count > NFT_GRAPH_MAX_NUMBERS)
        return;
    nft_graph_value *value = &graph->values[index];
    value->numbers = nft_allocate_array((size_t)count, sizeof *numbers);
    if (!value->numbers) {
        graph->dims.status = nft_fail_memory("a constant", count * (int64_t)sizeof *numbers);
        return;
    }
    if (count)
        memcpy(value->numbers, numbers, (size_t)count * sizeof *numbers);
    value->number_count = count;
}
