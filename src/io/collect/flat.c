#include "io/collect/flat.h"

#include "config/json.h"
#include "io/collect/collect.h"
#include "io/kernels.h"
#include "io/views.h"
#include "space/array.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MOST_CONFIG_BYTES (INT64_C(16) << 20)

/* A tensor of the rows. */
typedef struct flat_part {
    char *name;
    int64_t start, rank, shape[NFT_ARRAY_MAX_RANK];
} flat_part;

typedef struct flat_layout {
    flat_part *parts;
    int64_t count, capacity;
} flat_layout;

static nft_status add_part(flat_layout *layout, flat_part **part, const char *name)
{
    nft_status status =
        nft_grow(&layout->parts, layout->count + 1, &layout->capacity, sizeof *layout->parts, "a layout", 0);
    if (status)
        return status;
    *part = &layout->parts[layout->count];
    **part = (flat_part){.name = nft_copy_text(name)};
    layout->count += (*part)->name != NULL;
    return (*part)->name ? NFT_OK : nft_fail_memory("a layout", (int64_t)strlen(name));
}

static void clear(flat_layout *layout)
{
    for (int64_t i = 0; i < layout->count; i++)
        nft_release(layout->parts[i].name);
    nft_release(layout->parts);
}

/* --- layout.csv: varname, start_idx, end_idx, shape --- */

static int compare_starts(const void *a, const void *b)
{
    const flat_part *p = a, *q = b;
    return (p->start > q->start) - (p->start < q->start);
}

/* "(3, 3, 1, 16)", a tuple of Python. */
static bool parse_tuple(flat_part *part, const char *text)
{
    const char *at = text + (*text == '(');
    while (*at && *at != ')') {
        char *end = NULL;
        at += strspn(at, " ,");
        if (*at == ')')
            break;
        int64_t size = strtoll(at, &end, 10);
        if (end == at || size < 1 || part->rank == NFT_ARRAY_MAX_RANK)
            return false;
        part->shape[part->rank++] = size;
        at = end + strspn(end, " ,");
    }
    return *text == '(' && *at == ')';
}

static nft_status read_layout_row(flat_layout *layout, const nft_label_row *row)
{
    const nft_value *start = &row->values[0], *end = &row->values[1], *shape = &row->values[2];
    flat_part *part = NULL;
    nft_status status = add_part(layout, &part, row->key);
    if (status)
        return status;
    bool good = start->kind == NFT_VALUE_NUMBER && end->kind == NFT_VALUE_NUMBER &&
                shape->kind == NFT_VALUE_TEXT && parse_tuple(part, shape->text);
    part->start = good ? (int64_t)start->number : 0;
    if (good && part->start >= 0 &&
        (double)nft_size_add(part->start, nft_shape_count(part->shape, part->rank)) == end->number)
        return NFT_OK;
    return nft_fail(NFT_ERROR_FORMAT, "'%s' is not start_idx, end_idx and the shape of as many numbers",
                    row->key);
}

static nft_status read_layout(flat_layout *layout, const char *path)
{
    static const char *const columns[] = {"start_idx", "end_idx", "shape"};
    nft_label_table table = {0};
    nft_status status = nft_label_table_read(&table, path, "varname", columns, 3);
    for (int64_t i = 0; i < table.count && !status; i++) {
        status = read_layout_row(layout, &table.rows[i]);
        if (status)
            nft_fail_in(status, "%s", path);
    }
    nft_label_table_clear(&table, 3);
    if (!status && layout->count)
        qsort(layout->parts, (size_t)layout->count, sizeof *layout->parts, compare_starts);
    return status;
}

/* --- param_config: [[name, [shape]], …] --- */

static nft_status read_config_item(flat_layout *layout, const json_t *item, int64_t *start)
{
    const char *name = json_string_value(json_array_get(item, 0));
    const json_t *shape = json_array_get(item, 1);
    flat_part *part = NULL;
    if (!name || !json_is_array(shape) || json_array_size(shape) > NFT_ARRAY_MAX_RANK)
        return nft_fail(NFT_ERROR_FORMAT, "'param_config' is no list of names and shapes");
    nft_status status = add_part(layout, &part, name);
    if (status)
        return status;
    part->start = *start;
    for (size_t axis = 0; axis < json_array_size(shape); axis++) {
        part->shape[part->rank] = json_integer_value(json_array_get(shape, axis));
        if (part->shape[part->rank++] < 1)
            return nft_fail(NFT_ERROR_FORMAT, "'param_config': the shape of '%s' is not possible", name);
    }
    *start = nft_size_add(*start, nft_shape_count(part->shape, part->rank));
    return NFT_OK;
}

static int compare_part_names(const void *a, const void *b)
{
    return nft_compare_names(((const flat_part *)a)->name, ((const flat_part *)b)->name);
}

static nft_status read_config(flat_layout *layout, const nft_file *file)
{
    const nft_scalar *scalar = nft_file_scalar(file, "param_config");
    json_t *json = NULL;
    int64_t start = 0;
    if (!scalar || scalar->kind != NFT_SCALAR_TEXT)
        return nft_fail(NFT_ERROR_FORMAT, "it has no text 'param_config', the layout of its networks");
    nft_status status = nft_json_parse_within(&json, scalar->text, strlen(scalar->text), MOST_CONFIG_BYTES);
    for (size_t i = 0; !status && i < json_array_size(json); i++)
        status = read_config_item(layout, json_array_get(json, i), &start);
    json_decref(json);
    if (!status && layout->count)
        qsort(layout->parts, (size_t)layout->count, sizeof *layout->parts, compare_part_names);
    return status;
}

/* --- the tensors --- */

/* The length of the name without its last part, and whether that is a kernel or a bias. */
static size_t stem_of(const char *name, bool *is_kernel, bool *is_bias)
{
    const char *part = name;
    for (const char *at = name; *at; at++)
        if (*at == '.' || *at == '/')
            part = at + 1;
    *is_kernel = !strncmp(part, "kernel", 6);
    *is_bias = !strncmp(part, "bias", 4);
    return (size_t)(part - name);
}

static const flat_part *find_bias(const flat_layout *layout, const flat_part *kernel)
{
    bool is_kernel, is_bias;
    size_t stem = stem_of(kernel->name, &is_kernel, &is_bias);
    for (int64_t i = 0; i < layout->count; i++) {
        size_t length = stem_of(layout->parts[i].name, &is_kernel, &is_bias);
        if (is_bias && length == stem && !strncmp(layout->parts[i].name, kernel->name, stem))
            return &layout->parts[i];
    }
    return NULL;
}

static nft_status add_bias(nft_file *file, const nft_entry *matrix, const flat_part *bias, int64_t layer)
{
    nft_text name = {0};
    nft_entry view = {.rank = 2,
                      .shape = {matrix->shape[0], bias->shape[0]},
                      .strides = {matrix->shape[1], 1},
                      .is_strided = true,
                      .offset = bias->start};
    nft_text_append(&name, "%" PRId64 ".bias", layer);
    nft_status status =
        name.failed ? nft_fail_memory("a name", 8) : nft_views_add(file, name.data, matrix, &view);
    nft_text_clear(&name);
    return status;
}

/* Layers have numbers in the order of the layout. */
static nft_status add_layer(nft_file *file, const nft_entry *matrix, const flat_layout *layout,
                            const flat_part *part, int64_t layer, nft_kernel *before)
{
    const flat_part *bias = find_bias(layout, part);
    nft_text name = {0};
    nft_kernel kernel = {.base = matrix,
                         .offset = part->start,
                         .networks = matrix->shape[0],
                         .distance = matrix->shape[1],
                         .rank = part->rank};
    memcpy(kernel.shape, part->shape, sizeof kernel.shape);
    if (part->rank < 2 || part->rank > 4 ||
        (bias && (bias->rank != 1 || bias->shape[0] != part->shape[part->rank - 1])))
        return nft_fail(NFT_ERROR_FORMAT, "'%s' and its bias are not those of a layer (…, in, out)",
                        part->name);
    kernel.channels = nft_kernel_channels(&kernel, before);
    nft_text_append(&name, "%" PRId64 ".weight", layer);
    kernel.name = name.data;
    nft_status status = name.failed ? nft_fail_memory("a name", 8) : nft_kernel_add(file, &kernel);
    if (!status && bias)
        status = add_bias(file, matrix, bias, layer);
    nft_text_clear(&name);
    kernel.name = NULL;
    *before = kernel;
    return status;
}

static nft_status check_layout(const flat_layout *layout, const nft_entry *matrix)
{
    for (int64_t i = 0; i < layout->count; i++) {
        const flat_part *part = &layout->parts[i];
        bool is_kernel, is_bias;
        stem_of(part->name, &is_kernel, &is_bias);
        if (!is_kernel && !is_bias)
            return nft_fail(NFT_ERROR_FORMAT, "'%s' of its layout is no kernel and no bias", part->name);
        if (nft_size_add(part->start, nft_shape_count(part->shape, part->rank)) > matrix->shape[1])
            return nft_fail(NFT_ERROR_FORMAT,
                            "'%s' of its layout ends behind the %" PRId64 " numbers of a network", part->name,
                            matrix->shape[1]);
    }
    return layout->count ? NFT_OK : nft_fail(NFT_ERROR_FORMAT, "its layout is empty");
}

/* The views are new entries, and the matrix is removed from the table. */
static nft_status show(nft_file *file, const nft_entry *entry, const flat_layout *layout)
{
    int64_t count = file->entry_count, place = entry - file->entries, layers = 0;
    const nft_entry *matrix = NULL;
    nft_kernel before = {0};
    nft_status status = check_layout(layout, entry);
    bool *removed = nft_allocate_array((size_t)count, sizeof *removed);
    if (!status && !removed)
        status = nft_fail_memory("a table of tensors", count);
    if (!status)
        status = nft_views_keep(&matrix, file, entry);
    for (int64_t i = 0; i < layout->count && !status; i++) {
        bool is_kernel, is_bias;
        stem_of(layout->parts[i].name, &is_kernel, &is_bias);
        if (is_kernel)
            status = add_layer(file, matrix, layout, &layout->parts[i], layers++, &before);
    }
    if (!status) {
        removed[place] = true;
        status = nft_views_finish(file, removed);
    }
    nft_release(removed);
    return status;
}

static const nft_entry *find_matrix(const nft_file *file, nft_flat kind)
{
    const nft_entry *entry = kind == NFT_FLAT_PARAMS  ? nft_file_find(file, "params")
                             : file->entry_count == 1 ? &file->entries[0]
                                                      : NULL;
    return entry && entry->rank == 2 && nft_type_is_float(entry->type) ? entry : NULL;
}

nft_status nft_flat_show(nft_file *file, nft_flat kind)
{
    flat_layout layout = {0};
    nft_text path = {0};
    const char *slash = strrchr(file->path, '/');
    const nft_entry *matrix = find_matrix(file, kind);
    if (!matrix)
        return nft_fail(NFT_ERROR_FORMAT, "it holds no matrix of floats, a row for each network");
    nft_text_append(&path, "%.*slayout.csv", slash ? (int)(slash + 1 - file->path) : 0, file->path);
    nft_status status = path.failed               ? nft_fail_memory("a path", (int64_t)strlen(file->path))
                        : kind == NFT_FLAT_LAYOUT ? read_layout(&layout, path.data)
                                                  : read_config(&layout, file);
    if (!status)
        status = show(file, matrix, &layout);
    clear(&layout);
    nft_text_clear(&path);
    return status;
}
