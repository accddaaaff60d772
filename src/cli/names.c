#include "names.h"

#include "nft/file.h"
#include "nft/train.h"
#include "report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
    return strcmp(((const cli_name *)a)->text, ((const cli_name *)b)->text);
}

static char *join(const char *begin, const char *end)
{
    size_t size = strlen(begin) + strlen(end) + 1;
    char *text = malloc(size);
    if (text)
        snprintf(text, size, "%s%s", begin, end);
    return text;
}

static int fail_names(cli_names *names)
{
    names_free(names);
    return fail_memory();
}

int names_of_tensors(cli_names *names, const nft_weights *weights)
{
    const nft_space *space = nft_weights_space(weights);
    int64_t count = nft_space_describe(space)->tensor_count;
    *names = (cli_names){.items = calloc((size_t)count + 1, sizeof *names->items)};
    if (!names->items)
        return fail_memory();
    for (int64_t t = 0; t < count; t++) {
        nft_space_tensor tensor = {.size = sizeof tensor};
        if (nft_space_get_tensor(&tensor, space, t))
            return fail_names(names);
        char *text = join(tensor.from ? tensor.from : nft_weights_tensor_name(weights, t), "");
        if (!text)
            return fail_names(names);
        names->items[names->count++] = (cli_name){text, t};
    }
    qsort(names->items, (size_t)count, sizeof *names->items, compare);
    return EXIT_SUCCESS;
}

int names_of_extras(cli_names *names, const nft_dataset *dataset)
{
    int64_t count = 0;
    while (nft_dataset_extra_name(dataset, count))
        count++;
    *names = (cli_names){.items = calloc((size_t)count + 1, sizeof *names->items)};
    if (!names->items)
        return fail_memory();
    for (int64_t i = 0; i < count; i++) {
        char *text = join(nft_dataset_extra_name(dataset, i), "");
        if (!text)
            return fail_names(names);
        names->items[names->count++] = (cli_name){text, i};
    }
    qsort(names->items, (size_t)count, sizeof *names->items, compare);
    return EXIT_SUCCESS;
}

int names_of_file(cli_names *names, const nft_file *file)
{
    int64_t count = nft_file_tensor_count(file);
    *names = (cli_names){.items = calloc((size_t)count + 1, sizeof *names->items)};
    if (!names->items)
        return fail_memory();
    for (int64_t i = 0; i < count; i++) {
        nft_tensor_info info = NFT_TENSOR_INFO_INIT;
        char *text = nft_file_tensor(&info, file, i) ? NULL : join(info.name, "");
        if (!text)
            return fail_names(names);
        names->items[names->count++] = (cli_name){text, i};
    }
    qsort(names->items, (size_t)count, sizeof *names->items, compare);
    return EXIT_SUCCESS;
}

int64_t names_find(const cli_names *names, const char *text)
{
    cli_name wanted = {.text = (char *)text};
    const cli_name *found =
        names->count ? bsearch(&wanted, names->items, (size_t)names->count, sizeof wanted, compare) : NULL;
    return found ? found->value : -1;
}

void names_free(cli_names *names)
{
    for (int64_t i = 0; i < names->count; i++)
        free(names->items[i].text);
    free(names->items);
    *names = (cli_names){0};
}
