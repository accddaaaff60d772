/* nftool info: the tensors of a file by kind. */
#include "info.h"

#include "nft/file.h"
#include "report.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MOST_KINDS 24

/* Tensors whose names end alike, with equally many axes. */
typedef struct tensor_kind {
    char name[64];
    int64_t rank, tensors, numbers;
} tensor_kind;

typedef struct tensor_kinds {
    tensor_kind items[MOST_KINDS + 1]; /* the last: all others */
    int count;
} tensor_kinds;

/* "weight" of "layer1.0.conv1.weight". */
static const char *last_part(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && dot[1] ? dot + 1 : name;
}

static tensor_kind *find_kind(tensor_kinds *kinds, const nft_tensor_info *info)
{
    char name[sizeof kinds->items->name];
    snprintf(name, sizeof name, "%s", last_part(info->name));
    for (int i = 0; i < kinds->count; i++)
        if (kinds->items[i].rank == info->rank && !strcmp(kinds->items[i].name, name))
            return &kinds->items[i];
    tensor_kind *kind = &kinds->items[kinds->count];
    if (kinds->count < MOST_KINDS) {
        *kind = (tensor_kind){.rank = info->rank};
        memcpy(kind->name, name, sizeof name);
        kinds->count++;
    }
    return kind;
}

static int print_kinds(const tensor_kinds *kinds)
{
    static const char *const titles[] = {"name ends in", "axes", "tensors", "numbers"};
    cli_table table = TABLE_INIT("lrrr", 2);
    char text[TEXT_CAPACITY];
    table_header(&table, titles);
    for (int i = 0; i <= kinds->count; i++) {
        const tensor_kind *kind = &kinds->items[i];
        bool others = i == kinds->count;
        if (!kind->tensors)
            continue;
        table_cell(&table, "%s", others ? "others" : kind->name);
        if (others)
            table_cell(&table, "%s", "");
        else
            table_cell(&table, "%" PRId64, kind->rank);
        table_cell(&table, "%s", text_count(text, kind->tensors));
        table_cell(&table, "%s", text_count(text, kind->numbers));
    }
    putchar('\n');
    return table_print(&table);
}

int print_tensor_kinds(const nft_file *file)
{
    tensor_kinds kinds = {.count = 0};
    for (int64_t i = 0; i < nft_file_tensor_count(file); i++) {
        nft_tensor_info info = NFT_TENSOR_INFO_INIT;
        if (nft_file_tensor(&info, file, i))
            return fail_library();
        tensor_kind *kind = find_kind(&kinds, &info);
        kind->tensors++;
        kind->numbers += info.count;
    }
    int failed = print_kinds(&kinds);
    if (!failed)
        puts("\n--tensors lists them all.");
    return failed;
}
