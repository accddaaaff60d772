#include "text.h"

#include "escape.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *text_count(char *text, int64_t count)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%" PRId64, count), used = 0;
    for (int i = 0; i < length; i++) {
        text[used++] = digits[i];
        if (digits[i] != '-' && i + 1 < length && (length - 1 - i) % 3 == 0)
            text[used++] = ',';
    }
    text[used] = 0;
    return text;
}

char *text_bytes(char *text, double bytes)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    int unit = 0;
    for (; unit < 4 && bytes >= 1024; unit++)
        bytes /= 1024;
    snprintf(text, TEXT_CAPACITY, unit ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
    return text;
}

char *text_shape(char *text, const int64_t *shape, int64_t rank)
{
    size_t used = 0;
    snprintf(text, TEXT_CAPACITY, rank ? "" : "one number");
    for (int64_t i = 0; i < rank && used < TEXT_CAPACITY; i++)
        used += (size_t)snprintf(text + used, TEXT_CAPACITY - used, "%s%" PRId64, i ? " × " : "", shape[i]);
    return text;
}

char *text_plural(char *text, int64_t count, const char *word)
{
    char number[TEXT_CAPACITY];
    snprintf(text, TEXT_CAPACITY, "%.32s %.64s%s", text_count(number, count), word, count == 1 ? "" : "s");
    return text;
}

#define LONGEST_WORD 32

/* Levenshtein's distance of two words, by their first LONGEST_WORD bytes. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t m = strlen(a), n = strlen(b), row[LONGEST_WORD + 1];
    m = m < LONGEST_WORD ? m : LONGEST_WORD;
    n = n < LONGEST_WORD ? n : LONGEST_WORD;
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; i <= m; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]), insert = row[j - 1] + 1, remove = row[j] + 1;
            diagonal = row[j];
            row[j] = change < insert ? change : insert;
            row[j] = row[j] < remove ? row[j] : remove;
        }
    }
    return row[n];
}

const char *text_nearest(const char *text, const char *const *words, int count)
{
    const char *best = NULL;
    size_t least = strlen(text) / 2 + 1;
    for (int i = 0; i < count; i++) {
        size_t distance = edit_distance(text, words[i]);
        if (distance < least) {
            least = distance;
            best = words[i];
        }
    }
    return best;
}

void table_cell(cli_table *table, const char *format, ...)
{
    if (table->count == table->capacity) {
        int64_t capacity = table->capacity ? 2 * table->capacity : 64;
        char **cells = realloc(table->cells, (size_t)capacity * sizeof *cells);
        if (!cells) {
            table->failed = 1;
            return;
        }
        table->cells = cells;
        table->capacity = capacity;
    }
    char raw[512], text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(raw, sizeof raw, format, arguments);
    va_end(arguments);
    escape_text(text, sizeof text, raw);
    size_t size = strlen(text) + 1;
    char *copy = malloc(size);
    if (copy)
        memcpy(copy, text, size);
    else
        table->failed = 1;
    table->cells[table->count++] = copy;
}

void table_header(cli_table *table, const char *const *titles)
{
    for (int column = 0; column < table->columns; column++)
        table_cell(table, "%s", titles[column]);
}

/* Columns on the screen: bytes that begin a UTF-8 character. */
static int text_width(const char *text)
{
    int width = 0;
    for (; *text; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

/* Nothing is printed after the last cell that has text. */
static void print_row(const cli_table *table, const int *widths, char **cells, FILE *stream)
{
    int last = table->columns - 1;
    while (last > 0 && !*cells[last])
        last--;
    fprintf(stream, "%*s", table->indent, "");
    for (int column = 0; column <= last; column++) {
        const char *text = cells[column];
        int space = widths[column] - text_width(text);
        if (table->align[column] == 'r')
            fprintf(stream, "%*s%s", space, "", text);
        else
            fprintf(stream, "%s%*s", text, column < last ? space : 0, "");
        fputs(column < last ? "  " : "\n", stream);
    }
}

static void free_cells(cli_table *table)
{
    for (int64_t i = 0; i < table->count; i++)
        free(table->cells[i]);
    free(table->cells);
    table->cells = NULL;
    table->count = 0;
}

int table_write(cli_table *table, FILE *stream)
{
    int widths[TABLE_COLUMNS] = {0};
    for (int64_t i = 0; i < table->count && !table->failed; i++) {
        int width = text_width(table->cells[i]), *most = &widths[i % table->columns];
        *most = width > *most ? width : *most;
    }
    for (int64_t i = 0; i + table->columns <= table->count && !table->failed; i += table->columns)
        print_row(table, widths, table->cells + i, stream);
    free_cells(table);
    return table->failed ? fail_memory() : EXIT_SUCCESS;
}

int table_print(cli_table *table)
{
    return table_write(table, stdout);
}

int table_fail(cli_table *table)
{
    free_cells(table);
    return fail_library();
}

const char *text_file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

bool text_ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && !strcmp(text + length - tail, end);
}
