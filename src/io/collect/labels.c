/* Labels of networks, and the tensors that they become. */
#define _POSIX_C_SOURCE 200809L
#include "io/collect/collect.h"
#include "io/collect/pattern.h"
#include "base/nearest.h"
#include "io/sidecar.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MOST_NUMBERS (1 << 20)        /* of a label inside a file */
#define MOST_EXACT 9007199254740992.0 /* integers are exact up to 2^53 */

static nft_status choose_source(nft_collection *collection)
{
    const char *labels = collection->options.labels;
    if (!labels)
        collection->source = NFT_LABELS_NONE;
    else if (!strcmp(labels, "sidecar"))
        collection->source = NFT_LABELS_SIDECAR;
    else if (!strcmp(labels, "folder"))
        collection->source = NFT_LABELS_FOLDER;
    else if (collection->preset && labels == collection->preset->labels && !strcmp(labels, "rows"))
        collection->source = NFT_LABELS_ROWS;
    else if (collection->preset && labels == collection->preset->labels && !strcmp(labels, "results"))
        collection->source = NFT_LABELS_RESULTS;
    else if (!strncmp(labels, "path:", 5))
        collection->source = NFT_LABELS_PATH;
    else if (!strncmp(labels, "key:", 4))
        collection->source = NFT_LABELS_KEY;
    else
        collection->source = NFT_LABELS_TABLE;
    const nft_collect_options *options = &collection->options;
    if (options->key && collection->source != NFT_LABELS_TABLE)
        return nft_fail(NFT_ERROR_ARGUMENT, "a key column is named, but labels come from no table");
    bool is_name = collection->source == NFT_LABELS_FOLDER || collection->source == NFT_LABELS_PATH;
    if (is_name && (options->label || options->also_count))
        return nft_fail(NFT_ERROR_ARGUMENT, "%s is the label: there are no columns to choose",
                        collection->source == NFT_LABELS_PATH ? "a part of the path" : "a folder's name");
    if (collection->source == NFT_LABELS_PATH && !strstr(labels, "{label}"))
        return nft_fail(NFT_ERROR_ARGUMENT, "the pattern '%s' has no {label}", labels + strlen("path:"));
    return NFT_OK;
}

/* Inside a file the label is NAME, or NAME.COLUMN if a column is named. */
static const char *path_of_label(const nft_collection *collection)
{
    const nft_collect_options *options = &collection->options;
    if (collection->source == NFT_LABELS_KEY && !options->label)
        return options->labels + strlen("key:");
    return options->label ? options->label : "label";
}

static nft_status read_table(nft_collection *collection)
{
    const char **columns = nft_allocate_array((size_t)collection->column_count, sizeof *columns);
    if (!columns)
        return nft_fail_memory("a table", collection->column_count * (int64_t)sizeof *columns);
    for (int64_t i = 0; i < collection->column_count; i++)
        columns[i] = collection->columns[i].path;
    nft_status status = nft_label_table_read(&collection->table, collection->options.labels,
                                             collection->options.key, columns, collection->column_count);
    nft_release(columns);
    collection->table.advice = nft_collection_skip_advice(collection);
    return status;
}

nft_status nft_collection_open_labels(nft_collection *collection)
{
    const nft_collect_options *options = &collection->options;
    nft_status status = choose_source(collection);
    if (status)
        return status;
    collection->columns = nft_allocate_array(1 + (size_t)options->also_count, sizeof *collection->columns);
    if (!collection->columns)
        return nft_fail_memory("a table of columns", options->also_count * (int64_t)sizeof(nft_column));
    collection->column_count = 1 + options->also_count;
    collection->columns[0] = (nft_column){.name = "label", .path = path_of_label(collection)};
    for (int64_t i = 0; i < options->also_count; i++) {
        const char *name = options->also[i];
        if (!name || !*name)
            return nft_fail(NFT_ERROR_ARGUMENT, "column %" PRId64 " of the further columns has no name", i);
        collection->columns[i + 1] = (nft_column){.name = name, .path = name};
    }
    return collection->source == NFT_LABELS_TABLE ? read_table(collection) : NFT_OK;
}

/* By the path, or by a part of it that the preset knows. */
static nft_status find_table_row(const nft_label_row **row, nft_collection *collection, const char *path)
{
    const char *pattern = collection->preset ? collection->preset->key_in_path : NULL, *key = NULL;
    size_t length = 0;
    if (!pattern || !nft_pattern_matches(pattern, path, &key, &length) || !key)
        return nft_label_table_find(row, &collection->table, path);
    char *text = nft_copy_text_range(key, length);
    *row = text ? nft_label_table_row(&collection->table, text) : NULL;
    nft_status status = !text  ? nft_fail_memory("a key", (int64_t)length)
                        : *row ? NFT_OK
                               : nft_fail(NFT_ERROR_FORMAT, "%s has no row with %s %s",
                                          collection->table.path, collection->preset->key, text);
    nft_release(text);
    return status;
}

static nft_status label_from_table(nft_collection *collection, nft_collected *item)
{
    const nft_label_row *row = NULL;
    nft_status status = find_table_row(&row, collection, item->path);
    for (int64_t i = 0; i < collection->column_count && !status; i++)
        status = nft_value_copy(&item->values[i], &row->values[i]);
    return status;
}

#define MOST_KEYS 12 /* in a message */

/* A key that a sidecar does not have, with those that it has. */
static nft_status fail_key(const nft_collected *item, const json_t *sidecar, const char *wanted)
{
    const char *keys[MOST_KEYS] = {0};
    int count = 0;
    nft_text path = {0}, list = {0};
    json_t *any = (json_t *)sidecar;
    for (void *at = json_object_iter(any); at && count < MOST_KEYS; at = json_object_iter_next(any, at)) {
        keys[count] = json_object_iter_key(at);
        nft_text_append(&list, "%s%s", count ? ", " : "", keys[count]);
        count++;
    }
    nft_status status = nft_sidecar_path(&path, item->path);
    int nearest = nft_nearest(wanted, keys, count);
    if (!status)
        status = nft_fail(
            NFT_ERROR_FORMAT, "its sidecar %s has no key '%s'; its keys are %s%s%s%s%s", path.data, wanted,
            list.failed || !count ? "none" : list.data, json_object_size(sidecar) > MOST_KEYS ? ", …" : "",
            nearest < 0 ? "" : "; did you mean '", nearest < 0 ? "" : keys[nearest], nearest < 0 ? "" : "'?");
    nft_text_clear(&path);
    nft_text_clear(&list);
    return status;
}

static nft_status fail_sidecar(const nft_collected *item)
{
    nft_text path = {0};
    nft_status status = nft_sidecar_path(&path, item->path);
    if (!status)
        status = nft_fail(NFT_ERROR_FORMAT, "it has no sidecar, which would be %s", path.data);
    nft_text_clear(&path);
    return status;
}

static nft_status label_from_sidecar(nft_collection *collection, nft_collected *item, const json_t *sidecar)
{
    if (!sidecar)
        return fail_sidecar(item);
    nft_status status = NFT_OK;
    for (int64_t i = 0; i < collection->column_count && !status; i++) {
        const char *path = collection->columns[i].path;
        const json_t *member = nft_json_member(sidecar, path);
        if (!member)
            return fail_key(item, sidecar, path);
        status = nft_value_from_json(&item->values[i], member);
        if (status)
            nft_fail_in(status, "'%s' of its sidecar", path);
    }
    return status;
}

static nft_status label_from_folder(nft_collected *item)
{
    const char *end = strrchr(item->path, '/'), *begin = end;
    while (begin && begin > item->path && begin[-1] != '/')
        begin--;
    if (!end || begin == end || !strncmp(begin, ".", (size_t)(end - begin)))
        return nft_fail(NFT_ERROR_ARGUMENT, "the path names no folder, whose name would be its label");
    return nft_value_from_text(&item->values[0], begin, (size_t)(end - begin));
}

static nft_status read_floats(double *numbers, const nft_file *file, const nft_entry *entry)
{
    float *values = nft_allocate_array((size_t)entry->count, sizeof *values);
    if (!values)
        return nft_fail_memory("a label", entry->count * (int64_t)sizeof *values);
    nft_status status = nft_file_read_f32(file, entry, 0, entry->count, values);
    for (int64_t i = 0; i < entry->count && !status; i++)
        numbers[i] = (double)values[i];
    nft_release(values);
    return status;
}

static nft_status read_integers(double *numbers, const nft_file *file, const nft_entry *entry)
{
    int64_t *values = nft_allocate_array((size_t)entry->count, sizeof *values);
    if (!values)
        return nft_fail_memory("a label", entry->count * (int64_t)sizeof *values);
    nft_status status = nft_file_read_i64(file, entry, 0, entry->count, values);
    for (int64_t i = 0; i < entry->count && !status; i++)
        numbers[i] = (double)values[i];
    nft_release(values);
    return status;
}

static nft_status label_from_entry(nft_value *value, const nft_file *file, const nft_entry *entry)
{
    bool is_real = nft_type_is_float(entry->type);
    if (entry->count > MOST_NUMBERS)
        return nft_fail(NFT_ERROR_LIMIT, "has %" PRId64 " numbers, expected at most %d", entry->count,
                        MOST_NUMBERS);
    double *numbers = nft_allocate_array((size_t)entry->count, sizeof *numbers);
    if (!numbers)
        return nft_fail_memory("a label", entry->count * (int64_t)sizeof *numbers);
    nft_status status = is_real ? read_floats(numbers, file, entry) : read_integers(numbers, file, entry);
    if (!status)
        status = nft_value_from_numbers(value, numbers, entry->count, is_real);
    nft_release(numbers);
    return status;
}

/* Whether the scalar is the number NAME.k; any number or text inside NAME for k = -1. */
static bool is_inside(const nft_scalar *scalar, const char *name, int64_t k)
{
    size_t length = strlen(name);
    char *end = NULL;
    if (strncmp(scalar->name, name, length) != 0 || scalar->name[length] != '.')
        return false;
    const char *number = scalar->name + length + 1;
    return k < 0 || (strtoll(number, &end, 10) == k && !*end && scalar->kind != NFT_SCALAR_TEXT);
}

/* The numbers NAME.0, NAME.1, … of a list next to the tensors. 0: NAME is none, or holds something else. */
static int64_t find_list(const nft_scalar **list, const nft_file *file, const char *name)
{
    int64_t first = 0, count = 0;
    while (first < file->scalar_count && !is_inside(&file->scalars[first], name, -1))
        first++;
    *list = file->scalars + first;
    while (first + count < file->scalar_count && is_inside(&(*list)[count], name, -1)) {
        if (!is_inside(&(*list)[count], name, count))
            return 0;
        count++;
    }
    return count;
}

static nft_status label_from_list(nft_value *value, const nft_scalar *list, int64_t count)
{
    double *numbers = nft_allocate_array((size_t)count, sizeof *numbers);
    bool is_real = false;
    if (!numbers)
        return nft_fail_memory("a label", count * (int64_t)sizeof *numbers);
    for (int64_t i = 0; i < count; i++) {
        numbers[i] = list[i].real;
        is_real |= list[i].kind == NFT_SCALAR_REAL;
    }
    nft_status status = nft_value_from_numbers(value, numbers, count, is_real);
    nft_release(numbers);
    return status;
}

/* A number, a text or a list of numbers next to the tensors, a tensor, or a text of the metadata. */
static nft_status label_from_file(nft_value *value, const nft_file *file, const char *path, bool required)
{
    const nft_scalar *scalar = nft_file_scalar(file, path);
    const nft_entry *entry = scalar ? NULL : nft_file_find(file, path);
    const char *text = scalar || entry ? NULL : nft_file_metadata(file, path);
    *value = (nft_value){0};
    if (scalar && scalar->kind == NFT_SCALAR_TEXT)
        text = scalar->text;
    else if (scalar)
        return nft_value_from_numbers(value, &scalar->real, 1, scalar->kind == NFT_SCALAR_REAL);
    if (entry)
        return label_from_entry(value, file, entry);
    if (text)
        return nft_value_from_text(value, text, strlen(text));
    const nft_scalar *list = NULL;
    int64_t count = find_list(&list, file, path);
    if (count)
        return label_from_list(value, list, count);
    return required ? nft_fail(NFT_ERROR_FORMAT, "is not in the file") : NFT_OK;
}

static nft_status label_from_key(nft_collection *collection, nft_collected *item, const nft_file *file)
{
    const nft_collect_options *options = &collection->options;
    bool is_inner = collection->source == NFT_LABELS_KEY && (options->label || options->also_count);
    nft_status status = NFT_OK;
    for (int64_t i = 0; i < collection->column_count && !status; i++) {
        nft_text path = {0};
        if (is_inner && (i || options->label) && options->labels[4])
            nft_text_append(&path, "%s.", options->labels + 4);
        nft_text_append(&path, "%s", collection->columns[i].path);
        bool required = collection->source == NFT_LABELS_KEY || i || options->label;
        status = path.failed ? nft_fail_memory("a name", (int64_t)path.length)
                             : label_from_file(&item->values[i], file, path.data, required);
        if (status)
            nft_fail_in(status, "'%s'", path.failed ? "" : path.data);
        nft_text_clear(&path);
    }
    return status;
}

/* Every network needs its own value. */
static nft_status check_value(const nft_collection *collection, const nft_collected *item, int64_t i)
{
    const nft_value *value = &item->values[i];
    const char *name = collection->columns[i].path;
    if (value->kind == NFT_VALUE_MISSING)
        return collection->source == NFT_LABELS_NONE && !i && !collection->options.label
                   ? NFT_OK
                   : nft_fail(NFT_ERROR_FORMAT, "its label '%s' is null, or not finite%s",
                              collection->source == NFT_LABELS_FOLDER ? "folder" : name,
                              nft_collection_skip_advice(collection));
    bool fits = item->networks == 1 || (value->kind == NFT_VALUE_LIST && value->length % item->networks == 0);
    return fits ? NFT_OK
                : nft_fail(NFT_ERROR_FORMAT, "it holds %" PRId64 " networks, but its label '%s' is one value",
                           item->networks, name);
}

nft_status nft_collection_label(nft_collection *collection, nft_collected *item, const nft_file *file,
                                const nft_network *network, const json_t *sidecar)
{
    nft_status status = NFT_OK;
    item->values = nft_allocate_array((size_t)collection->column_count, sizeof *item->values);
    if (!item->values)
        return nft_fail_memory("labels", collection->column_count * (int64_t)sizeof *item->values);
    switch (collection->source) {
    case NFT_LABELS_TABLE:
        status = label_from_table(collection, item);
        break;
    case NFT_LABELS_SIDECAR:
        status = label_from_sidecar(collection, item, sidecar);
        break;
    case NFT_LABELS_FOLDER:
        status = label_from_folder(item);
        break;
    case NFT_LABELS_PATH:
        status = nft_collection_label_from_path(collection, item);
        break;
    case NFT_LABELS_ROWS:
        status = nft_collection_label_from_rows(collection, item, file, network);
        break;
    case NFT_LABELS_RESULTS:
        status = nft_collection_label_from_results(collection, item);
        break;
    case NFT_LABELS_KEY:
    case NFT_LABELS_NONE:
        status = label_from_key(collection, item, file);
        break;
    }
    for (int64_t i = 0; i < collection->column_count && !status; i++)
        status = check_value(collection, item, i);
    return status;
}

static int64_t width_of(const nft_collected *item, const nft_value *value)
{
    int64_t width = value->kind == NFT_VALUE_LIST ? value->length / item->networks : 1;
    return width == 1 ? 0 : width;
}

static nft_status add_class(nft_column *column, int64_t *capacity, const nft_value *value)
{
    nft_status status = nft_grow(&column->classes, column->class_count + 1, capacity, sizeof *column->classes,
                                 "a list of classes", 0);
    if (status)
        return status;
    nft_text text = {0};
    if (value->kind == NFT_VALUE_TEXT)
        nft_text_append(&text, "%s", value->text);
    else
        nft_text_append(&text, "%.17g", value->number);
    if (text.failed)
        return nft_fail_memory("a class", (int64_t)text.length);
    column->classes[column->class_count++] = text.data;
    return NFT_OK;
}

static int compare_classes(const void *a, const void *b)
{
    return nft_compare_names(*(char *const *)a, *(char *const *)b);
}

static void sort_classes(nft_column *column)
{
    int64_t kept = 0;
    qsort(column->classes, (size_t)column->class_count, sizeof *column->classes, compare_classes);
    for (int64_t i = 0; i < column->class_count; i++)
        if (kept && !strcmp(column->classes[i], column->classes[kept - 1]))
            nft_release(column->classes[i]);
        else
            column->classes[kept++] = column->classes[i];
    column->class_count = kept;
}

static int64_t find_class(const nft_column *column, const char *name)
{
    char *const *found =
        bsearch(&name, column->classes, (size_t)column->class_count, sizeof name, compare_classes);
    return found ? found - column->classes : 0;
}

/* Texts become their numbers among the sorted ones. */
static nft_status number_classes(nft_collection *collection, int64_t i)
{
    nft_column *column = &collection->columns[i];
    int64_t capacity = 0;
    nft_status status = NFT_OK;
    for (int64_t k = 0; k < collection->paths.count && !status; k++) {
        const nft_collected *item = &collection->items[k];
        if (item->group >= 0)
            status = add_class(column, &capacity, &item->values[i]);
        if (!status && column->class_count == capacity) /* each only once, before the list grows */
            sort_classes(column);
    }
    if (status)
        return status;
    sort_classes(column);
    for (int64_t k = 0; k < collection->paths.count; k++) {
        nft_collected *item = &collection->items[k];
        if (item->group < 0 || item->values[i].kind != NFT_VALUE_TEXT)
            continue;
        int64_t number = find_class(column, item->values[i].text);
        nft_value_clear(&item->values[i]);
        item->values[i] = (nft_value){.kind = NFT_VALUE_NUMBER, .number = (double)number};
    }
    column->is_real = false;
    return NFT_OK;
}

static bool is_real(const nft_value *value)
{
    return value->is_real || value->number > MOST_EXACT || value->number < -MOST_EXACT;
}

static nft_status type_column(nft_collection *collection, int64_t i)
{
    nft_column *column = &collection->columns[i];
    const nft_collected *first = NULL;
    bool has_texts = false, has_lists = false;
    for (int64_t k = 0; k < collection->paths.count; k++) {
        const nft_collected *item = &collection->items[k];
        if (item->group < 0)
            continue;
        const nft_value *value = &item->values[i];
        first = first ? first : item;
        if ((value->kind == NFT_VALUE_MISSING) != (first->values[i].kind == NFT_VALUE_MISSING))
            return nft_fail(NFT_ERROR_FORMAT, "%s: has %s '%s', but %s has", item->path,
                            value->kind == NFT_VALUE_MISSING ? "no" : "a", column->path,
                            value->kind == NFT_VALUE_MISSING ? "another file" : "no other file");
        has_texts |= value->kind == NFT_VALUE_TEXT;
        has_lists |= value->kind == NFT_VALUE_LIST;
        if (has_texts && has_lists)
            return nft_fail(NFT_ERROR_FORMAT,
                            "'%s' holds texts and lists of numbers (%s), expected one of them", column->path,
                            item->path);
        if (width_of(item, value) != width_of(first, &first->values[i]))
            return nft_fail(NFT_ERROR_FORMAT, "%s: '%s' has %" PRId64 " numbers, but in %s %" PRId64,
                            item->path, column->path, value->length, first->path, first->values[i].length);
        column->is_real |= is_real(value);
    }
    column->present = first && first->values[i].kind != NFT_VALUE_MISSING;
    column->width = column->present ? width_of(first, &first->values[i]) : 0;
    return has_texts ? number_classes(collection, i) : NFT_OK;
}

nft_status nft_collection_type_columns(nft_collection *collection)
{
    nft_status status = NFT_OK;
    for (int64_t i = 0; i < collection->column_count && !status; i++)
        status = type_column(collection, i);
    return status;
}
