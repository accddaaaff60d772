/* Any bytes as a safetensors file: every tensor is read, and the whole as a weight set, once in natural order
 * and once in an order given by hand, as a data set, and with its norms folded. */
#define _GNU_SOURCE
#include "fuzz/bytes_as_file.h"
#include "fuzz/mutate_header.h"

#include "io/fold.h"
#include "nft/file.h"
#include "nft/nft.h"
#include "nft/train.h"

#include <stdbool.h>
#include <string.h>

static bytes_as_file file;

static void read_row(const nft_file *from, const nft_tensor_info *info)
{
    nft_array *row = NULL;
    if (info->rank == 0 || info->shape[0] == 0)
        return;
    if (nft_file_read(&row, from, info->name, info->shape[0] - 1, 1) ||
        nft_array_count(row) != info->count / info->shape[0])
        abort();
    nft_array_free(row);
}

/* Values of U64 may be larger than any I64. */
static bool is_readable(const char *type)
{
    return strcmp(type, "U64");
}

static void read_tensors(const uint8_t *bytes, size_t size)
{
    nft_file *opened = NULL;
    if (nft_file_open(&opened, NULL, NFT_LOAD_BYTES(bytes, size)))
        return;
    nft_file_metadata(opened, "format");
    for (int64_t i = 0; i < nft_file_tensor_count(opened); i++) {
        nft_tensor_info info = NFT_TENSOR_INFO_INIT;
        nft_array *array = NULL;
        if (nft_file_tensor(&info, opened, i))
            abort();
        nft_status status = nft_file_read(&array, opened, info.name, 0, NFT_ALL);
        if (status && (status != NFT_ERROR_FORMAT || is_readable(info.type)))
            abort(); /* the header was checked */
        if (status)
            continue;
        if (nft_array_count(array) != info.count)
            abort();
        nft_array_free(array);
        read_row(opened, &info);
    }
    nft_file_free(opened);
}

/* Layers that norms were folded into can be read. */
static void read_folded(const uint8_t *bytes, size_t size)
{
    nft_file *opened = NULL;
    nft_text note = {0};
    if (nft_file_open(&opened, NULL, NFT_LOAD_BYTES(bytes, size)))
        return;
    nft_space *folded = NULL;
    const nft_load_options options = NFT_LOAD_OPTIONS_INIT;
    nft_status status = nft_fold_norms(&folded, &note, opened, &options, 1e-5);
    for (int64_t i = 0; i < nft_file_tensor_count(opened) && !status; i++) {
        nft_tensor_info info = NFT_TENSOR_INFO_INIT;
        nft_array *array = NULL;
        if (nft_file_tensor(&info, opened, i) ||
            (is_readable(info.type) && nft_file_read(&array, opened, info.name, 0, NFT_ALL)))
            abort();
        nft_array_free(array);
    }
    nft_text_clear(&note);
    nft_file_free(opened);
}

static void read_weights(const uint8_t *bytes, size_t size, const nft_load_options *options)
{
    nft_weights *weights = NULL;
    nft_load_options in_memory = *options;
    in_memory.bytes = bytes;
    in_memory.byte_count = size;
    if (nft_weights_load(&weights, NULL, &in_memory))
        return;
    nft_status status = nft_weights_permute_random(weights, 1, 0);
    if (status && status != NFT_ERROR_MISMATCH) /* of tensors that may belong to the networks */
        abort();
    nft_weights_free(weights);
}

/* The last sample, then the first; channels are 1 unless they are features. */
static void read_dataset(const nft_load_options *options)
{
    nft_dataset *dataset = NULL;
    nft_weights *weights = NULL;
    if (nft_dataset_open(&dataset, file.path, options))
        return;
    int64_t count = nft_dataset_describe(dataset)->count;
    if (nft_dataset_describe(dataset)->space && count > 0) {
        const int64_t indices[] = {count - 1, 0};
        if (nft_weights_create(&weights, nft_dataset_describe(dataset)->space, 2, 1, NULL))
            abort();
        nft_status status = nft_dataset_read(weights, dataset, indices, 2);
        if (status && status != NFT_ERROR_MISMATCH)
            abort();
        nft_weights_free(weights);
    }
    nft_dataset_free(dataset);
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
    const char *const layers[] = {"1", "0"};
    nft_load_options options = NFT_LOAD_OPTIONS_INIT;
    options.memory_limit = 1 << 24;
    read_tensors(bytes, size);
    read_folded(bytes, size);
    read_weights(bytes, size, &options);
    write_file(&file, bytes, size);
    read_dataset(&options);
    options.layers = layers;
    options.layer_count = 2;
    read_weights(bytes, size, &options);
    return 0;
}
