/* Any bytes as a table of labels: CSV, TSV, JSON or JSON lines, also gzipped. Every row that was read is
 * found by its key, and each value has the type that it announces. */
#define _GNU_SOURCE
#include "fuzz/bytes_as_file.h"

#include "io/collect/collect.h"

#include <math.h>
#include <string.h>

static const char *const columns[] = {"label", "scores.test"};
#define COLUMNS 2

static bytes_as_file file;

static void check_value(const nft_value *value)
{
    bool is_whole = value->kind != NFT_VALUE_TEXT || value->text;
    if (value->kind == NFT_VALUE_LIST)
        for (int64_t i = 0; i < value->length; i++)
            is_whole = is_whole && isfinite(value->list[i]);
    if (value->kind == NFT_VALUE_NUMBER)
        is_whole = isfinite(value->number);
    if (!is_whole)
        abort();
}

static void check_row(nft_label_table *table, int64_t i)
{
    nft_label_row *row = &table->rows[i];
    const nft_label_row *found = nft_label_table_row(table, row->key);
    if (!found || strcmp(found->key, row->key) != 0 || (found != row && !row->twice) || row->number < 0 ||
        row->number >= table->count)
        abort();
    for (int k = 0; k < COLUMNS; k++) {
        nft_value copy = {0};
        check_value(&row->values[k]);
        if (nft_value_copy(&copy, &row->values[k]) || copy.kind != row->values[k].kind)
            abort();
        nft_value_clear(&copy);
    }
    if (nft_label_table_find(&found, table, row->key) == NFT_OK && !found->used_by)
        abort();
}

static void read_by(const char *key)
{
    nft_label_table table = {0};
    if (nft_label_table_read(&table, file.path, key, columns, COLUMNS) == NFT_OK)
        for (int64_t i = 0; i < table.count && i < 100; i++)
            check_row(&table, i);
    nft_label_table_clear(&table, COLUMNS);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    make_file(&file, "table");
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    write_file(&file, bytes, size);
    read_by(NULL);
    read_by("file");
    return 0;
}
