/* Any bytes as a safetensors file: every tensor is read, and the whole as a weight set, once in natural order
 * and once in an order given by hand. */
#include "nft/nft.h"

#include <stdlib.h>

static void read_tensors(const uint8_t *bytes, size_t size)
{
    nft_file *file = NULL;
    if (nft_file_open_memory(&file, bytes, size))
        return;
    for (int64_t i = 0; i < nft_file_tensor_count(file); i++) {
        nft_tensor_info info = NFT_TENSOR_INFO_INIT;
        nft_array *array = NULL;
        if (nft_file_tensor(file, i, &info) || nft_file_read(file, info.name, &array))
            abort(); /* the header was checked, so both succeed */
        if (nft_array_count(array) != info.count)
            abort();
        nft_array_free(array);
    }
    nft_file_free(file);
}

static void read_weights(const uint8_t *bytes, size_t size, const nft_load_options *options)
{
    nft_weights *weights = NULL;
    if (nft_weights_load_memory(&weights, bytes, size, options))
        return;
    if (nft_weights_permute_random(weights, 1))
        abort();
    nft_weights_free(weights);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const char *const layers[] = {"1", "0"};
    nft_load_options options = NFT_LOAD_OPTIONS_INIT;
    options.memory_limit = 1 << 24;
    read_tensors(bytes, size);
    read_weights(bytes, size, &options);
    options.layers = layers;
    options.layer_count = 2;
    read_weights(bytes, size, &options);
    return 0;
}
