/* Any bytes as a file of any format: listed, and every tensor read, in memory and from a file. Both must
 * agree. */
#define _GNU_SOURCE
#include "fuzz/bytes_as_file.h"

#include "io/file.h"
#include "nft/file.h"

#include <stdbool.h>
#include <string.h>

#define MEMORY_LIMIT (INT64_C(1) << 24)
#define MOST_ELEMENTS (INT64_C(1) << 16)

static bytes_as_file file;

/* A sum over the first elements and the last. */
static double read_entry(const nft_file *from, const nft_entry *entry)
{
    static float floats[MOST_ELEMENTS];
    static int64_t integers[MOST_ELEMENTS];
    int64_t count = entry->count < MOST_ELEMENTS ? entry->count : MOST_ELEMENTS;
    bool is_float = nft_type_is_float(entry->type);
    double sum = 0;
    nft_status status;
    if (is_float)
        status = nft_file_read_f32(from, entry, entry->count - count, count, floats);
    else
        status = nft_file_read_i64(from, entry, 0, count, integers);
    if (status == NFT_ERROR_FORMAT && entry->type == NFT_TYPE_U64)
        return 0; /* a value that is too large */
    if (status)
        abort(); /* its place was checked */
    for (int64_t i = 0; i < count; i++) {
        double value = is_float ? (double)floats[i] : (double)integers[i];
        sum += value - value == 0 ? value : 1; /* neither NaN nor infinite */
    }
    return sum;
}

static void check_names(const nft_file *opened)
{
    for (int64_t i = 0; i < opened->entry_count; i++)
        if (nft_file_find(opened, opened->entries[i].name) != &opened->entries[i])
            abort();
    for (int64_t i = 0; i < opened->scalar_count; i++)
        if (!nft_file_scalar(opened, opened->scalars[i].name))
            abort();
    for (int64_t i = 0; i < opened->left_out_count; i++)
        if (!nft_file_why_left_out(opened, opened->left_out[i].name))
            abort();
}

static double read_all(const nft_file *opened)
{
    double sum = 0;
    for (int64_t i = 0; i < opened->entry_count; i++)
        sum += read_entry(opened, &opened->entries[i]);
    check_names(opened);
    return sum;
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    make_file(&file, "file");
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    nft_file *in_memory = NULL, *in_file = NULL;
    write_file(&file, bytes, size);
    nft_status a = nft_file_open_memory_within(&in_memory, bytes, size, MEMORY_LIMIT);
    nft_status b = nft_file_open_within(&in_file, file.path, MEMORY_LIMIT);
    /* An index of files can only be read from its folder. */
    if ((a && a != NFT_ERROR_FORMAT && a != NFT_ERROR_LIMIT) || (a != b && a != NFT_ERROR_FORMAT))
        abort();
    if (!a && !b) {
        double sum = read_all(in_memory);
        if (read_all(in_file) != sum && sum - sum == 0)
            abort();
    }
    nft_file_free(in_memory);
    nft_file_free(in_file);
    return 0;
}
