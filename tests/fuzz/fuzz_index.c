/* Any bytes as the index of a data set. Its parts may be two files, named 200 and 201. An index that is
 * accepted numbers the samples of its parts one after the other, and they can be read. */
#define _GNU_SOURCE
#include "fuzz/bytes_as_file.h"

#include "nft/nft.h"
#include "nft/train.h"

#include <string.h>

#define FIRST_PART 200

static bytes_as_file file;

/* A chain of one layer (2 networks), and a tensor on two axes with its space (3 networks). */
static const char *const headers[] = {
    "{\"0.weight\":{\"dtype\":\"F32\",\"shape\":[2,1,1],\"data_offsets\":[0,8]}}",
    "{\"__metadata__\":{\"nft.space\":\"{\\\"axes\\\":[{\\\"name\\\":\\\"a\\\",\\\"size\\\":2},"
    "{\\\"name\\\":\\\"b\\\",\\\"size\\\":1}],\\\"tensors\\\":[{\\\"name\\\":\\\"w\\\",\\\"shape\\\":"
    "[\\\"a\\\",\\\"b\\\"]}]}\"},\"w\":{\"dtype\":\"F32\",\"shape\":[3,2,1],\"data_offsets\":[0,24]}}"};
static const size_t data_bytes[] = {8, 24};

static void make_part(int index)
{
    uint8_t bytes[1024] = {0};
    size_t length = strlen(headers[index]);
    int descriptor = memfd_create("part", 0);
    bytes[0] = (uint8_t)length;
    bytes[1] = (uint8_t)(length >> 8);
    memcpy(bytes + 8, headers[index], length);
    size_t size = 8 + length + data_bytes[index];
    if (descriptor < 0 || write(descriptor, bytes, size) != (ssize_t)size ||
        dup2(descriptor, FIRST_PART + index) < 0)
        abort();
    close(descriptor);
}

static void read_part(const nft_dataset *dataset, const nft_dataset_part *part)
{
    nft_weights *weights = NULL;
    const int64_t indices[] = {part->first + part->count - 1, part->first};
    if (nft_weights_create(&weights, part->space, 2, 1, NULL) ||
        nft_dataset_read(weights, dataset, indices, 2))
        abort();
    nft_weights_free(weights);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    make_file(&file, "index");
    for (int i = 0; i < 2; i++)
        make_part(i);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    nft_dataset *dataset = NULL;
    int64_t samples = 0;
    write_file(&file, bytes, size);
    if (nft_dataset_open(&dataset, file.path, NULL))
        return 0;
    for (int64_t i = 0; i < nft_dataset_describe(dataset)->part_count; i++) {
        nft_dataset_part part = NFT_DATASET_PART_INIT;
        if (nft_dataset_get_part(&part, dataset, i) || part.first != samples)
            abort();
        samples += part.count;
        if (part.space && part.count > 0 && i < 100)
            read_part(dataset, &part);
    }
    if (samples != nft_dataset_describe(dataset)->count)
        abort();
    nft_dataset_free(dataset);
    return 0;
}
