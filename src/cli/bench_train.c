/* nftool bench --train: steps of a trainer whose batches a callback fills. */
#include "bench.h"
#include "nft/train.h"
#include "report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One batch, given at every step. */
typedef struct source {
    bench_batch input;
    nft_space *space; /* of a model of any space */
    int64_t outputs;  /* numbers of a sample's output */
    float *targets;
} source;

static int fill_batch(nft_batch *batch, void *user)
{
    const source *s = user;
    if (batch->tokens)
        memcpy(batch->tokens, nft_array_f32(s->input.tokens),
               (size_t)nft_array_count(s->input.tokens) * sizeof *batch->tokens);
    const nft_space *space = nft_weights_space(batch->weights);
    for (int64_t t = 0; t < nft_space_describe(space)->tensor_count; t++)
        memcpy(nft_weights_edit(batch->weights, t), nft_weights_data(s->input.weights, t),
               (size_t)nft_weights_data_count(s->input.weights, t) * sizeof(float));
    memcpy(batch->targets, s->targets, (size_t)(batch->count * s->outputs) * sizeof *batch->targets);
    return 0;
}

/* How many numbers a sample's output has, which may depend on the space: as many as come out. */
static int count_outputs(int64_t *outputs, const nft_model *model, const bench_batch *batch,
                         const cli_options *given)
{
    const nft_module_info *output = nft_model_describe(model)->output;
    if (output->output == NFT_VALUE_FEATURES)
        return fail(
            "%s: the model gives features; bench --train measures with loss mse, for a vector or tokens",
            given->operands[0]);
    *outputs = output->output == NFT_VALUE_TOKENS ? output->tokens * output->channels : output->channels;
    if (!*outputs)
        return fail("%s: how many numbers the model gives depends on the space; bench --train needs a fixed "
                    "number",
                    given->operands[0]);
    return *outputs > INT64_MAX / (int64_t)sizeof(float) / batch->count
               ? fail("a batch of %" PRId64 " is too large", batch->count)
               : EXIT_SUCCESS;
}

static int make_source(source *s, const nft_model *model, const bench *b, const cli_options *given)
{
    uint64_t seed = given->seed;
    s->input.count = b->batch;
    int failed = count_outputs(&s->outputs, model, &s->input, given);
    if (failed)
        return failed;
    s->targets = malloc((size_t)(b->batch * s->outputs) * sizeof *s->targets);
    if (!s->targets)
        return fail_memory();
    bench_fill(s->targets, b->batch * s->outputs, &seed);
    return bench_make_batch(&s->input, model, s->space, b, seed);
}

/* The targets as the networks' label: of one number for each it is (N). */
static int set_data(nft_trainer *trainer, source *s)
{
    const int64_t shape[] = {s->input.count, s->outputs};
    nft_array *label = NULL;
    nft_status status = nft_array_borrow(&label, NFT_ARRAY_F32, shape, s->outputs == 1 ? 1 : 2, s->targets);
    if (!status)
        status = nft_weights_set_extra(s->input.weights, "label", label);
    if (!status)
        status = nft_trainer_set_data(
            trainer, NFT_DATA_WEIGHTS((const nft_weights *const[]){s->input.weights}, 1), NULL);
    nft_array_free(label);
    return status ? fail_library() : EXIT_SUCCESS;
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
    if (nft_trainer_memory(&b->planned_bytes, model, s->space, recipe, (size_t)length, &options) ||
        nft_trainer_create(trainer, model, recipe, (size_t)length, &options))
        return fail_library();
    if (s->space) /* a callback fills batches of one model's space */
        return set_data(*trainer, s);
    return nft_trainer_set_data(*trainer, NFT_DATA_CALLBACK(fill_batch, s), NULL) ? fail_library()
                                                                                  : EXIT_SUCCESS;
}

static nft_status run_step(void *argument)
{
    return nft_trainer_step(NULL, argument);
}

typedef struct training {
    bench *b;
    const cli_options *given;
    source source;
    nft_model *model;
    nft_trainer *trainer;
} training;

static int prepare(void *argument)
{
    training *t = argument;
    int failed = bench_model(&t->model, &t->source.space, t->b, t->given);
    return failed ? failed : make_source(&t->source, t->model, t->b, t->given);
}

/* The model is freed, so that only the trainer's own is in memory. */
static int start_trainer(void *argument)
{
    training *t = argument;
    int failed = make_trainer(&t->trainer, t->model, t->b, &t->source, t->given);
    nft_model_free(t->model);
    t->model = NULL;
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

int bench_steps(bench *b, const cli_options *given)
{
    cli_options own = *given;
    training t = {.b = b, .given = &own};
    bool together = true;
    own.quiet = own.quiet || b->ranks.rank; /* only rank 0 prints progress */
    int failed = ranks_in_turn(&b->ranks, prepare, &t, &together);
    if (!failed) {
        failed = check_alike(b, given->operands[0]);
        together = failed != EXIT_SUCCESS;
    }
    if (!failed) {
        failed = bench_sgemm(b, &own);
        together = !failed;
    }
    if (!failed)
        failed = ranks_in_turn(&b->ranks, start_trainer, &t, &together);
    if (!failed) {
        failed = bench_time(b, run_step, t.trainer, &own);
        together = !failed;
    }
    b->together = together;
    nft_trainer_free(t.trainer);
    nft_model_free(t.model);
    bench_free_batch(&t.source.input);
    nft_space_free(t.source.space);
    free(t.source.targets);
    return failed;
}

int bench_with_ranks(bench *b, bench_measure *measure, const cli_options *given)
{
    b->together = true;
    int failed = ranks_open(&b->ranks);
    if (!failed)
        failed = measure(b, given);
    ranks_close(&b->ranks, b->together);
    return failed;
}
