#include "rewrite.h"

#include "names.h"
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

/* Where the tensors of the layers stand in the file: -1 for a bias that is not there. */
static int64_t *find_layers(const nft_file *file, const nft_weights *weights, const cli_names *layers)
{
    int64_t parts = 2 * nft_space_layer_count(nft_weights_space(weights));
    int64_t *places = malloc(((size_t)parts + 1) * sizeof *places);
    for (int64_t i = 0; places && i < parts; i++)
        places[i] = -1;
    for (int64_t i = 0; places && i < nft_file_tensor_count(file); i++) {
        nft_tensor_info info = NFT_TENSOR_INFO_INIT;
        int64_t part = nft_file_tensor(&info, file, i) ? -1 : names_find(layers, info.name);
        if (part >= 0)
            places[part] = i;
    }
    return places;
}

static int add_layers(table *all, const nft_file *file, const nft_weights *weights, const cli_names *layers)
{
    int64_t *places = find_layers(file, weights, layers);
    int failed = places ? EXIT_SUCCESS : fail_memory();
    for (int64_t i = 0; i < 2 * nft_space_layer_count(nft_weights_space(weights)) && !failed; i++) {
        nft_tensor_info info = NFT_TENSOR_INFO_INIT;
        if (places[i] < 0)
            continue;
        if (nft_file_tensor(&info, file, places[i]))
            failed = fail_library();
        else if (info.count != nft_weights_data_count(weights, i / 2, (int32_t)(i % 2)))
            failed = fail("tensor '%s' changed while its file was read; run this again", info.name);
        else
            failed = add_tensor(all, file, &info, nft_weights_data(weights, i / 2, (int32_t)(i % 2)));
    }
    free(places);
    return failed;
}

/* Of the tensors that belong to no layer those of `extras`, or all if that is NULL. */
static int add_others(table *all, const nft_file *file, const cli_names *layers, const cli_names *extras)
{
    int failed = EXIT_SUCCESS;
    for (int64_t i = 0; i < nft_file_tensor_count(file) && !failed; i++) {
        nft_tensor_info info = NFT_TENSOR_INFO_INIT;
        if (nft_file_tensor(&info, file, i))
            return fail_library();
        if (extras ? names_find(extras, info.name) >= 0 : names_find(layers, info.name) < 0)
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
    cli_names layers = {0}, extras = {0};
    int failed = all.names && all.arrays ? names_of_layers(&layers, weights) : fail_memory();
    if (!failed && extras_alone)
        failed = names_of_extras(&extras, weights);
    if (!failed)
        failed = add_layers(&all, file, weights, &layers);
    if (!failed)
        failed = add_others(&all, file, &layers, extras_alone ? &extras : NULL);
    if (!failed)
        failed = save_table(&all, file, path, omega);
    for (size_t i = 0; i < all.count; i++)
        nft_array_free(all.arrays[i]);
    free(all.names);
    free(all.arrays);
    names_free(&layers);
    names_free(&extras);
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
