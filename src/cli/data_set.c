#include "data_set.h"

#include "nft/file.h"
#include "omega.h"
#include "report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE_BYTES (INT64_C(1) << 20)

typedef enum column_kind { COLUMN_WEIGHTS, COLUMN_LABELS, COLUMN_IMAGES, COLUMN_SIZES } column_kind;

/* One tensor of the data set. Row n belongs to network n. */
typedef struct column {
    column_kind kind;
    int64_t tensor; /* of the weights */
    char name[32];
    int64_t row; /* bytes */
    int64_t rank, shape[NFT_ARRAY_MAX_RANK];
    bool integers;
} column;

/* Where the rows come from. */
typedef struct data_set {
    const cli_partial *partial;
    const fitted_images *images;
    column *columns;
    int64_t count;
} data_set;

static column weights_column(const cli_partial *partial, int64_t tensor)
{
    nft_layer layer = {.size = sizeof layer};
    bool bias = tensor % 2 != 0, known = !nft_space_layer(&layer, partial->space, tensor / 2);
    column c = {.kind = COLUMN_WEIGHTS,
                .tensor = tensor,
                .row = partial_tensor_numbers(partial, tensor) * (int64_t)sizeof(float),
                .rank = bias ? 2 : 3,
                .shape = {partial->networks, known ? layer.out : 0, layer.in}};
    snprintf(c.name, sizeof c.name, "%" PRId64 ".%s", tensor / 2, bias ? "bias" : "weight");
    return c;
}

static column labels_column(const data_set *set)
{
    const nft_array *labels = set->images->labels;
    bool integers = nft_array_i64(labels) != NULL;
    column c = {.kind = COLUMN_LABELS,
                .name = "label",
                .rank = nft_array_rank(labels),
                .shape = {set->partial->networks},
                .integers = integers};
    for (int64_t axis = 1; axis < c.rank; axis++)
        c.shape[axis] = nft_array_size(labels, axis);
    c.row = nft_array_count(labels) / nft_array_size(labels, 0) *
            (integers ? (int64_t)sizeof(int64_t) : (int64_t)sizeof(float));
    return c;
}

static column images_column(const data_set *set)
{
    return (column){.kind = COLUMN_IMAGES,
                    .name = "image",
                    .row = sizeof(int64_t),
                    .rank = 1,
                    .shape = {set->partial->networks},
                    .integers = true};
}

/* Height and width of each network's image. */
static column sizes_column(const data_set *set)
{
    return (column){.kind = COLUMN_SIZES,
                    .name = "image_size",
                    .row = 2 * sizeof(int64_t),
                    .rank = 2,
                    .shape = {set->partial->networks, 2},
                    .integers = true};
}

/* Rows first …, into `bytes`. */
static int read_rows(const data_set *set, const column *c, int64_t first, int64_t count, void *bytes)
{
    const fitted_images *images = set->images;
    const char *floats = (const char *)nft_array_f32(images->labels);
    const char *labels = floats ? floats : (const char *)nft_array_i64(images->labels);
    if (c->kind == COLUMN_WEIGHTS)
        return partial_read(set->partial, c->tensor, first, count, bytes);
    for (int64_t n = 0; n < count; n++) {
        int64_t image = images->first + (first + n) / images->views;
        if (c->kind == COLUMN_LABELS)
            memcpy((char *)bytes + n * c->row, labels + image * c->row, (size_t)c->row);
        else if (c->kind == COLUMN_SIZES)
            image_size(images->images, image, (int64_t *)bytes + 2 * n);
        else
            ((int64_t *)bytes)[n] = image;
    }
    return EXIT_SUCCESS;
}

static int write_column(const data_set *set, const column *c, nft_file_writer *writer)
{
    int64_t rows = c->row ? PIECE_BYTES / c->row + 1 : 1, networks = c->row ? c->shape[0] : 0;
    void *bytes = malloc((size_t)(rows * c->row) + 1);
    int failed = bytes ? EXIT_SUCCESS : fail_memory();
    for (int64_t first = 0; first < networks && !failed; first += rows) {
        int64_t now = networks - first < rows ? networks - first : rows;
        failed = read_rows(set, c, first, now, bytes);
        if (!failed && nft_file_writer_append(writer, bytes, now * c->row))
            failed = fail_library();
    }
    free(bytes);
    return failed;
}

static int write_columns(const data_set *set, const char *path)
{
    nft_tensor_info *tensors = calloc((size_t)set->count + 1, sizeof *tensors);
    nft_file_writer *writer = NULL;
    const char *metadata[] = {OMEGA_KEY,   set->images->omega,
                              "nft.space", nft_space_describe(set->partial->space)->json,
                              "nft.image", set->images->size,
                              FIT_KEY,     set->images->settings,
                              NULL,        NULL,
                              NULL,        NULL,
                              NULL};
    const char **next = &metadata[8];
    if (set->images->canonical) {
        *next++ = CANONICAL_KEY;
        *next++ = SIGN_PHASE;
    }
    if (set->images->offset[0]) {
        *next++ = OFFSET_KEY;
        *next++ = set->images->offset;
    }
    int failed = tensors ? EXIT_SUCCESS : fail_memory();
    for (int64_t i = 0; i < set->count && !failed; i++) {
        const column *c = &set->columns[i];
        tensors[i] = (nft_tensor_info){
            .size = sizeof *tensors, .name = c->name, .type = c->integers ? "I64" : "F32", .rank = c->rank};
        memcpy(tensors[i].shape, c->shape, sizeof c->shape);
    }
    if (!failed && nft_file_writer_create(&writer, path, tensors, set->count, metadata))
        failed = fail_library();
    for (int64_t i = 0; i < set->count && !failed; i++)
        failed = write_column(set, &set->columns[i], writer);
    if (failed)
        nft_file_writer_free(writer);
    else if (nft_file_writer_commit(writer))
        failed = fail_library();
    free(tensors);
    return failed;
}

int save_data_set(const char *path, const cli_partial *partial, const fitted_images *images)
{
    int64_t weights = partial_tensor_count(partial);
    data_set set = {.partial = partial, .images = images};
    set.columns = calloc((size_t)weights + 3, sizeof *set.columns);
    if (!set.columns)
        return fail_memory();
    for (int64_t tensor = 0; tensor < weights; tensor++)
        set.columns[set.count++] = weights_column(partial, tensor);
    if (images->labels)
        set.columns[set.count++] = labels_column(&set);
    if (images->numbered)
        set.columns[set.count++] = images_column(&set);
    if (images->images->several_sizes)
        set.columns[set.count++] = sizes_column(&set);
    int failed = write_columns(&set, path);
    free(set.columns);
    return failed;
}
