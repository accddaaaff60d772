/* Several processes that train together: their shares of the samples, and the facts on which all agree. */
#include "train/trainer.h"

#include <inttypes.h>
#include <string.h>

void nft_trainer_part(const nft_trainer *trainer, int64_t samples, int64_t *first, int64_t *count)
{
    int64_t ranks = trainer->options.ranks > 1 ? trainer->options.ranks : 1, rank = trainer->options.rank;
    int64_t equal = samples / ranks, rest = samples % ranks; /* which the first ranks have one more for */
    *first = rank * equal + (rank < rest ? rank : rest);
    *count = equal + (rank < rest);
}

nft_status nft_trainer_reduce(nft_trainer *trainer, nft_status status, double *sums, int64_t sum_count,
                              float *values, int64_t value_count)
{
    const nft_trainer_options *options = &trainer->options;
    if (options->ranks <= 1)
        return status;
    sums[sum_count - 1] = status != NFT_OK;
    trainer->waits = true;
    int failed = options->reduce(sums, sum_count, values, value_count, options->reduce_user);
    trainer->waits = false;
    if (status)
        return status;
    if (failed)
        return nft_fail(NFT_ERROR_CANCELLED, "step %" PRId64 ": the reduce callback failed",
                        trainer->state.step);
    if (sums[sum_count - 1] > 0)
        return nft_fail(NFT_ERROR_CANCELLED,
                        "step %" PRId64 ": another rank failed or was stopped, and says why",
                        trainer->state.step);
    return NFT_OK;
}

nft_status nft_trainer_reduce_gradients(nft_trainer *trainer, nft_status status, double *sums,
                                        int64_t sum_count)
{
    float *own = trainer->loop.gradients->values, *head = nft_auxiliary_gradients(&trainer->auxiliary),
          *joint = trainer->auxiliary.joint;
    int64_t count = trainer->model->parameters.total;
    if (!joint)
        return nft_trainer_reduce(trainer, status, sums, sum_count, own, count);
    int64_t more = trainer->auxiliary.model->parameters.total;
    memcpy(joint, own, (size_t)count * sizeof *own);
    memcpy(joint + count, head, (size_t)more * sizeof *head);
    status = nft_trainer_reduce(trainer, status, sums, sum_count, joint, count + more);
    memcpy(own, joint, (size_t)count * sizeof *own);
    memcpy(head, joint + count, (size_t)more * sizeof *head);
    return status;
}

void nft_trainer_leave(nft_trainer *trainer)
{
    double sums[2] = {0};
    nft_gradients_clear(trainer->loop.gradients);
    nft_auxiliary_begin(&trainer->auxiliary);
    (void)nft_trainer_reduce_gradients(trainer, NFT_ERROR_CANCELLED, sums, 2);
}
