#include "agreement.h"

#include "nft/train.h"
#include "report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* All but the steps. */
static int add_up(const beginning *own, int64_t *sum)
{
    static const char *const paths[] = {"model", "train", "validation"};
    const int64_t samples[] = {own->train, own->validation};
    json_t *recipe = json_copy(own->recipe);
    nft_model *model = NULL;
    for (int i = 0; i < 3; i++)
        json_object_del(recipe, paths[i]);
    char *text = recipe ? json_dumps(recipe, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    json_decref(recipe);
    if (!text)
        return fail_memory();
    unsigned long crc = crc32_z(crc32_z(0, NULL, 0), (const void *)text, strlen(text));
    free(text);
    crc = crc32_z(crc, (const void *)samples, sizeof samples);
    nft_status status = nft_trainer_snapshot(&model, own->trainer, NFT_SNAPSHOT_LAST);
    for (int64_t i = 0; i < nft_model_describe(model)->tensor_count && !status; i++) {
        nft_tensor_info info = NFT_TENSOR_INFO_INIT;
        status = nft_model_tensor(&info, model, i);
        if (!status)
            crc = crc32_z(crc, (const void *)info.data, (size_t)info.count * sizeof *info.data);
    }
    nft_model_free(model);
    *sum = (int64_t)crc;
    return status ? fail_library() : EXIT_SUCCESS;
}

int begin_alike(const cli_ranks *ranks, const beginning *own, bool *alike)
{
    int64_t least, most, sum = 0;
    *alike = false;
    if (ranks->count == 1)
        return EXIT_SUCCESS;
    if (add_up(own, &sum))
        return EXIT_FAILED;
    *alike = true;
    if (!ranks_agree(ranks, nft_trainer_describe(own->trainer)->steps_done, &least, &most))
        return ranks->rank ? EXIT_FAILED
                           : fail("%s: ranks have done between %" PRId64 " and %" PRId64
                                  " steps: all must see the same checkpoint, in a folder that they share",
                                  own->checkpoint, least, most);
    if (!ranks_agree(ranks, sum, &least, &most))
        return ranks->rank ? EXIT_FAILED
                           : fail("%s: ranks do not train the same: the recipe, the model or the number of "
                                  "samples differ",
                                  own->recipe_path);
    return EXIT_SUCCESS;
}
