/* Text for people: tables, numbers, and suggestions for misspelt words. Never depends on the locale. */
#ifndef NFT_CLI_TEXT_H
#define NFT_CLI_TEXT_H

#include "report.h"

#include <stdint.h>
#include <stdio.h>

/* Long enough for each of the text_… functions below. */
#define TEXT_CAPACITY 192

/* Each writes into `text`, TEXT_CAPACITY bytes, and returns it. */
char *text_count(char *text, int64_t count);                      /* "21,206,016" */
char *text_bytes(char *text, double bytes);                       /* "45.2 MiB" */
char *text_shape(char *text, const int64_t *shape, int64_t rank); /* "16 × 1 × 3 × 3" */
char *text_plural(char *text, int64_t count, const char *word);   /* "1 layer", "2 layers" */

const char *text_file_name(const char *path); /* without the folder */
bool text_ends_with(const char *text, const char *end);
/* The word that `text` may have been meant for, NULL if none is near. */
const char *text_nearest(const char *text, const char *const *words, int count);

#define TABLE_COLUMNS 9

/* Rows of cells, printed with aligned columns. The first row is the header. */
typedef struct cli_table {
    int columns;
    const char *align; /* 'l' or 'r' for each column */
    int indent;
    char **cells;
    int64_t count, capacity;
    int failed; /* a cell could not be stored */
} cli_table;

#define TABLE_INIT(align_text, indent_width)                                                                 \
    {                                                                                                        \
        sizeof(align_text) - 1, (align_text), (indent_width), NULL, 0, 0, 0                                  \
    }

/* The first row: a title for each column. */
void table_header(cli_table *table, const char *const *titles);
void table_cell(cli_table *table, const char *format, ...) CLI_PRINTF(2, 3);
/* Prints and frees the table; the exit status. */
int table_print(cli_table *table);
/* The same, to a stream. */
int table_write(cli_table *table, FILE *stream);
/* Frees the table and fails with the library's last message. */
int table_fail(cli_table *table);

#endif
