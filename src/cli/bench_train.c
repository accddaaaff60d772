/* nftool bench --train: steps of a trainer whose batches a callback fills. */
#include "bench.h"
#include "report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One batch, given at every step. */
typedef struct source {
    cli_input input;
    int64_t outputs; /* numbers of a sample's output */
    float *targets;
} source;

static int fill_batch(nft_batch *batch, void *user)
{
    const source *s = user;
    if (batch->tokens)
        memcpy(batch->tokens, nft_array_f32(s->input.tokens),
               (size_t)nft_array_count(s->input.tokens) * sizeof *batch->tokens);
    const nft_space *space = nft_weights_space(batch->weights);
    for (int64_t t = 0; t < nft_space_tensor_count(space); t++)
        memcpy(nft_weights_edit(batch->weights, t), nft_weights_data(s->input.weights, t),
               (size_t)nft_weights_data_count(s->input.weights, t) * sizeof(float));
    memcpy(batch->targets, s->targets, (size_t)(batch->count * s->outputs) * sizeof *batch->targets);
    return 0;
}

static int make_source(source *s, const nft_model *model, const bench *b, const cli_options *given)
{
    uint64_t seed = given->seed;
    nft_module_info output = NFT_MODULE_INFO_INIT;
    if (nft_model_output(&output, model))
        return fail_library();
    if (output.output == NFT_VALUE_FEATURES)
        return fail(
            "%s: the model gives features; bench --train measures with loss mse, for a vector or tokens",
            given->operands[0]);
    s->outputs = output.output == NFT_VALUE_TOKENS ? output.tokens * output.channels : output.channels;
    if (s->outputs > INT64_MAX / (int64_t)sizeof(float) / b->batch)
        return fail("a batch of %" PRId64 " is too large", b->batch);
    s->targets = malloc((size_t)(b->batch * s->outputs) * sizeof *s->targets);
    if (!s->targets)
        return fail_memory();
    bench_fill(s->targets, b->batch * s->outputs, &seed);
    return bench_input(&s->input, model, b, seed);
}

static int make_trainer(nft_trainer **trainer, const nft_model *model, bench *b, source *s,
                        const cli_options *given)
{
    nft_trainer_options options = NFT_TRAINER_OPTIONS_INIT;
    char recipe[256];
    options.threads = b->threads;
    options.precision = given_precision(given);
    options.recompute = b->recompute;
    options.rank = b->ranks.rank;
    options.ranks = b->ranks.count;
    options.reduce = ranks_reduce;
    options.reduce_user = &b->ranks;
    int length = snprintf(recipe, sizeof recipe,
                          "{\"loss\": \"mse\", \"optimizer\": {\"type\": \"adamw\", \"lr\": 1e-5}, "
                          "\"batch_size\": %" PRId64 ", \"steps\": 1, \"seed\": %" PRIu64 "}",
                          b->batch, given->seed & INT32_MAX);
    if (nft_trainer_memory(&b->planned_bytes, model, NULL, recipe, (size_t)length, &options) ||
        nft_trainer_create(trainer, model, recipe, (size_t)length, &options) ||
        nft_trainer_set_source(*trainer, fill_batch, s))
        return fail_library();
    return EXIT_SUCCESS;
}

static nft_status run_step(void *argument)
{
    return nft_trainer_step(NULL, argument);
}

typedef struct training {
    bench *b;
    const cli_options *given;
    source source;
    nft_trainer *trainer;
} training;

/* The model is let go of, so that only the trainer's own is in memory. */
static int prepare(void *argument)
{
    training *t = argument;
    nft_model *model = NULL;
    int failed = bench_model(&model, t->b, t->given);
    if (!failed)
        failed = make_source(&t->source, model, t->b, t->given);
    if (!failed)
        failed = make_trainer(&t->trainer, model, t->b, &t->source, t->given);
    nft_model_free(model);
    return failed;
}

/* Other models would be added up. All ranks fail alike. */
static int check_alike(const bench *b, const char *path)
{
    const int64_t own[] = {b->parameters, b->flops, b->batch};
    int64_t least, most;
    bool alike = true;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        alike = ranks_agree(&b->ranks, own[i], &least, &most) && alike;
    if (alike)
        return EXIT_SUCCESS;
    return b->ranks.rank ? EXIT_FAILED
                         : fail("%s: ranks do not measure the same: the model or --batch-size differs", path);
}

int bench_training(bench *b, const cli_options *given)
{
    cli_options own = *given;
    training t = {.b = b, .given = &own};
    bool together = true;
    int failed = ranks_open(&b->ranks);
    own.quiet = own.quiet || b->ranks.rank; /* rank 0 alone says how far they are */
    if (!failed)
        failed = ranks_in_turn(&b->ranks, prepare, &t, &together);
    if (!failed) {
        failed = check_alike(b, given->operands[0]);
        together = failed != EXIT_SUCCESS;
    }
    if (!failed) {
        failed = bench_time(b, run_step, t.trainer, &own);
        together = !failed;
    }
    nft_trainer_free(t.trainer);
    free_input(&t.source.input);
    free(t.source.targets);
    ranks_close(&b->ranks, together);
    return failed;
}
