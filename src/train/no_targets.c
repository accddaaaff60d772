#include "train/no_targets.h"

#include "base/nearest.h"

#include <inttypes.h>

#define MOST_LISTED 12

/* The tensors that may be meant. */
typedef struct candidates {
    const char *names[MOST_LISTED];
    int count;
} candidates;

/* "; it has 'accuracy', 'step'; name one with …; did you mean 'accuracy'?" */
static void advise(nft_text *text, const char *wanted, const candidates *c)
{
    int nearest = nft_nearest(wanted, c->names, c->count);
    for (int i = 0; i < c->count; i++)
        nft_text_append(text, "%s'%s'", i ? ", " : "; it has ", c->names[i]);
    nft_text_append(text, c->count ? "; name one with the recipe's \"label\" or --label"
                                   : "; 'nftool collect --labels' adds labels");
    if (nearest >= 0)
        nft_text_append(text, "; did you mean '%s'?", c->names[nearest]);
}

static nft_status fail_no_targets(const nft_trainer *trainer, int64_t samples, const candidates *c)
{
    const char *label = trainer->recipe.label;
    nft_text advice = {0};
    if (trainer->objective.loss->target == NFT_TARGET_IMAGE)
        return nft_fail(NFT_ERROR_MISMATCH,
                        "it has no tensor 'target' with an image for each of its %" PRId64 " networks",
                        samples);
    advise(&advice, label[0] ? label : "label", c);
    nft_status status = nft_fail(
        NFT_ERROR_MISMATCH, "it has no tensor '%s'%s with a number for each of its %" PRId64 " samples%s",
        label[0] ? label : "label", label[0] ? "" : " (or 'target')", samples,
        advice.failed ? "" : advice.data);
    nft_text_clear(&advice);
    return status;
}

nft_status nft_fail_no_extra(const nft_trainer *trainer, const nft_weights *weights)
{
    candidates c = {{NULL}, 0};
    const char *name;
    for (int64_t i = 0; c.count < MOST_LISTED && (name = nft_weights_extra_name(weights, i)); i++)
        c.names[c.count++] = name;
    return fail_no_targets(trainer, weights->count, &c);
}

nft_status nft_fail_no_entry(const nft_trainer *trainer, const nft_dataset *dataset, const nft_part *part)
{
    candidates c = {{NULL}, 0};
    const char *name;
    for (int64_t i = 0; c.count < MOST_LISTED && (name = nft_dataset_extra_name(dataset, i)); i++)
        if (nft_file_find(part->file, name))
            c.names[c.count++] = name;
    return fail_no_targets(trainer, part->count, &c);
}
