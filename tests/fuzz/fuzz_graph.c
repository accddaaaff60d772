/* Any bytes as a model in ONNX: its space, if it has one, names tensors with their sizes, and the weights of
 * a file that holds them can be permuted by it. */
#define _GNU_SOURCE
#include "fuzz/bytes_as_file.h"

#include "nft/file.h"
#include "nft/nft.h"
#include "nft/permute.h"

#include <string.h>

#define MOST_NUMBERS (INT64_C(1) << 20)

static bytes_as_file file;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    make_file(&file, "graph");
    return 0;
}

/* The JSON text of a space is read as the same space. */
static void read_again(const nft_space *space)
{
    nft_space *again = NULL;
    const char *json = nft_space_describe(space)->json;
    if (nft_space_parse(&again, json, strlen(json)) || !nft_space_equal(space, again))
        abort();
    nft_space_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    nft_space *space = NULL;
    nft_weights *weights = NULL;
    write_file(&file, bytes, size);
    if (!nft_space_from_onnx(&space, file.path, NULL)) {
        read_again(space);
        if (nft_space_describe(space)->parameter_count < MOST_NUMBERS &&
            !nft_weights_load(&weights, file.path, NULL) && nft_weights_permute_random(weights, 1, 0))
            abort();
        nft_weights_free(weights);
        nft_space_free(space);
    }
    return 0;
}
