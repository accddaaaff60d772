#include "io/file_tensors.h"

#include <stdlib.h>
#include <string.h>

/* A tensor of the space, to be sorted by the file's tensor and its place there. */
typedef struct part {
    const char *name;
    int64_t start, tensor;
} part;

static int compare_parts(const void *a, const void *b)
{
    const part *p = a, *q = b;
    int order = strcmp(p->name, q->name);
    if (order)
        return order;
    if (p->start != q->start)
        return p->start < q->start ? -1 : 1;
    return p->tensor < q->tensor ? -1 : 1;
}

/* A group of parts, to be sorted by its first tensor. */
typedef struct group {
    int64_t first_tensor, first_part, parts;
} group;

static int compare_groups(const void *a, const void *b)
{
    const group *p = a, *q = b;
    return p->first_tensor < q->first_tensor ? -1 : 1;
}

static int64_t find_groups(const part *parts, int64_t count, group *groups)
{
    int64_t found = 0;
    for (int64_t i = 0; i < count; i++) {
        if (!i || strcmp(parts[i].name, parts[i - 1].name) != 0)
            groups[found++] = (group){.first_tensor = parts[i].tensor, .first_part = i};
        group *own = &groups[found - 1];
        own->parts++;
        own->first_tensor = parts[i].tensor < own->first_tensor ? parts[i].tensor : own->first_tensor;
    }
    qsort(groups, (size_t)found, sizeof *groups, compare_groups);
    return found;
}

/* The item of a group: its shape is that of its parts, joined along the dimension in which they are cut. */
static void make_item(nft_stored_tensors *table, const nft_space *space, nft_stored_tensor *item)
{
    const int64_t *order = table->order + item->first;
    const nft_tensor *first = &space->tensors[order[0]];
    int64_t joined = first->slice_dimension, inner = 1, runs = 1;
    item->rank = first->shape_rank;
    memcpy(item->shape, first->shape, sizeof item->shape);
    for (int64_t i = 1; i < item->parts; i++)
        item->shape[joined] += space->tensors[order[i]].shape[joined];
    for (int64_t d = 0; d < item->rank; d++) {
        inner *= first->from && d > joined ? item->shape[d] : 1;
        runs *= first->from && d < joined ? item->shape[d] : 1;
    }
    for (int64_t i = 0; i < item->parts; i++) {
        const nft_tensor *tensor = &space->tensors[order[i]];
        int64_t numbers = tensor->tokens * tensor->own_positions;
        table->slices[order[i]] = tensor->from ? (nft_slice){.runs = runs,
                                                             .run = runs ? numbers / runs : 0,
                                                             .start = tensor->slice_start * inner,
                                                             .stride = item->shape[joined] * inner}
                                               : (nft_slice){.runs = 1, .run = numbers, .stride = numbers};
    }
}

static void fill(nft_stored_tensors *table, const nft_space *space, part *parts, group *groups)
{
    int64_t count = space->tensor_count, at = 0;
    for (int64_t t = 0; t < count; t++) {
        const nft_tensor *tensor = &space->tensors[t];
        parts[t] = (part){.name = tensor->from ? tensor->from : tensor->name,
                          .start = tensor->from ? tensor->slice_start : 0,
                          .tensor = t};
    }
    qsort(parts, (size_t)count, sizeof *parts, compare_parts);
    table->count = find_groups(parts, count, groups);
    for (int64_t i = 0; i < table->count; i++) {
        nft_stored_tensor *item = &table->items[i];
        *item = (nft_stored_tensor){
            .name = parts[groups[i].first_part].name, .first = at, .parts = groups[i].parts};
        for (int64_t k = 0; k < item->parts; k++)
            table->order[at++] = parts[groups[i].first_part + k].tensor;
        make_item(table, space, item);
    }
}

nft_status nft_stored_tensors_find(nft_stored_tensors *table, const nft_space *space)
{
    size_t count = (size_t)space->tensor_count;
    *table = (nft_stored_tensors){0};
    part *parts = nft_allocate_array(count, sizeof *parts);
    group *groups = nft_allocate_array(count, sizeof *groups);
    table->items = nft_allocate_array(count, sizeof *table->items);
    table->order = nft_allocate_array(count, sizeof *table->order);
    table->slices = nft_allocate_array(count, sizeof *table->slices);
    bool allocated = parts && groups && table->items && table->order && table->slices;
    if (allocated)
        fill(table, space, parts, groups);
    nft_release(parts);
    nft_release(groups);
    return allocated ? NFT_OK : nft_fail_memory("a table of tensors", (int64_t)(count * sizeof(nft_slice)));
}

void nft_stored_tensors_clear(nft_stored_tensors *table)
{
    nft_release(table->items);
    nft_release(table->order);
    nft_release(table->slices);
    *table = (nft_stored_tensors){0};
}
