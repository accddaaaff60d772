/* nft bench: how fast a model runs here, as a fraction of the machine's own sgemm. */
#define _GNU_SOURCE /* sched_getaffinity */
#include "commands.h"
#include "progress.h"
#include "report.h"
#include "sgemm.h"
#include "sources.h"
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
#define LEAST_RUNS 4
#define LEAST_SECONDS 2.0
#define SPREAD 0.2f /* standard deviation of the random weights */

typedef struct measurement {
    int64_t batch, runs, flops, parameters; /* flops of one sample */
    int threads;
    int64_t context_bytes, peak_bytes;
    double seconds; /* of the best run */
    double sgemm;   /* GFLOP/s */
} measurement;

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

/* The most memory this process had at a time. getrusage() may still count the program that started it. */
static int64_t peak_bytes(void)
{
    struct rusage usage;
    int64_t kilobytes = 0;
    char line[128];
    FILE *status = fopen("/proc/self/status", "r");
    while (status && !kilobytes && fgets(line, sizeof line, status))
        if (sscanf(line, "VmHWM: %" SCNd64 " kB", &kilobytes) != 1)
            kilobytes = 0;
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

/* N(0, SPREAD) by Box and Muller's transform. */
static void fill_normal(float *values, int64_t count, uint64_t *state)
{
    for (int64_t i = 0; i < count; i++) {
        double radius = sqrt(-2 * log(next_uniform(state)));
        values[i] = SPREAD * (float)(radius * cos(6.283185307179586 * next_uniform(state)));
    }
}

static int make_weights(cli_input *input, const nft_space *space, int64_t channels, uint64_t seed)
{
    if (nft_weights_create(&input->weights, space, input->count, channels))
        return fail_library();
    for (int64_t i = 0; i < 2 * nft_space_layer_count(space); i++) {
        int32_t part = i % 2 ? NFT_WEIGHTS_BIAS : NFT_WEIGHTS_WEIGHT;
        fill_normal(nft_weights_edit(input->weights, i / 2, part),
                    nft_weights_data_count(input->weights, i / 2, part), &seed);
    }
    return EXIT_SUCCESS;
}

static int make_tokens(cli_input *input, int64_t tokens, int64_t channels, uint64_t seed)
{
    int64_t shape[] = {input->count, tokens, channels};
    if (tokens > INT64_MAX / (int64_t)sizeof(float) / channels / input->count)
        return fail("a batch of %" PRId64 " is too large", input->count);
    int64_t count = input->count * tokens * channels;
    float *values = malloc((size_t)count * sizeof *values);
    if (!values)
        return fail_memory();
    fill_normal(values, count, &seed);
    nft_status status = nft_array_create(&input->tokens, NFT_ARRAY_F32, shape, 3, values);
    free(values);
    return status ? fail_library() : EXIT_SUCCESS;
}

static int make_input(cli_input *input, const nft_model *model, int64_t batch, uint64_t seed)
{
    nft_module_info kind = NFT_MODULE_INFO_INIT;
    if (nft_model_input(model, &kind))
        return fail_library();
    input->count = batch;
    if (kind.output == NFT_VALUE_FEATURES)
        return make_weights(input, nft_model_space(model), kind.channels, seed);
    return make_tokens(input, kind.tokens, kind.channels, seed);
}

/* Runs until it has run often and long enough; keeps the best time. The first run warms up. */
static int time_model(measurement *m, nft_context *context, const cli_input *input, const cli_options *given)
{
    nft_status status = NFT_OK;
    cli_progress progress;
    double spent = 0;
    progress_start(&progress, given, "bench", "runs", LEAST_RUNS);
    for (int64_t run = 0; !status && (run <= LEAST_RUNS || spent < LEAST_SECONDS); run++) {
        double started = steady_seconds();
        status = input->weights ? nft_forward(context, input->weights)
                                : nft_forward_tokens(context, input->tokens, 0, input->count);
        double seconds = steady_seconds() - started;
        if (run == 1 || (run > 1 && seconds < m->seconds))
            m->seconds = seconds;
        spent += run ? seconds : 0;
        m->runs = run;
        progress_show(&progress, run < LEAST_RUNS ? run : LEAST_RUNS);
    }
    progress_end(&progress);
    return status ? fail_library() : EXIT_SUCCESS;
}

static int measure(measurement *m, const nft_model *model, const cli_options *given)
{
    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    nft_module_info total = NFT_MODULE_INFO_INIT;
    nft_context *context = NULL;
    cli_input input = {0};
    options.threads = m->threads;
    options.max_batch = m->batch;
    int failed = nft_model_output(model, &total) || nft_context_memory(model, &options, &m->context_bytes)
                     ? fail_library()
                     : EXIT_SUCCESS;
    m->flops = total.flops;
    m->parameters = total.parameter_count;
    if (!failed)
        failed = make_input(&input, model, m->batch, given->seed);
    if (!failed && nft_context_create(&context, model, &options))
        failed = fail_library();
    if (!failed)
        failed = time_model(m, context, &input, given);
    m->peak_bytes = peak_bytes();
    nft_context_free(context);
    free_input(&input);
    return failed;
}

static int report(const cli_options *given, const measurement *m)
{
    double rate = (double)m->batch / m->seconds, gflops = rate * (double)m->flops * 1e-9;
    char text[2][TEXT_CAPACITY];
    if (given->json)
        return print_json(json_pack(
            "{s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:i}", "samples_per_s", json_number(rate), "gflops",
            json_number(gflops), "sgemm_gflops", json_number(m->sgemm), "fraction",
            json_number(gflops / m->sgemm), "peak_bytes", (json_int_t)m->peak_bytes, "context_bytes",
            (json_int_t)m->context_bytes, "batch_size", (json_int_t)m->batch, "threads", m->threads));
    printf("model     %s parameters, %.4g GFLOP a sample\n", text_count(text[0], m->parameters),
           (double)m->flops * 1e-9);
    printf("sgemm     %.1f GFLOP/s: %d³ on %s, best of 5\n", m->sgemm, SGEMM_SIZE,
           text_plural(text[0], m->threads, "thread"));
    printf("speed     %.1f samples/s, %.4f ms a sample: batches of %s, best of %" PRId64 "\n", rate,
           1e3 / rate, text_count(text[0], m->batch), m->runs);
    printf("          %.1f GFLOP/s, %.3f of sgemm\n", gflops, gflops / m->sgemm);
    printf("memory    %s planned for the context, peak of the program %s\n",
           text_bytes(text[0], (double)m->context_bytes), text_bytes(text[1], (double)m->peak_bytes));
    return EXIT_SUCCESS;
}

static int run(const cli_options *given)
{
    measurement m = {.batch = given->batch_size ? given->batch_size : DEFAULT_BATCH,
                     .threads = given->threads ? given->threads : count_cores()};
    nft_model *model = NULL;
    int failed = load_model(&model, given->operands[0], given);
    if (!failed)
        failed = measure_sgemm(&m.sgemm, m.threads, given);
    if (!failed)
        failed = measure(&m, model, given);
    if (!failed)
        failed = report(given, &m);
    nft_model_free(model);
    return failed;
}

const cli_command bench_command = {
    .name = "bench",
    .operands = "MODEL",
    .summary = "measure a model's speed against the machine's matrix product",
    .description =
        "Measures single-precision matrix products of 2048³ on --threads threads, then the model's forward\n"
        "pass on --batch-size networks of random weights, and prints samples a second, GFLOP/s, their\n"
        "fraction of the matrix product's, and the memory.\n\n"
        "MODEL is a model file, or a configuration (.json) that is freshly initialised from --seed.",
    .least_operands = 1,
    .most_operands = 1,
    .run = run,
};
