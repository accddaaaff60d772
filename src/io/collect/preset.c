#include "io/collect/preset.h"

#include "base/memory.h"
#include "base/nearest.h"
#include "base/status.h"

#include <string.h>

#define COUNT ((int)(sizeof presets / sizeof *presets))

static const nft_preset presets[] = {
    {.name = "small-cnn-zoo",
     .files = "weights.npy",
     .labels = "rows",
     .label = "test_accuracy",
     .flat = NFT_FLAT_LAYOUT,
     .row_key = "step",
     .row_value = "86"},
    {.name = "dws-mnist",
     .files = "checkpoints/*.pth",
     .labels = "path:*_{label}_*/checkpoints/*.pth",
     .omega = "30",
     .offset = "0.5"},
    {.name = "dws-fmnist", .files = "*.pth", .labels = "key:label", .omega = "30", .offset = "0.5"},
    {.name = "dws-ssl",
     .files = "model_*.pth",
     .labels = "key:coef",
     .prefix = "seq.",
     .omega = "30",
     .offset = "0.5"},
    {.name = "nfn-sirens", .files = "*s/net*.pth", .labels = "path:*_{label}s/net*.pth", .omega = "30"},
    {.name = "cnn-wild-park",
     .files = "checkpoint.pt",
     .labels = "key:last_result",
     .label = "test/acc",
     .prefix = "model.",
     .skips = "config.residual"},
    {.name = "cnn-zoos",
     .files = "checkpoint_*/checkpoints|NN_tune_trainable_*/checkpoint_*",
     .labels = "results",
     .label = "test_acc"},
    {.name = "fit-a-nef", .files = "*.hdf5", .labels = "key:labels", .flat = NFT_FLAT_PARAMS},
    {.name = "small-transformer-zoo", .files = "*.pt", .key = "ckpt_file", .label = "test_top1_accuracy"},
    {.name = "dng-vit",
     .files = "model_*_*.pth",
     .key = "model_id",
     .key_in_path = "model_{label}_*.pth",
     .label = "test_accuracy"},
    {.name = "implicit-zoo", .files = "*.ckpt", .labels = "folder", .prefix = "params."},
};

/* Collections that exist, but not their loaders. */
static const char *const unknown[] = {"dws-cifar", "nf2vec"};

static bool is_unknown(const char *name)
{
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        if (!strcmp(unknown[i], name))
            return true;
    return false;
}

nft_status nft_preset_find(const nft_preset **preset, const char *name)
{
    const char *names[COUNT];
    nft_text list = {0};
    if (is_unknown(name))
        return nft_fail(NFT_ERROR_ARGUMENT,
                        "the layout of '%s' is not known; collect its files without a preset: "
                        "nft_collect_options.labels says where labels are, nft_collect_options.space the "
                        "network if the names do not",
                        name);
    for (int i = 0; i < COUNT; i++) {
        names[i] = presets[i].name;
        nft_text_append(&list, "%s%s", i ? ", " : "", presets[i].name);
        if (!strcmp(presets[i].name, name)) {
            *preset = &presets[i];
            nft_text_clear(&list);
            return NFT_OK;
        }
    }
    int nearest = nft_nearest(name, names, COUNT);
    nft_status status = nft_fail(NFT_ERROR_ARGUMENT, "there is no preset '%s'%s%s%s; there are %s", name,
                                 nearest < 0 ? "" : "; did you mean '", nearest < 0 ? "" : names[nearest],
                                 nearest < 0 ? "" : "'?", list.failed ? "others" : list.data);
    nft_text_clear(&list);
    return status;
}

void nft_preset_fill(nft_collect_options *options, const nft_preset *preset)
{
    if (!options->labels) {
        options->labels = preset->labels;
        options->label = options->label ? options->label : preset->label;
    }
    if (preset->key && options->labels) { /* the columns of a table that is given */
        options->key = options->key ? options->key : preset->key;
        options->label = options->label ? options->label : preset->label;
    }
    options->prefix = options->prefix ? options->prefix : preset->prefix;
}
