/* The look at every number of a set before it is used, and which of its samples are left out. */
#include "io/targets.h"
#include "train/trainer.h"

#include <inttypes.h>

/* Leaves one sample out that the set had so far; `next` samples before it are used. */
static nft_status leave_out(nft_set *set, int64_t next)
{
    if (set->chosen)
        return NFT_OK;
    set->chosen = nft_allocate_array((size_t)set->total, sizeof *set->chosen);
    if (!set->chosen)
        return nft_fail_memory("the numbers of a set", nft_size_multiply(set->total, sizeof *set->chosen));
    for (int64_t i = 0; i < next; i++)
        set->chosen[i] = i;
    return NFT_OK;
}

/* How many samples of a set are left out, and why. */
typedef struct left_out {
    int64_t ignored, not_finite;
} left_out;

static nft_status fail_sample(const nft_dataset *dataset, int64_t number, nft_status status)
{
    return nft_fail_in(nft_dataset_fail_sample(dataset, number, status), "%s", dataset->path);
}

/* Selects the used samples among those read, first …. They move to the front, and `*count` becomes their
 * number. `*used` samples are before them. */
static nft_status select_samples(const nft_trainer *trainer, nft_set *set, nft_sample *samples,
                                 int64_t *count, int64_t *used, left_out *out)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < *count; i++) {
        bool ignored = nft_objective_classes(&trainer->objective) && samples[i].label == NFT_CLASS_IGNORED;
        nft_status status = ignored ? NFT_OK : nft_samples_check(&trainer->objective, &samples[i], 1);
        bool bad = status == NFT_ERROR_NOT_FINITE && trainer->recipe.skip;
        if (status && !bad)
            return set->dataset ? fail_sample(set->dataset, samples[i].number, status) : status;
        out->ignored += ignored;
        out->not_finite += bad;
        if ((ignored || bad) && (status = leave_out(set, *used)))
            return status;
        if (ignored || bad)
            continue;
        if (set->chosen)
            set->chosen[*used] = samples[i].number;
        samples[kept++] = samples[i];
        ++*used;
    }
    *count = kept;
    return NFT_OK;
}

static nft_status finish_selection(nft_set *set, int64_t used, const left_out *out, const char *what)
{
    set->count = used;
    if (!used)
        return nft_fail(NFT_ERROR_MISMATCH,
                        "none of its %" PRId64 " samples can be used: %" PRId64 " are not finite, %" PRId64
                        " have the ignored class -100",
                        set->total, out->not_finite, out->ignored);
    if (set->chosen)
        nft_log(NFT_LOG_WARNING,
                "%s set: %" PRId64 " of %" PRId64 " samples are left out: %" PRId64
                " are not finite, %" PRId64 " have the ignored class -100",
                what, set->total - used, set->total, out->not_finite, out->ignored);
    return NFT_OK;
}

nft_status nft_set_look_through(nft_trainer *trainer, nft_set *set, const char *what)
{
    nft_sample samples[NFT_PIECE_SAMPLES];
    const int64_t size_of_images[] = {set->height, set->width};
    nft_status status = NFT_OK;
    int64_t used = 0;
    left_out out = {0};
    set->total = set->count;
    set->fingerprint = (nft_fingerprint){.targets = nft_hash_bytes(size_of_images, sizeof size_of_images, 0)};
    for (int64_t first = 0; first < set->total && !status; first += NFT_PIECE_SAMPLES) {
        int64_t left = set->total - first, count = left < NFT_PIECE_SAMPLES ? left : NFT_PIECE_SAMPLES;
        int64_t *chosen = set->chosen;
        set->chosen = NULL; /* all are read */
        status =
            nft_set_fetch_unchecked(&trainer->objective, set, NULL, first, count, &trainer->pieces, samples);
        set->chosen = chosen;
        if (!status)
            status = select_samples(trainer, set, samples, &count, &used, &out);
        if (!status)
            nft_samples_hash(&trainer->objective, samples, count, &set->fingerprint);
    }
    return status || !set->total ? status : finish_selection(set, used, &out, what);
}
