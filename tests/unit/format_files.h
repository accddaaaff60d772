/* Files as other libraries write them (tests/data/formats), and checks of their content. */
#ifndef NFT_TEST_FORMAT_FILES_H
#define NFT_TEST_FORMAT_FILES_H

#include "io/file.h"
#include "io/formats/format.h"
#include "space/array.h"

#include "unit/temporary.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "nft/file.h"
#include "unit/checks.h"

#define DATA NFT_TEST_DATA "/formats/"

static unsigned char contents[1 << 16];

static inline size_t load(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, DATA "%s", name);
    FILE *stream = fopen(path, "rb");
    assert_non_null(stream);
    size_t size = fread(contents, 1, sizeof contents, stream);
    fclose(stream);
    assert_in_range(size, 1, sizeof contents - 1);
    return size;
}

static inline nft_file *open_path(const char *name)
{
    char path[512];
    nft_file *file;
    snprintf(path, sizeof path, DATA "%s", name);
    assert_ok(nft_file_open(&file, path, NULL));
    return file;
}

/* The bytes stay valid until the next load. */
static inline nft_file *open_memory(const char *name)
{
    nft_file *file;
    size_t size = load(name);
    assert_ok(nft_file_open(&file, NULL, NFT_LOAD_BYTES(contents, size)));
    return file;
}

static inline nft_file *open_either(const char *name, int in_memory)
{
    return in_memory ? open_memory(name) : open_path(name);
}

static inline double number_at(const nft_array *array, int64_t index)
{
    const float *floats = nft_array_f32(array);
    return floats ? (double)floats[index] : (double)nft_array_i64(array)[index];
}

/* The shape as text, and every number, at once and in pieces of one. */
static inline void check_tensor(const nft_file *file, const char *name, const char *shape,
                                const double *numbers, int64_t count)
{
    nft_array *array;
    char found[64];
    const nft_entry *entry = nft_file_find(file, name);
    if (!entry)
        fail_msg("%s: there is no tensor '%s'", file->path, name);
    nft_shape_describe(entry->shape, entry->rank, found, sizeof found);
    assert_string_equal(found, shape);
    assert_ok(nft_file_read(&array, file, name, 0, NFT_ALL));
    assert_int_equal(nft_array_count(array), count);
    for (int64_t i = 0; i < count; i++) {
        float value = 0;
        int64_t integer = 0;
        if (number_at(array, i) != numbers[i])
            fail_msg("%s: tensor '%s': number %d is %g, expected %g", file->path, name, (int)i,
                     number_at(array, i), numbers[i]);
        if (nft_type_is_float(entry->type))
            assert_ok(nft_file_read_f32(file, entry, i, 1, &value));
        else
            assert_ok(nft_file_read_i64(file, entry, i, 1, &integer));
        assert_true((double)value + (double)integer == numbers[i]);
    }
    nft_array_free(array);
}

/* 0, 1, 2, … */
static inline void check_counting(const nft_file *file, const char *name, const char *shape, int64_t count)
{
    double numbers[512];
    for (int i = 0; i < 512; i++)
        numbers[i] = i;
    assert_in_range(count, 0, 512);
    check_tensor(file, name, shape, numbers, count);
}

static inline void check_left_out(const nft_file *file, const char *name, const char *reason)
{
    const char *found = nft_file_why_left_out(file, name);
    assert_null(nft_file_find(file, name));
    assert_string_equal(found ? found : "", reason);
}

#endif
