#include "io/targets.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

bool nft_labels_convert(bool floats, int64_t width, int64_t classes)
{
    return classes ? floats || width > 1 : !floats;
}

static double value_of(const nft_label_rows *rows, int64_t index)
{
    return rows->floats ? (double)rows->floats[index] : (double)rows->integers[index];
}

/* The place of the 1 in a row of zeros; -1 if it is no such row. */
static int64_t place_of_one(const nft_label_rows *rows, int64_t row)
{
    int64_t place = -1;
    for (int64_t i = 0; i < rows->width; i++) {
        double value = value_of(rows, row * rows->width + i);
        if (value != 0 && (value != 1 || place >= 0))
            return -1;
        if (value == 1)
            place = i;
    }
    return place;
}

static nft_status read_one_hot(int64_t *class, const nft_label_rows *rows, int64_t row)
{
    for (int64_t i = 0; i < rows->width; i++)
        if (!isfinite(value_of(rows, row * rows->width + i))) {
            *class = NFT_CLASS_NOT_FINITE;
            return NFT_OK;
        }
    *class = place_of_one(rows, row);
    if (*class >= 0)
        return NFT_OK;
    return nft_fail(NFT_ERROR_MISMATCH,
                    "label %" PRId64 " is no class: expected a 1 and else zeros in a row of %" PRId64,
                    rows->first + row, rows->width);
}

static nft_status read_whole(int64_t *class, const nft_label_rows *rows, int64_t row)
{
    float value = rows->floats ? rows->floats[row] : 0;
    *class = rows->floats ? NFT_CLASS_NOT_FINITE : rows->integers[row];
    if (!rows->floats || !isfinite(value))
        return NFT_OK;
    if (floorf(value) != value || fabsf(value) > 0x1p24f)
        return nft_fail(NFT_ERROR_MISMATCH, "label %" PRId64 " is %g, expected a whole number, a class",
                        rows->first + row, (double)value);
    *class = (int64_t)value;
    return NFT_OK;
}

nft_status nft_labels_to_classes(int64_t *classes, const nft_label_rows *rows)
{
    nft_status status = NFT_OK;
    for (int64_t row = 0; row < rows->count && !status; row++)
        status =
            rows->width > 1 ? read_one_hot(&classes[row], rows, row) : read_whole(&classes[row], rows, row);
    return status;
}

nft_status nft_labels_to_numbers(float *numbers, const nft_label_rows *rows)
{
    for (int64_t i = 0; i < rows->count * rows->width; i++) {
        int64_t integer = rows->integers[i];
        numbers[i] = (float)integer;
        if (fabsf(numbers[i]) >= 0x1p63f || (int64_t)numbers[i] != integer)
            return nft_fail(NFT_ERROR_MISMATCH,
                            "label %" PRId64 " is %" PRId64 ", which no 32-bit float is exactly",
                            rows->first + i / rows->width, integer);
    }
    return NFT_OK;
}

nft_status nft_part_read_targets(const nft_dataset *dataset, int64_t part, const nft_entry *entry,
                                 int64_t classes, int64_t first, int64_t count, void *scratch, float *numbers,
                                 int64_t *labels)
{
    bool floats = nft_type_is_float(entry->type);
    int64_t samples = dataset->parts[part].count, width = samples ? entry->count / samples : 0;
    if (!nft_labels_convert(floats, width, classes))
        return nft_part_read_rows(dataset, part, entry, first, count, numbers, labels);
    nft_label_rows rows = {.first = dataset->parts[part].first + first,
                           .count = count,
                           .width = width,
                           .classes = classes,
                           .floats = floats ? scratch : NULL,
                           .integers = floats ? NULL : scratch};
    nft_status status = nft_part_read_rows(dataset, part, entry, first, count, floats ? scratch : NULL,
                                           floats ? NULL : scratch);
    if (status)
        return status;
    status = classes ? nft_labels_to_classes(labels, &rows) : nft_labels_to_numbers(numbers, &rows);
    return status ? nft_fail_in(status, "%s", dataset->parts[part].file->path) : NFT_OK;
}

/* The labels of a part: the tensor has a row for each of its samples, or is one number for one. */
static nft_status find_targets(const nft_entry **entry, const nft_part *part, const char *name, int64_t width)
{
    *entry = nft_file_find(part->file, name);
    bool single = *entry && (*entry)->rank == 0 && part->count == 1;
    if (!*entry || (!single && ((*entry)->rank < 1 || (*entry)->shape[0] != part->count)))
        return nft_fail(NFT_ERROR_ARGUMENT,
                        "%s: has no tensor '%s' with a row for each of its %" PRId64 " samples",
                        part->file->path, name, part->count);
    if (!nft_type_is_float((*entry)->type) && !nft_type_is_integer((*entry)->type))
        return nft_fail(NFT_ERROR_MISMATCH, "%s: '%s' is %s, which is not read", part->file->path, name,
                        nft_type_name((*entry)->type));
    if (part->count && width >= 0 && (*entry)->count / part->count != width)
        return nft_fail(NFT_ERROR_MISMATCH,
                        "%s: '%s' has %" PRId64 " numbers for each sample, the first part has %" PRId64,
                        part->file->path, name, (*entry)->count / part->count, width);
    return NFT_OK;
}

static nft_status read_whole_part(nft_array *targets, const nft_dataset *dataset, int64_t index,
                                  const char *name, int64_t width, int64_t classes)
{
    const nft_part *part = &dataset->parts[index];
    const nft_entry *entry = NULL;
    void *scratch = NULL;
    nft_status status = find_targets(&entry, part, name, width);
    if (status || !part->count)
        return status;
    int64_t bytes = nft_size_multiply(entry->count, sizeof(int64_t));
    if (!(scratch = nft_allocate((size_t)bytes + 1)))
        return nft_fail_memory("labels", bytes);
    status = nft_part_read_targets(dataset, index, entry, classes, 0, part->count, scratch,
                                   classes ? NULL : (float *)targets->storage + part->first * width,
                                   classes ? (int64_t *)targets->storage + part->first : NULL);
    nft_release(scratch);
    return status;
}

static nft_status read_targets(nft_array **targets, const nft_dataset *dataset, const char *name,
                               int64_t classes)
{
    const nft_entry *entry = NULL;
    nft_status status = find_targets(&entry, &dataset->parts[0], name, -1);
    if (status)
        return status;
    int64_t width = dataset->parts[0].count ? entry->count / dataset->parts[0].count : 1;
    if (classes && width > 1 && width != classes)
        return nft_fail(NFT_ERROR_MISMATCH,
                        "%s: '%s' has %" PRId64
                        " numbers for each sample, expected a class, or one of %" PRId64 " numbers that is 1",
                        dataset->path, name, width, classes);
    status = nft_array_create(targets, classes ? NFT_ARRAY_I64 : NFT_ARRAY_F32,
                              (int64_t[]){dataset->count, width}, classes ? 1 : 2, NULL);
    for (int64_t i = 0; i < dataset->part_count && !status; i++)
        status = read_whole_part(*targets, dataset, i, name, width, classes);
    return status;
}

nft_status nft_dataset_read_targets(nft_array **targets, const nft_dataset *dataset, const char *name,
                                    int64_t classes)
{
    static const char function[] = "nft_dataset_read_targets";
    if (!targets)
        return nft_fail_null(function, "targets");
    *targets = NULL;
    if (!dataset)
        return nft_fail_null(function, "dataset");
    if (classes < 0)
        return nft_fail(NFT_ERROR_ARGUMENT, "%s: classes is %" PRId64 ", expected 0 or more", function,
                        classes);
    if (!name)
        name = nft_file_find(dataset->parts[0].file, "label") ? "label" : "target";
    nft_status status = read_targets(targets, dataset, name, classes);
    if (!status)
        return NFT_OK;
    nft_array_free(*targets);
    *targets = NULL;
    return nft_fail_in(status, "%s", function);
}
