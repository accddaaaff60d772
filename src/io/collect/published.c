/* Parts of some published collections: labels in paths, in result.json, and in the rows of a table. */
#define _POSIX_C_SOURCE 200809L
#include "io/collect/collect.h"
#include "io/collect/flat.h"
#include "io/collect/pattern.h"
#include "io/views.h"
#include "space/space.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

nft_status nft_collection_label_from_path(const nft_collection *collection, nft_collected *item)
{
    const char *pattern = collection->options.labels + strlen("path:"), *label = NULL;
    size_t length = 0;
    if (nft_pattern_matches(pattern, item->path, &label, &length) && label)
        return nft_value_from_text(&item->values[0], label, length);
    return nft_fail(NFT_ERROR_FORMAT, "its path is not as %s, where {label} is the label", pattern);
}

/* --- result.json: a line for each epoch, in the folder of a run --- */

/* "checkpoint_000050" in the path; the length of the folder before it. */
static bool find_epoch(int64_t *epoch, size_t *folder, const char *path)
{
    static const char word[] = "checkpoint_";
    bool found = false;
    for (const char *at = strstr(path, word); at; at = strstr(at + 1, word)) {
        const char *digits = at + strlen(word);
        size_t count = strspn(digits, "0123456789");
        if ((at != path && at[-1] != '/') || !count || count > 18 || (digits[count] && digits[count] != '/'))
            continue;
        *epoch = strtoll(digits, NULL, 10);
        *folder = (size_t)(at - path);
        found = true;
    }
    return found;
}

/* Networks of one run follow each other, so its table is kept until the next. */
static nft_status open_results(nft_collection *collection, const char *path)
{
    nft_label_table *table = &collection->table;
    if (table->path && !strcmp(table->path, path))
        return NFT_OK;
    const char **columns = nft_allocate_array((size_t)collection->column_count, sizeof *columns);
    if (!columns)
        return nft_fail_memory("a table", collection->column_count * (int64_t)sizeof *columns);
    for (int64_t i = 0; i < collection->column_count; i++)
        columns[i] = collection->columns[i].path;
    nft_label_table_clear(table, collection->column_count);
    nft_status status =
        nft_label_table_read(table, path, "training_iteration", columns, collection->column_count);
    if (status) /* it is not to be taken for read */
        nft_label_table_clear(table, collection->column_count);
    nft_release(columns);
    return status;
}

nft_status nft_collection_label_from_results(nft_collection *collection, nft_collected *item)
{
    int64_t epoch = 0;
    size_t folder = 0;
    nft_text path = {0}, key = {0};
    if (!find_epoch(&epoch, &folder, item->path))
        return nft_fail(NFT_ERROR_FORMAT, "its path has no folder checkpoint_EPOCH");
    nft_text_append(&path, "%.*sresult.json", (int)folder, item->path);
    nft_text_append(&key, "%" PRId64, epoch);
    nft_status status = path.failed || key.failed ? nft_fail_memory("a path", (int64_t)folder)
                                                  : open_results(collection, path.data);
    const nft_label_row *row = status ? NULL : nft_label_table_row(&collection->table, key.data);
    if (!status && !row)
        status = nft_fail(NFT_ERROR_FORMAT, "%s has no line with training_iteration %s", path.data, key.data);
    for (int64_t i = 0; i < collection->column_count && !status; i++)
        status = nft_value_copy(&item->values[i], &row->values[i]);
    nft_text_clear(&path);
    nft_text_clear(&key);
    return status;
}

/* --- metrics.csv: row i is of row i of the matrix --- */

typedef struct row_choice {
    nft_collection *collection;
    nft_collected *item;
    const nft_file *file;
    const nft_network *network;
    const nft_label_row **rows; /* in the order of the file */
} row_choice;

static int compare_numbers(const void *a, const void *b)
{
    const nft_label_row *const *p = a, *const *q = b;
    return ((*p)->number > (*q)->number) - ((*p)->number < (*q)->number);
}

static bool has_key(const nft_label_row *row, const char *wanted)
{
    char *end = NULL, *stop = NULL;
    double number = strtod(row->key, &end);
    return !strcmp(row->key, wanted) || (end != row->key && !*end && number == strtod(wanted, &stop));
}

static nft_status is_finite(bool *finite, const row_choice *choice, int64_t row)
{
    const nft_space *space = choice->network->space;
    nft_status status = NFT_OK;
    *finite = true;
    for (int64_t t = 0; t < space->tensor_count && *finite && !status; t++) {
        int64_t count = space->tensors[t].tokens * space->tensors[t].own_positions;
        float *numbers = nft_allocate_array((size_t)count, sizeof *numbers);
        status = numbers ? nft_network_read(choice->network, choice->file, t, row, 1, numbers)
                         : nft_fail_memory("a network", count * (int64_t)sizeof *numbers);
        for (int64_t i = 0; i < count && !status; i++)
            *finite = *finite && isfinite(numbers[i]);
        nft_release(numbers);
    }
    return status;
}

static void tell_left_out(const row_choice *choice, int64_t row, const char *reason)
{
    const nft_collect_options *options = &choice->collection->options;
    char text[96];
    snprintf(text, sizeof text, "network %" PRId64 " %s", row, reason);
    choice->collection->left_out++;
    if (options->left_out)
        options->left_out(choice->item->path, text, options->user);
}

/* Whether a row stays. With `skip` one that is not finite, or lacks a value, is left out. */
static nft_status choose_row(bool *chosen, const row_choice *choice, const nft_label_row *row)
{
    bool finite = true, has_values = true;
    nft_status status = NFT_OK;
    for (int64_t i = 0; i < choice->collection->column_count; i++)
        has_values = has_values && row->values[i].kind == NFT_VALUE_NUMBER;
    if (!choice->collection->options.skip && !has_values)
        return nft_fail(NFT_ERROR_FORMAT, "row %" PRId64 " of its table has no number for each label",
                        row->number + 1);
    if (choice->collection->options.skip && has_values)
        status = is_finite(&finite, choice, row->number);
    *chosen = !status && has_values && finite;
    if (!status && !*chosen)
        tell_left_out(choice, row->number,
                      has_values ? "has a number that is not finite" : "has no number for each label");
    return status;
}

static nft_status choose_rows(row_choice *choice, const nft_label_table *table, const char *wanted)
{
    nft_collected *item = choice->item;
    nft_status status = NFT_OK;
    for (int64_t i = 0; i < table->count; i++)
        choice->rows[i] = &table->rows[i];
    qsort(choice->rows, (size_t)table->count, sizeof *choice->rows, compare_numbers);
    item->networks = 0;
    for (int64_t i = 0; i < table->count && !status; i++) {
        bool chosen = false;
        if (!has_key(choice->rows[i], wanted))
            continue;
        status = choose_row(&chosen, choice, choice->rows[i]);
        if (!status && chosen) {
            choice->rows[item->networks] = choice->rows[i];
            item->rows[item->networks++] = choice->rows[i]->number;
        }
    }
    if (status || item->networks)
        return status;
    return nft_fail(NFT_ERROR_FORMAT, "no row of its table has %s %s", choice->collection->preset->row_key,
                    wanted);
}

static nft_status fill_values(const row_choice *choice, int64_t column)
{
    int64_t count = choice->item->networks;
    bool is_real = false;
    double *numbers = nft_allocate_array((size_t)count, sizeof *numbers);
    if (!numbers)
        return nft_fail_memory("labels", count * (int64_t)sizeof *numbers);
    for (int64_t i = 0; i < count; i++) {
        numbers[i] = choice->rows[i]->values[column].number;
        is_real |= choice->rows[i]->values[column].is_real;
    }
    nft_status status = nft_value_from_numbers(&choice->item->values[column], numbers, count, is_real);
    nft_release(numbers);
    return status;
}

static nft_status read_rows(row_choice *choice, const char *path)
{
    nft_collection *collection = choice->collection;
    const char **columns = nft_allocate_array((size_t)collection->column_count, sizeof *columns);
    nft_label_table table = {0};
    if (!columns)
        return nft_fail_memory("a table", collection->column_count * (int64_t)sizeof *columns);
    for (int64_t i = 0; i < collection->column_count; i++)
        columns[i] = collection->columns[i].path;
    nft_status status =
        nft_label_table_read(&table, path, collection->preset->row_key, columns, collection->column_count);
    if (!status && table.count != choice->network->count)
        status = nft_fail(NFT_ERROR_MISMATCH,
                          "%s has %" PRId64 " rows, expected %" PRId64 ", one for each network", path,
                          table.count, choice->network->count);
    choice->rows = nft_allocate_array((size_t)table.count, sizeof *choice->rows);
    choice->item->rows = nft_allocate_array((size_t)table.count, sizeof *choice->item->rows);
    if (!status && (!choice->rows || !choice->item->rows))
        status = nft_fail_memory("a list of rows", table.count);
    if (!status)
        status = choose_rows(choice, &table, collection->preset->row_value);
    for (int64_t i = 0; i < collection->column_count && !status; i++)
        status = fill_values(choice, i);
    nft_release(choice->rows);
    nft_release(columns);
    nft_label_table_clear(&table, collection->column_count);
    return status;
}

nft_status nft_collection_label_from_rows(nft_collection *collection, nft_collected *item,
                                          const nft_file *file, const nft_network *network)
{
    row_choice choice = {collection, item, file, network, NULL};
    const char *slash = strrchr(item->path, '/');
    nft_text path = {0};
    nft_text_append(&path, "%.*smetrics.csv", slash ? (int)(slash + 1 - item->path) : 0, item->path);
    if (!path.failed && access(path.data, R_OK))
        nft_text_append(&path, ".gz");
    nft_status status =
        path.failed ? nft_fail_memory("a path", (int64_t)strlen(item->path)) : read_rows(&choice, path.data);
    nft_text_clear(&path);
    return status;
}

/* --- the networks of a preset --- */

static nft_status note(nft_file *file, const char *key, const char *value)
{
    if (!value || nft_file_metadata(file, key))
        return NFT_OK;
    return nft_file_add_metadata(file, key, value);
}

nft_status nft_collection_show(const nft_collection *collection, nft_file *file)
{
    const nft_preset *preset = collection->preset;
    if (!preset)
        return NFT_OK;
    nft_status status = preset->flat ? nft_flat_show(file, preset->flat) : NFT_OK;
    if (!status)
        status = note(file, "nft.omega", preset->omega);
    return status ? status : note(file, "nft.offset", preset->offset);
}

static bool has_skips(const nft_file *file, const char *list)
{
    size_t length = strlen(list);
    for (int64_t i = 0; i < file->scalar_count; i++) {
        const nft_scalar *scalar = &file->scalars[i];
        if (!strncmp(scalar->name, list, length) && scalar->name[length] == '.' &&
            scalar->kind == NFT_SCALAR_INTEGER && scalar->integer >= 0)
            return true;
    }
    return false;
}

/* The same space, in which no axis may be permuted. Names are the file's behind the prefix. */
static nft_status order_axes(nft_space **ordered, const nft_network *network, size_t prefix)
{
    int64_t axis_count = network->space->axis_count, tensor_count = network->space->tensor_count;
    nft_space_axis *axes = nft_allocate_array((size_t)axis_count, sizeof *axes);
    nft_space_tensor *tensors = nft_allocate_array((size_t)tensor_count, sizeof *tensors);
    nft_status status = axes && tensors ? NFT_OK : nft_fail_memory("a space", tensor_count);
    for (int64_t a = 0; a < axis_count && !status; a++) {
        axes[a].size = sizeof *axes;
        status = nft_space_get_axis(&axes[a], network->space, a);
        axes[a].symmetry = NFT_SYMMETRY_NONE;
    }
    for (int64_t t = 0; t < tensor_count && !status; t++) {
        tensors[t].size = sizeof *tensors;
        status = nft_space_get_tensor(&tensors[t], network->space, t);
        tensors[t].name = network->names[t] + prefix;
    }
    if (!status)
        status = nft_space_create(ordered, axes, axis_count, tensors, tensor_count);
    nft_release(axes);
    nft_release(tensors);
    return status;
}

nft_status nft_collection_order_axes(const nft_collection *collection, const nft_file *file,
                                     nft_network *network)
{
    const char *list = collection->preset ? collection->preset->skips : NULL;
    nft_space *ordered = NULL;
    if (collection->preset) { /* the collection is known, or its list tells */
        nft_release(network->doubt);
        network->doubt = NULL;
    }
    if (!list || !network->space->layer_count || !has_skips(file, list))
        return NFT_OK;
    const char *prefix = collection->options.prefix;
    nft_status status = order_axes(&ordered, network, prefix ? strlen(prefix) : 0);
    if (status)
        return status;
    nft_space_free(network->space);
    network->space = ordered;
    return NFT_OK;
}
