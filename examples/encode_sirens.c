/* encode_sirens CONFIG WEIGHTS OUT [SEED]: makes an encoder from a JSON configuration and writes its `output`
 * for each network, (N, tokens, channels), with the labels of the networks. A model made from a configuration
 * is untrained: its output is a random, yet permutation-invariant, description of a network. */
#define _POSIX_C_SOURCE 200809L
#include <nft/file.h>
#include <nft/nft.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* All of a file, NULL if it cannot be read; errno then says why. */
static char *read_file(const char *path, size_t *length)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    long size = fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
    char *bytes = size >= 0 ? malloc((size_t)size + 1) : NULL;
    rewind(file);
    if (bytes && fread(bytes, 1, (size_t)size, file) != (size_t)size) {
        free(bytes);
        bytes = NULL;
    }
    fclose(file);
    *length = bytes ? (size_t)size : 0;
    return bytes;
}

static nft_status save(const char *path, const nft_array *output, const nft_array *label)
{
    const char *const names[] = {"output", "label"};
    const nft_array *const arrays[] = {output, label};
    return nft_array_save(path, names, arrays, label ? 2 : 1, NULL);
}

int main(int argc, char **argv)
{
    if (argc != 4 && argc != 5) {
        fprintf(stderr, "usage: %s CONFIG WEIGHTS OUT [SEED]\n", argv[0]);
        return 2;
    }
    size_t length = 0;
    char *config = read_file(argv[1], &length);
    if (!config) {
        perror(argv[1]);
        return 1;
    }
    nft_model *model = NULL;
    nft_weights *networks = NULL;
    nft_context *context = NULL;
    const nft_array *output = NULL;
    uint64_t seed = argc == 5 ? strtoull(argv[4], NULL, 10) : 0;

    int failed = nft_model_create(&model, config, length, seed, NULL) ||
                 nft_weights_load(&networks, argv[2], NULL) || nft_context_create(&context, model, NULL);
    double start = seconds();
    failed = failed || nft_forward(context, NFT_VIEW_WEIGHTS(networks));
    double elapsed = seconds() - start;
    if (!failed && !(output = nft_context_output(context, NFT_OUTPUT)->array)) {
        fprintf(stderr, "%s: the model gives features, expected tokens or a vector\n", argv[1]);
        failed = 1;
    } else if (failed || save(argv[3], output, nft_weights_extra(networks, "label"))) {
        fprintf(stderr, "%s\n", nft_error_message());
        failed = 1;
    } else {
        printf("%s: output %d", argv[3], (int)nft_array_size(output, 0));
        for (int64_t axis = 1; axis < nft_array_rank(output); axis++)
            printf(" x %d", (int)nft_array_size(output, axis));
        printf(", %.2f s, %.1f ms a network\n", elapsed, 1e3 * elapsed / (double)nft_weights_count(networks));
    }
    nft_context_free(context);
    nft_weights_free(networks);
    nft_model_free(model);
    free(config);
    return failed;
}
