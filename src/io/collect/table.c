/* Tables of labels: CSV, TSV, JSON and JSON lines. */
#define _XOPEN_SOURCE 700
#include "config/json.h"
#include "io/collect/collect.h"
#include "io/system.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST_COLUMNS 4096

/* Which columns of a table are read. */
typedef struct label_request {
    nft_label_table *table;
    const char *key; /* NULL: the first */
    const char *const *columns;
    int64_t count;
} label_request;

static nft_status add_row(label_request *request, nft_label_row **row, const char *key, size_t length)
{
    nft_label_table *table = request->table;
    nft_status status =
        nft_grow(&table->rows, table->count + 1, &table->capacity, sizeof *table->rows, "a table", 0);
    if (status)
        return status;
    *row = &table->rows[table->count];
    **row = (nft_label_row){.key = nft_copy_text_range(key, length), .number = table->count};
    (*row)->values = nft_allocate_array((size_t)request->count, sizeof *(*row)->values);
    table->count += (*row)->key && (*row)->values;
    if ((*row)->key && (*row)->values)
        return NFT_OK;
    nft_release((*row)->key);
    nft_release((*row)->values);
    return nft_fail_memory("a table", (int64_t)length);
}

/* --- separated values --- */

typedef struct table_cell {
    const char *text; /* in the file's text, quotes taken out */
    size_t length;
} table_cell;

/* A cell in quotes may hold separators and lines; two quotes in it are one. Writes it over itself. */
static char *read_quoted(table_cell *cell, char *at)
{
    char *out = at;
    cell->text = at;
    for (; *at && (*at != '"' || at[1] == '"'); at++) {
        at += *at == '"';
        *out++ = *at;
    }
    cell->length = (size_t)(out - cell->text);
    return *at ? at + 1 : at;
}

/* One line; returns where the next begins. */
static char *read_line(table_cell *cells, int64_t *count, char *at, char separator)
{
    char stops[] = {separator, '\r', '\n', 0};
    *count = 0;
    for (;;) {
        table_cell cell = {0};
        if (*at == '"') {
            at = read_quoted(&cell, at + 1);
            at += strcspn(at, stops);
        } else {
            cell.text = at;
            cell.length = strcspn(at, stops);
            at += cell.length;
        }
        if (*count < MOST_COLUMNS)
            cells[(*count)++] = cell;
        if (*at != separator)
            return at + strspn(at, "\r\n");
        at++;
    }
}

static int64_t count_of(const char *text, size_t length, char wanted)
{
    int64_t count = 0;
    for (size_t i = 0; i < length; i++)
        count += text[i] == wanted;
    return count;
}

/* The one that is most often in the header. */
static char find_separator(const char *text)
{
    static const char candidates[] = {',', '\t', ';'};
    size_t length = strcspn(text, "\r\n");
    char best = ',';
    for (size_t i = 0; i < sizeof candidates; i++)
        if (count_of(text, length, candidates[i]) > count_of(text, length, best))
            best = candidates[i];
    return best;
}

static int64_t find_column(const table_cell *cells, int64_t count, const char *name)
{
    for (int64_t i = 0; i < count; i++)
        if (cells[i].length == strlen(name) && !memcmp(cells[i].text, name, cells[i].length))
            return i;
    return -1;
}

/* Without a name the column of the labels is 'label'. */
static nft_status fail_column(const char *name, const table_cell *cells, int64_t count, bool is_label)
{
    nft_text list = {0};
    for (int64_t i = 0; i < count && i < 12; i++)
        nft_text_append(&list, "%s%.*s", i ? ", " : "", (int)cells[i].length, cells[i].text);
    nft_status status = nft_fail(NFT_ERROR_FORMAT, "it has no column '%s'; its columns are %s%s%s", name,
                                 list.failed ? "many" : list.data, count > 12 ? ", …" : "",
                                 is_label && !strcmp(name, "label")
                                     ? "; nft_collect_options.label names the column of the labels"
                                     : "");
    nft_text_clear(&list);
    return status;
}

/* The column of the files, for messages. */
static nft_status note_column(nft_label_table *table, const char *name, size_t length)
{
    if (table->column)
        return NFT_OK;
    table->column = nft_copy_text_range(name, length);
    return table->column ? NFT_OK : nft_fail_memory("a table", (int64_t)length);
}

static nft_status read_cells(label_request *request, const table_cell *cells, int64_t count, int64_t key,
                             const int64_t *columns)
{
    nft_label_row *row = NULL;
    if (key >= count || !cells[key].length)
        return NFT_OK;
    nft_status status = add_row(request, &row, cells[key].text, cells[key].length);
    for (int64_t i = 0; i < request->count && !status; i++)
        if (columns[i] < count)
            status = nft_value_from_text(&row->values[i], cells[columns[i]].text, cells[columns[i]].length);
    return status;
}

static nft_status read_separated(label_request *request, char *text, table_cell *cells, int64_t *columns)
{
    int64_t count = 0, key = 0;
    char separator = find_separator(text);
    char *next = read_line(cells, &count, text, separator);
    if (request->key && (key = find_column(cells, count, request->key)) < 0)
        return fail_column(request->key, cells, count, false);
    for (int64_t i = 0; i < request->count; i++)
        if ((columns[i] = find_column(cells, count, request->columns[i])) < 0)
            return fail_column(request->columns[i], cells, count, i == 0);
    nft_status status = NFT_OK;
    status = note_column(request->table, cells[key].text, cells[key].length);
    while (*next && !status) {
        next = read_line(cells, &count, next, separator);
        status = read_cells(request, cells, count, key, columns);
    }
    return status;
}

static nft_status read_csv(label_request *request, char *text)
{
    static const char mark[] = "\xef\xbb\xbf";
    table_cell *cells = nft_allocate_array(MOST_COLUMNS, sizeof *cells);
    int64_t *columns = nft_allocate_array((size_t)request->count, sizeof *columns);
    nft_status status = cells && columns ? NFT_OK : nft_fail_memory("a table", MOST_COLUMNS * sizeof *cells);
    if (!status)
        status = read_separated(request, text + (strncmp(text, mark, 3) ? 0 : 3), cells, columns);
    nft_release(cells);
    nft_release(columns);
    return status;
}

/* --- JSON --- */

static nft_status read_object(label_request *request, const char *key, const json_t *object)
{
    nft_label_row *row = NULL;
    nft_status status = add_row(request, &row, key, strlen(key));
    for (int64_t i = 0; i < request->count && !status; i++) {
        const json_t *value = json_is_object(object) ? nft_json_member(object, request->columns[i])
                              : i == 0               ? object
                                                     : NULL;
        status = nft_value_from_json(&row->values[i], value);
        if (status)
            nft_fail_in(status, "'%s' of '%s'", request->columns[i], key);
    }
    return status;
}

/* An object with the file in a column. */
static nft_status read_record(label_request *request, const json_t *record, int64_t number)
{
    if (!json_is_object(record))
        return nft_fail(NFT_ERROR_FORMAT, "entry %" PRId64 " is no object", number);
    json_t *any = (json_t *)record;
    void *first = json_object_iter(any);
    const char *column = request->key ? request->key : first ? json_object_iter_key(first) : "the first key";
    const json_t *key = request->key ? nft_json_member(record, request->key)
                        : first      ? json_object_iter_value(first)
                                     : NULL;
    nft_status status = note_column(request->table, column, strlen(column));
    if (status)
        return status;
    if (json_is_integer(key)) {
        char text[32];
        snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT, json_integer_value(key));
        return read_object(request, text, record);
    }
    if (!json_is_string(key))
        return nft_fail(NFT_ERROR_FORMAT, "entry %" PRId64 ": '%s' is no text that names a file", number,
                        column);
    return read_object(request, json_string_value(key), record);
}

/* A list of records, or an object from files to records or labels. */
static nft_status read_json(label_request *request, json_t *json)
{
    nft_status status = NFT_OK;
    const char *key;
    json_t *value;
    for (size_t i = 0; i < json_array_size(json) && !status; i++)
        status = read_record(request, json_array_get(json, i), (int64_t)i);
    json_object_foreach(json, key, value)
    {
        if (status)
            break;
        status = read_object(request, key, value);
    }
    return status;
}

static nft_status read_json_line(label_request *request, const char *line, size_t length, int64_t number)
{
    json_t *json = NULL;
    nft_status status = nft_json_parse(&json, line, length);
    if (!status)
        status = read_record(request, json, number);
    else
        nft_fail_in(status, "line %" PRId64, number + 1);
    json_decref(json);
    return status;
}

/* Two objects on lines below each other are JSON lines. */
static bool has_json_lines(const char *text)
{
    const char *end = text + strcspn(text, "\r\n"), *next = end + strspn(end, " \t\r\n");
    while (end > text && strchr(" \t", end[-1]))
        end--;
    return text[0] == '{' && end > text && end[-1] == '}' && (*next == '{' || !*next);
}

static nft_status read_json_text(label_request *request, const char *text, size_t length)
{
    json_t *json = NULL;
    nft_status status = NFT_OK;
    if (!has_json_lines(text)) {
        status = nft_json_parse(&json, text, length);
        if (!status)
            status = read_json(request, json);
        json_decref(json);
        return status;
    }
    for (int64_t number = 0; *text && !status; number++) {
        size_t line = strcspn(text, "\r\n");
        if (strspn(text, " \t") < line)
            status = read_json_line(request, text, line, number);
        text += line;
        text += *text == '\r' && text[1] == '\n' ? 2 : *text != 0;
    }
    return status;
}

/* --- the table --- */

static int compare_rows(const void *a, const void *b)
{
    return strcmp(((const nft_label_row *)a)->key, ((const nft_label_row *)b)->key);
}

nft_status nft_label_table_read(nft_label_table *table, const char *path, const char *key,
                                const char *const *columns, int64_t column_count)
{
    label_request request = {table, key, columns, column_count};
    char *text = NULL;
    size_t length = 0;
    *table = (nft_label_table){.path = nft_copy_text(path)};
    if (!table->path)
        return nft_fail_memory("a path", (int64_t)strlen(path));
    nft_status status = nft_read_text_file(&text, &length, path);
    if (status)
        return status;
    const char *first = text + strspn(text, " \t\r\n");
    if (memchr(text, 0, length))
        status = nft_fail(NFT_ERROR_FORMAT, "it is no text, expected a table: CSV, TSV, JSON or JSON lines");
    else if (*first == '{' || *first == '[')
        status = read_json_text(&request, first, strlen(first));
    else
        status = read_csv(&request, text);
    nft_release(text);
    if (table->count)
        qsort(table->rows, (size_t)table->count, sizeof *table->rows, compare_rows);
    for (int64_t i = 1; i < table->count; i++)
        if (!compare_rows(&table->rows[i - 1], &table->rows[i]))
            table->rows[i - 1].twice = table->rows[i].twice = true;
    return status ? nft_fail_in(status, "%s", path) : NFT_OK;
}

void nft_label_table_clear(nft_label_table *table, int64_t column_count)
{
    for (int64_t i = 0; i < table->count; i++) {
        for (int64_t k = 0; k < column_count; k++)
            nft_value_clear(&table->rows[i].values[k]);
        nft_release(table->rows[i].values);
        nft_release(table->rows[i].key);
    }
    nft_release(table->rows);
    nft_release(table->column);
    nft_release(table->path);
    *table = (nft_label_table){0};
}

static nft_label_row *find_row(const nft_label_table *table, const char *key, size_t length)
{
    char *text = nft_copy_text_range(key, length);
    const nft_label_row wanted = {.key = text};
    nft_label_row *row = text && table->count ? bsearch(&wanted, table->rows, (size_t)table->count,
                                                        sizeof wanted, compare_rows)
                                              : NULL;
    nft_release(text);
    return row;
}

const nft_label_row *nft_label_table_row(const nft_label_table *table, const char *key)
{
    return find_row(table, key, strlen(key));
}

/* Behind the folder of the table, or NULL. */
static const char *relative_path(const char *table, const char *path)
{
    const char *slash = strrchr(table, '/');
    size_t folder = slash ? (size_t)(slash - table) + 1 : 0;
    if (folder && strncmp(path, table, folder) != 0)
        return NULL;
    return path + folder + (strncmp(path + folder, "./", 2) ? 0 : 2);
}

/* By the last parts of the path, as many as have a row. */
static nft_label_row *find_by_end(const nft_label_table *table, const char *path)
{
    nft_label_row *row = NULL;
    for (const char *slash = strchr(path, '/'); slash && !row; slash = strchr(slash + 1, '/'))
        row = find_row(table, slash + 1, strlen(slash + 1));
    return row;
}

/* The same by the folders themselves, however they are written. */
static nft_label_row *find_by_real_path(const nft_label_table *table, const char *path)
{
    char *real_table = realpath(table->path, NULL), *real = realpath(path, NULL);
    const char *relative = real_table && real ? relative_path(real_table, real) : NULL;
    nft_label_row *row = relative ? find_row(table, relative, strlen(relative)) : NULL;
    free(real_table);
    free(real);
    return row;
}

static size_t stem_length(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && dot > name ? (size_t)(dot - name) : strlen(name);
}

static nft_status fail_no_row(const nft_label_table *table)
{
    const char *advice = table->advice ? table->advice : "";
    if (!table->column)
        return nft_fail(NFT_ERROR_FORMAT, "%s has no row for it%s", table->path, advice);
    return nft_fail(
        NFT_ERROR_FORMAT,
        "%s has no row for it in column '%s'; nft_collect_options.key names the column of the files%s",
        table->path, table->column, advice);
}

nft_status nft_label_table_find(const nft_label_row **found, nft_label_table *table, const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const char *relative = relative_path(table->path, path);
    nft_label_row *row = relative ? find_row(table, relative, strlen(relative)) : NULL;
    if (!row && relative)
        row = find_row(table, relative, (size_t)(name - relative) + stem_length(name));
    if (!row && !(row = find_row(table, path, strlen(path))))
        row = slash ? find_by_end(table, path) : NULL;
    if (!row)
        row = find_row(table, name, stem_length(name));
    if (!row)
        row = find_by_real_path(table, path);
    *found = row;
    if (!row)
        return fail_no_row(table);
    if (row->twice)
        return nft_fail(NFT_ERROR_FORMAT, "%s has two rows for '%s'", table->path, row->key);
    if (row->used_by)
        return nft_fail(NFT_ERROR_FORMAT, "the row '%s' of %s is that of %s, too", row->key, table->path,
                        row->used_by);
    row->used_by = path;
    return NFT_OK;
}
