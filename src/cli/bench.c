/* nftool bench: how fast a model runs or trains here, as a fraction of the machine's own sgemm. */
#define _GNU_SOURCE /* sched_getaffinity */
#include "bench.h"
#include "commands.h"
#include "input.h"
#include "nft/train.h"
#include "outputs.h"
#include "progress.h"
#include "report.h"
#include "sgemm.h"
#include "text.h"

#include <inttypes.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define DEFAULT_BATCH 8
#define LEAST_RUNS 5 /* as many as of sgemm */
#define LEAST_SECONDS 2.0
#define LEAST_SCALING_RUNS 1 /* of each size */
#define LEAST_SCALING_SECONDS 0.5
#define SPREAD 0.2f /* standard deviation of the random weights */

static int count_cores(void)
{
#ifdef __linux__
    cpu_set_t set;
    if (!sched_getaffinity(0, sizeof set, &set) && CPU_COUNT(&set) > 0)
        return CPU_COUNT(&set);
#endif
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores > 0 ? (int)cores : 1;
}

/* getrusage() may still count the program that started this one. */
int64_t bench_peak_bytes(void)
{
    struct rusage usage;
    int64_t kilobytes = 0;
    char line[128];
    FILE *status = fopen("/proc/self/status", "r");
    while (status && !kilobytes && fgets(line, sizeof line, status))
        if (!strncmp(line, "VmHWM:", 6))
            kilobytes = strtoll(line + 6, NULL, 10);
    if (status)
        fclose(status);
    if (!kilobytes && !getrusage(RUSAGE_SELF, &usage))
        kilobytes = usage.ru_maxrss;
    return kilobytes * 1024;
}

/* Sebastiano Vigna's splitmix64, https://prng.di.unimi.it/splitmix64.c, as a number in (0, 1]. */
static double next_uniform(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    z ^= z >> 31;
    return ((double)(z >> 11) + 1) * 0x1p-53;
}

/* Box and Muller's transform. */
void bench_fill(float *values, int64_t count, uint64_t *state)
{
    for (int64_t i = 0; i < count; i++) {
        double radius = sqrt(-2 * log(next_uniform(state)));
        values[i] = SPREAD * (float)(radius * cos(6.283185307179586 * next_uniform(state)));
    }
}

static int make_weights(bench_batch *input, const nft_space *space, int64_t channels, uint64_t seed)
{
    if (nft_weights_create(&input->weights, space, input->count, channels, NULL))
        return fail_library();
    for (int64_t t = 0; t < nft_space_describe(space)->tensor_count; t++)
        bench_fill(nft_weights_edit(input->weights, t), nft_weights_data_count(input->weights, t), &seed);
    return EXIT_SUCCESS;
}

static int make_tokens(bench_batch *input, int64_t tokens, int64_t channels, uint64_t seed)
{
    int64_t shape[] = {input->count, tokens, channels};
    if (tokens > INT64_MAX / (int64_t)sizeof(float) / channels / input->count)
        return fail("a batch of %" PRId64 " is too large", input->count);
    int64_t count = input->count * tokens * channels;
    float *values = malloc((size_t)count * sizeof *values);
    if (!values)
        return fail_memory();
    bench_fill(values, count, &seed);
    nft_status status = nft_array_create(&input->tokens, NFT_ARRAY_F32, shape, 3, values);
    free(values);
    return status ? fail_library() : EXIT_SUCCESS;
}

int bench_make_batch(bench_batch *batch, const nft_model *model, const nft_space *space, const bench *b,
                     uint64_t seed)
{
    const nft_module_info *kind = nft_model_describe(model)->input;
    *batch = (bench_batch){.count = b->batch};
    if (kind->output == NFT_VALUE_FEATURES)
        return make_weights(batch, space ? space : nft_model_describe(model)->space, kind->channels, seed);
    return make_tokens(batch, kind->tokens, kind->channels, seed);
}

void bench_free_batch(bench_batch *batch)
{
    nft_weights_free(batch->weights);
    nft_array_free(batch->tokens);
}

/* Of the first networks of a data set. */
static int space_of_data(nft_space **space, const char *path, const cli_options *given)
{
    cli_input input;
    nft_dataset_part part = NFT_DATASET_PART_INIT;
    cli_options plain = *given;
    plain.value_count = 0; /* --space says where the data are */
    int failed = open_networks(&input, path, &plain);
    if (!failed && (nft_dataset_get_part(&part, input.dataset, 0) ||
                    nft_space_parse(space, nft_space_describe(part.space)->json,
                                    strlen(nft_space_describe(part.space)->json))))
        failed = fail_library();
    close_input(&input);
    return failed;
}

static int find_space(nft_space **space, const nft_model *model, const cli_options *given)
{
    const nft_module_info *kind = nft_model_describe(model)->input;
    const char *path = option_text(given, "space");
    *space = NULL;
    bool any = kind->output == NFT_VALUE_FEATURES && !nft_model_describe(model)->space;
    if (!any)
        return path ? fail("%s: the model says the space itself; --space is for a model of any space",
                           given->operands[0])
                    : EXIT_SUCCESS;
    if (!path)
        return fail(
            "%s: is a model of any space: --space says that of the networks to measure with (JSON, or a "
            "data set)",
            given->operands[0]);
    return is_configuration(path) && !is_index(path) ? read_space(space, path)
                                                     : space_of_data(space, path, given);
}

int bench_sgemm(bench *b, const cli_options *given)
{
    ranks_meet(&b->ranks);
    int failed = measure_sgemm(&b->sgemm, &b->sgemm_runs, b->threads, given);
    if (!failed && b->ranks.count > 1 && ranks_reduce(&b->sgemm, 1, NULL, 0, &b->ranks))
        return fail("the ranks cannot add up their sgemm");
    return failed;
}

int bench_time(bench *b, bench_run *run, void *argument, const cli_options *given)
{
    nft_status status = NFT_OK;
    cli_progress progress;
    double spent = 0;
    int64_t least, wanted = 1;
    progress_start(&progress, given, "bench", "runs", b->least_runs);
    for (int64_t i = 0; !status && wanted; i++) {
        double started = steady_seconds();
        status = run(argument);
        double seconds = steady_seconds() - started;
        if (i == 1 || (i > 1 && seconds < b->seconds))
            b->seconds = seconds;
        spent += i ? seconds : 0;
        b->runs = i;
        progress_show(&progress, i < b->least_runs ? i : b->least_runs);
        if (!status)
            ranks_agree(&b->ranks, i < b->least_runs || spent < b->least_seconds, &least, &wanted);
    }
    progress_end(&progress);
    if (status)
        ranks_wait_to_fail(&b->ranks, status != NFT_ERROR_CANCELLED);
    return status ? fail_library() : EXIT_SUCCESS;
}

int bench_model(nft_model **model, nft_space **space, bench *b, const cli_options *given)
{
    int64_t flops = 0;
    *space = NULL;
    int failed = load_model(model, given->operands[0], given);
    if (!failed)
        failed = find_space(space, *model, given);
    if (!failed && b->wanted_weights > 0)
        failed = bench_widen(model, space, b, given);
    if (!failed && nft_context_cost(NULL, &flops, *model, *space, NULL))
        failed = fail_library();
    if (failed)
        return failed;
    b->parameters = nft_model_describe(*model)->output->parameter_count;
    b->flops = b->training ? 3 * flops : flops;
    return EXIT_SUCCESS;
}

typedef struct forward_run {
    nft_context *context;
    const bench_batch *input;
} forward_run;

static nft_status run_forward(void *argument)
{
    forward_run *f = argument;
    return f->input->weights
               ? nft_forward(f->context, NFT_VIEW_WEIGHTS(f->input->weights))
               : nft_forward(f->context, NFT_VIEW_ARRAY_RANGE(f->input->tokens, 0, f->input->count));
}

int bench_forward(bench *b, const cli_options *given)
{
    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    nft_model *model = NULL;
    nft_context *context = NULL;
    nft_space *space = NULL;
    bench_batch batch = {0};
    options.threads = b->threads;
    options.precision = given_precision(given);
    options.max_batch = b->batch;
    int failed = bench_model(&model, &space, b, given);
    if (!failed)
        failed = bench_make_batch(&batch, model, space, b, given->seed);
    if (!failed)
        failed = bench_sgemm(b, given);
    if (!failed && (nft_context_cost(&b->planned_bytes, NULL, model, space, &options) ||
                    nft_context_create(&context, model, &options)))
        failed = fail_library();
    nft_space_free(space);
    nft_model_free(model);
    if (!failed)
        failed = bench_time(b, run_forward, &(forward_run){context, &batch}, given);
    nft_context_free(context);
    bench_free_batch(&batch);
    return failed;
}

void bench_warn_sgemm(const cli_options *given)
{
    note(
        given,
        "sgemm is slower than libnft here: other work on the machine may have slowed it, or this BLAS "
        "(nftool --version) may not know the processor; an OpenBLAS takes the kernels that OPENBLAS_CORETYPE "
        "names, SkylakeX or Haswell for example");
}

static int report(const cli_options *given, const bench *b)
{
    double rate = (double)b->batch / b->seconds, gflops = rate * (double)b->flops * 1e-9;
    char text[2][TEXT_CAPACITY];
    bool several = b->ranks.count > 1;
    if (given->json)
        return print_json(
            json_pack("{s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:i, s:i}", "samples_per_s", json_number(rate),
                      "gflops", json_number(gflops), "sgemm_gflops", json_number(b->sgemm), "fraction",
                      json_number(gflops / b->sgemm), "peak_bytes", (json_int_t)b->peak_bytes,
                      b->training ? "trainer_bytes" : "context_bytes", (json_int_t)b->planned_bytes,
                      "batch_size", (json_int_t)b->batch, "threads", b->threads, "ranks", b->ranks.count));
    printf("model     %s parameters, %.4g GFLOP a sample%s\n", text_count(text[0], b->parameters),
           (double)b->flops * 1e-9, b->training ? " and step, three times the forward's" : "");
    if (several)
        printf("ranks     %d share each batch\n", b->ranks.count);
    printf("sgemm     %.1f GFLOP/s: %d³ on %s%s, best of %d\n", b->sgemm, SGEMM_SIZE,
           text_plural(text[0], b->threads, "thread"), several ? " of each rank" : "", b->sgemm_runs);
    printf("speed     %.1f samples/s, %.4f ms a sample: batches of %s, best of %" PRId64 "\n", rate,
           1e3 / rate, text_count(text[0], b->batch), b->runs);
    printf("          %.1f GFLOP/s, %.3f of sgemm\n", gflops, gflops / b->sgemm);
    printf("memory    %s planned for the %s, peak of the program %s%s\n",
           text_bytes(text[0], (double)b->planned_bytes), b->training ? "trainer" : "context",
           text_bytes(text[1], (double)b->peak_bytes), several ? ", of rank 0" : "");
    if (gflops > b->sgemm)
        bench_warn_sgemm(given);
    return EXIT_SUCCESS;
}

static int measure_one(bench *b, const cli_options *given)
{
    int failed = b->training ? bench_steps(b, given) : bench_forward(b, given);
    b->peak_bytes = bench_peak_bytes();
    return failed || b->ranks.rank ? failed : report(given, b);
}

static int measure_sizes(bench *b, const cli_options *given)
{
    return bench_scaling(b, b->training ? bench_steps : bench_forward, given);
}

static int run(const cli_options *given)
{
    bool grows = option_text(given, "scaling") != NULL;
    bench b = {.batch = given->batch_size ? given->batch_size
                        : grows           ? 1
                                          : DEFAULT_BATCH,
               .least_runs = grows ? LEAST_SCALING_RUNS : LEAST_RUNS,
               .least_seconds =
                   environment_seconds("NFTOOL_BENCH_SECONDS", grows ? LEAST_SCALING_SECONDS : LEAST_SECONDS),
               .threads = given->threads ? given->threads : count_cores(),
               .training = option_text(given, "train") != NULL,
               .recompute = option_text(given, "recompute") != NULL};
    b.ranks.count = 1;
    if (b.recompute && !b.training) {
        usage_error("bench", "--recompute is about training; add --train");
        return EXIT_USAGE;
    }
    if (option_text(given, "plot") && !grows) {
        usage_error("bench", "--plot is about sizes; add --scaling");
        return EXIT_USAGE;
    }
    bench_measure *measure = grows ? measure_sizes : measure_one;
    if (check_outputs(given))
        return EXIT_FAILED;
    return b.training ? bench_with_ranks(&b, measure, given) : measure(&b, given);
}

static const cli_option options[] = {
    {"train", 0, OPTION_FLAG, NULL, "measure training steps: forward, backward, AdamW", 0, 0, NULL},
    {"recompute", 0, OPTION_FLAG, NULL, "train in less memory, computing the inside of modules twice", 0, 0,
     NULL},
    PRECISION_OPTION,
    {"scaling", 0, OPTION_INTEGER, "N", "measure networks of 1000 to N weights: hidden layers grow", 1000,
     1000000000, NULL},
    {"plot", 0, OPTION_OUTPUT, "FILE", "with --scaling: draw time and memory to an SVG or PNG file", 0, 0,
     NULL},
    {"space", 0, OPTION_INPUT, "FILE", "for a model of any space: the networks', JSON or a data set", 0, 0,
     NULL},
    {0},
};

const cli_command bench_command = {
    .name = "bench",
    .operands = "MODEL",
    .summary = "measure a model's speed against the machine's matrix product",
    .description =
        "Measures single-precision matrix products of 2048³ on --threads threads, then the model's forward\n"
        "pass on --batch-size networks of random weights, and prints samples a second, GFLOP/s, their\n"
        "fraction of the matrix product's, and the memory.\n\n"
        "With --train it measures steps of a trainer, on random networks and targets with loss mse: "
        "forward,\n"
        "backward and the update by AdamW. They count as three times the forward's arithmetic, also where\n"
        "--recompute makes it more. Under mpirun, in a program built with NFT_MPI, the ranks share each\n"
        "batch.\n\n"
        "With --scaling it measures networks of 1000 weights, then √10 times as many, up to N, on one "
        "thread\n"
        "and on --threads. They are chains as the model's, with wider hidden layers, and the model is "
        "fresh.\n"
        "A table has time, memory and the fraction of the matrix product's speed. Where time grows faster\n"
        "than the formula's arithmetic, the fraction falls. --batch-size is 1 by default.\n\n"
        "MODEL is a model file, or a configuration or recipe (.json), freshly initialised from --seed.",
    .least_operands = 1,
    .most_operands = 1,
    .options = options,
    .idle = "force",
    .run = run,
};
