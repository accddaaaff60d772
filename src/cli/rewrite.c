#include "rewrite.h"

#include "omega.h"
#include "report.h"
#include "sources.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct table {
    const char **names; /* borrowed from the file */
    nft_array **arrays;
    size_t count;
} table;

/* Whether a tensor is LAYER.weight, or LAYER.bias. */
static bool is_part(const char *name, const char *layer, int32_t part)
{
    size_t length = strlen(layer);
    return !strncmp(name, layer, length) &&
           !strcmp(name + length, part == NFT_WEIGHTS_BIAS ? ".bias" : ".weight");
}

static bool is_of_a_layer(const nft_weights *weights, const char *name)
{
    for (int64_t i = 0; i < nft_space_layer_count(nft_weights_space(weights)); i++)
        if (is_part(name, nft_weights_layer_name(weights, i), NFT_WEIGHTS_WEIGHT) ||
            is_part(name, nft_weights_layer_name(weights, i), NFT_WEIGHTS_BIAS))
            return true;
    return false;
}

/* With these values, or its own if they are NULL. */
static int add_tensor(table *all, const nft_file *file, const nft_tensor_info *info, const float *values)
{
    nft_array **array = &all->arrays[all->count];
    nft_status status = values ? nft_array_borrow(array, NFT_ARRAY_F32, info->shape, info->rank, values)
                               : nft_file_read(array, file, info->name);
    all->names[all->count++] = info->name;
    if (status)
        return fail("%s (--layers leaves all other tensors out)", library_message());
    return EXIT_SUCCESS;
}

static int add_layer_part(table *all, const nft_file *file, const nft_weights *weights, int64_t layer,
                          int32_t part)
{
    const char *name = nft_weights_layer_name(weights, layer);
    for (int64_t i = 0; i < nft_file_tensor_count(file); i++) {
        nft_tensor_info info = NFT_TENSOR_INFO_INIT;
        if (nft_file_tensor(&info, file, i))
            return fail_library();
        if (!is_part(info.name, name, part))
            continue;
        if (info.count != nft_weights_data_count(weights, layer, part))
            return fail("tensor '%s' changed while its file was read; run this again", info.name);
        return add_tensor(all, file, &info, nft_weights_data(weights, layer, part));
    }
    return EXIT_SUCCESS; /* a layer may have no bias */
}

static int add_layers(table *all, const nft_file *file, const nft_weights *weights)
{
    int failed = EXIT_SUCCESS;
    for (int64_t i = 0; i < nft_space_layer_count(nft_weights_space(weights)) && !failed; i++) {
        failed = add_layer_part(all, file, weights, i, NFT_WEIGHTS_WEIGHT);
        if (!failed)
            failed = add_layer_part(all, file, weights, i, NFT_WEIGHTS_BIAS);
    }
    return failed;
}

/* Of the tensors that belong to no layer those that travel with the networks, labels for example, or all. */
static int add_others(table *all, const nft_file *file, const nft_weights *weights, bool extras_alone)
{
    int failed = EXIT_SUCCESS;
    for (int64_t i = 0; i < nft_file_tensor_count(file) && !failed; i++) {
        nft_tensor_info info = NFT_TENSOR_INFO_INIT;
        if (nft_file_tensor(&info, file, i))
            return fail_library();
        if (extras_alone ? nft_weights_extra(weights, info.name) != NULL : !is_of_a_layer(weights, info.name))
            failed = add_tensor(all, file, &info, NULL);
    }
    return failed;
}

static int save_table(const table *all, const nft_file *file, const char *path, double omega)
{
    char text[OMEGA_CAPACITY];
    const char **metadata = list_metadata(file, OMEGA_KEY, omega > 0 ? write_omega(text, omega) : NULL);
    if (!metadata)
        return fail_memory();
    nft_status status =
        nft_array_save(path, all->names, (const nft_array *const *)all->arrays, all->count, metadata);
    free(metadata);
    return status ? fail_library() : EXIT_SUCCESS;
}

static int rewrite(const nft_file *file, const nft_weights *weights, const char *path, bool extras_alone,
                   double omega)
{
    int64_t count = nft_file_tensor_count(file);
    table all = {calloc((size_t)count + 1, sizeof *all.names), calloc((size_t)count + 1, sizeof(nft_array *)),
                 0};
    int failed = all.names && all.arrays ? EXIT_SUCCESS : fail_memory();
    if (!failed)
        failed = add_layers(&all, file, weights);
    if (!failed)
        failed = add_others(&all, file, weights, extras_alone);
    if (!failed)
        failed = save_table(&all, file, path, omega);
    for (size_t i = 0; i < all.count; i++)
        nft_array_free(all.arrays[i]);
    free(all.names);
    free(all.arrays);
    return failed;
}

/* What --layers leaves out, a norm for example, may belong to neurons that were changed: it is not carried
 * on. */
int rewrite_weights(const nft_weights *weights, const char *source, const char *path,
                    const cli_options *given, double omega)
{
    nft_file *file = NULL;
    if (nft_file_open(&file, source))
        return fail_library();
    int failed = rewrite(file, weights, path, option_text(given, "layers") != NULL, omega);
    nft_file_free(file);
    return failed;
}
