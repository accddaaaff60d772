/* Samples as they are: checked before any time is spent on them, and run. */
#include "io/targets.h"
#include "train/objective.h"

#include <inttypes.h>
#include <math.h>

#define SKIP_ADVICE "; the recipe's \"skip\" leaves such samples out"

/* Index of the first number that is infinite or NaN, -1 if there is none. */
static int64_t first_not_finite(int64_t count, const float *values)
{
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return i;
    return -1;
}

static nft_status check_network(const nft_sample *sample)
{
    const nft_weights *weights = sample->input.weights;
    for (int64_t t = 0; t < weights->space->tensor_count; t++) {
        const nft_tensor *tensor = &weights->space->tensors[t];
        int64_t numbers = weights->channels * tensor->tokens * tensor->own_positions;
        if (first_not_finite(numbers, weights->data[t] + sample->input.index * numbers) >= 0)
            return nft_fail(NFT_ERROR_NOT_FINITE,
                            "network %" PRId64 ": '%s' has a number that is not finite" SKIP_ADVICE,
                            sample->number, weights->names[t]);
    }
    return NFT_OK;
}

static nft_status check_tokens(const nft_sample *sample)
{
    const nft_array *tokens = sample->input.tokens;
    int64_t numbers = tokens->shape[1] * tokens->shape[2];
    const float *values = nft_array_f32(tokens);
    if (first_not_finite(numbers, values + sample->input.index * numbers) < 0)
        return NFT_OK;
    return nft_fail(NFT_ERROR_NOT_FINITE, "sample %" PRId64 " has a number that is not finite",
                    sample->number);
}

static nft_status check_class(const nft_sample *sample, int64_t classes)
{
    if (sample->label >= 0 && sample->label < classes)
        return NFT_OK;
    if (sample->label == NFT_CLASS_NOT_FINITE)
        return nft_fail(NFT_ERROR_NOT_FINITE, "label %" PRId64 " is not finite" SKIP_ADVICE, sample->number);
    return nft_fail(NFT_ERROR_MISMATCH,
                    "label %" PRId64 " is %" PRId64 ", expected 0 … %" PRId64 ": the model has %" PRId64
                    " outputs",
                    sample->number, sample->label, classes - 1, classes);
}

static nft_status check_target(const nft_sample *sample, int64_t numbers, const nft_loss *loss)
{
    for (int64_t i = 0; i < numbers; i++) {
        float target = sample->target[i];
        if (!isfinite(target))
            return nft_fail(NFT_ERROR_NOT_FINITE, "target %" PRId64 " is not finite" SKIP_ADVICE,
                            sample->number);
        if (target < loss->least || target > loss->most)
            return nft_fail(NFT_ERROR_MISMATCH, "target %" PRId64 " is %g, loss %s takes %g … %g",
                            sample->number, (double)target, loss->name, (double)loss->least,
                            (double)loss->most);
    }
    return NFT_OK;
}

nft_status nft_samples_check(const nft_objective *objective, const nft_sample *samples, int64_t count)
{
    int64_t numbers = nft_objective_target_numbers(objective);
    bool classes = objective->loss->target == NFT_TARGET_CLASS;
    nft_status status = NFT_OK;
    for (int64_t i = 0; i < count && !status; i++) {
        status = samples[i].input.weights ? check_network(&samples[i]) : check_tokens(&samples[i]);
        if (!status)
            status = classes ? check_class(&samples[i], objective->outputs)
                             : check_target(&samples[i], numbers, objective->loss);
    }
    return status;
}

nft_status nft_samples_run(nft_context *context, const nft_sample *samples, int64_t count, int64_t steps)
{
    nft_forward_sample inputs[NFT_PIECE_SAMPLES];
    for (int64_t i = 0; i < count; i++)
        inputs[i] = samples[i].input;
    return nft_context_run(context, inputs, count, steps);
}
