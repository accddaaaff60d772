/* nftool bench --scaling: time and memory against the size of the networks. They are the model's own chain
 * with wider, or narrower, hidden layers. */
#include "bench.h"
#include "plot_scaling.h"
#include "report.h"
#include "text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEAST_WEIGHTS 1000.0
#define STEP 3.1622776601683795 /* √10 */
#define MOST_ROWS 64            /* sizes up to 10^9, on two numbers of threads */

/* --- the networks --- */

static int64_t number_of(const json_t *layer, const char *key)
{
    const json_t *number = json_object_get(layer, key);
    return number ? (int64_t)json_integer_value(number) : 1;
}

/* Filter positions, or those of a flattened map. */
static double positions_of(const json_t *layer)
{
    const json_t *kernel = json_object_get(layer, "kernel");
    double positions = (double)number_of(layer, "positions");
    for (size_t i = 0; i < json_array_size(kernel); i++)
        positions *= (double)json_integer_value(json_array_get(kernel, i));
    return positions;
}

/* Neurons before layer i, of hidden layers times the factor. Layer L: the outputs. */
static int64_t width_before(const json_t *layers, size_t i, double factor)
{
    if (i == 0)
        return number_of(json_array_get(layers, 0), "in");
    int64_t width = number_of(json_array_get(layers, i - 1), "out");
    return i == json_array_size(layers) ? width : (int64_t)fmax(1, round(factor * (double)width));
}

static double count_weights(const json_t *layers, double factor)
{
    double weights = 0;
    for (size_t i = 0; i < json_array_size(layers); i++) {
        double in = (double)width_before(layers, i, factor),
               out = (double)width_before(layers, i + 1, factor);
        weights += out * (in * positions_of(json_array_get(layers, i)) + 1);
    }
    return weights;
}

/* The factor of the hidden widths that brings the number of weights near to `wanted`. */
static double find_factor(const json_t *layers, double wanted)
{
    double low = 1e-9, high = 1e9;
    for (int i = 0; i < 100; i++) {
        double middle = sqrt(low * high);
        if (count_weights(layers, middle) < wanted)
            low = middle;
        else
            high = middle;
    }
    return wanted - count_weights(layers, low) < count_weights(layers, high) - wanted ? low : high;
}

/* The space of one size: {"layers": …}; NULL when there is no memory. */
static json_t *widen(const json_t *space, double wanted, int64_t *weights)
{
    json_t *wide = json_deep_copy(space), *layers = json_object_get(wide, "layers");
    const json_t *old = json_object_get(space, "layers");
    double factor = find_factor(old, wanted);
    for (size_t i = 0; i < json_array_size(layers); i++) {
        json_t *layer = json_array_get(layers, i);
        if (json_object_set_new(layer, "in", json_integer(width_before(old, i, factor))) ||
            json_object_set_new(layer, "out", json_integer(width_before(old, i + 1, factor)))) {
            json_decref(wide);
            return NULL;
        }
    }
    *weights = (int64_t)count_weights(old, factor);
    return wide;
}

/* Replaces the space that a model of any space is measured with. */
static int replace_space(nft_space **space, const json_t *wide)
{
    nft_space *old = *space;
    char *text = json_dumps(wide, JSON_COMPACT);
    if (!text)
        return fail_memory();
    nft_status status = nft_space_parse(space, text, strlen(text));
    nft_space_free(old);
    free(text);
    return status ? fail_library() : EXIT_SUCCESS;
}

/* Replaces a model of one space by a fresh one of another. */
static int replace_model(nft_model **model, json_t *wide, const cli_options *given)
{
    nft_load_options options = NFT_LOAD_OPTIONS_INIT;
    json_t *config = json_loads(nft_model_describe(*model)->config, 0, NULL);
    char *text = NULL;
    options.memory_limit = given->memory_limit;
    if (config && !json_object_set(config, "space", wide))
        text = json_dumps(config, JSON_COMPACT);
    json_decref(config);
    if (!text)
        return fail_memory();
    nft_model_free(*model);
    nft_status status = nft_model_create(model, text, strlen(text), given->seed, &options);
    free(text);
    return status ? fail_library() : EXIT_SUCCESS;
}

int bench_widen(nft_model **model, nft_space **space, bench *b, const cli_options *given)
{
    const nft_space *own = *space ? *space : nft_model_describe(*model)->space;
    json_t *described = own ? json_loads(nft_space_describe(own)->json, 0, NULL) : NULL;
    if (json_array_size(json_object_get(described, "layers")) < 2) {
        json_decref(described);
        return fail("%s: bench --scaling widens the hidden layers of a chain; the model's networks are none",
                    given->operands[0]);
    }
    json_t *wide = widen(described, b->wanted_weights, &b->weights);
    int failed = !wide    ? fail_memory()
                 : *space ? replace_space(space, wide)
                          : replace_model(model, wide, given);
    json_decref(wide);
    json_decref(described);
    return failed;
}

/* --- the measurements --- */

typedef struct scaling {
    scaling_row rows[MOST_ROWS];
    int64_t count;
} scaling;

static int print_line(const bench *b, const scaling_row *row)
{
    return print_json(json_pack("{s:I, s:I, s:i, s:i, s:I, s:o, s:o, s:o, s:I, s:I}", "weights",
                                (json_int_t)row->weights, "flops", (json_int_t)row->flops, "threads",
                                row->threads, "ranks", b->ranks.count, "batch_size", (json_int_t)b->batch,
                                "samples_per_s", json_number(1 / row->seconds), "sgemm_gflops",
                                json_number(row->sgemm), "fraction",
                                json_number(1e-9 * (double)row->flops / row->seconds / row->sgemm),
                                b->training ? "trainer_bytes" : "context_bytes",
                                (json_int_t)row->planned_bytes, "peak_bytes", (json_int_t)row->peak_bytes));
}

static int measure(scaling *s, bench *settings, int threads, bench_measure *run, const cli_options *given)
{
    bench b = *settings;
    b.threads = threads;
    int failed = run(&b, given);
    settings->together = b.together;
    if (failed)
        return failed;
    scaling_row *row = &s->rows[s->count++];
    *row = (scaling_row){.weights = b.weights,
                         .flops = b.flops,
                         .threads = b.threads,
                         .seconds = b.seconds / (double)b.batch,
                         .sgemm = b.sgemm,
                         .planned_bytes = b.planned_bytes,
                         .peak_bytes = bench_peak_bytes()};
    return given->json && !b.ranks.rank ? print_line(&b, row) : EXIT_SUCCESS;
}

/* Each size on one thread, then on all that were asked for: memory only grows, so the peak is that of the
 * row. */
static int measure_all(scaling *s, bench *b, double most, bench_measure *run, const cli_options *given)
{
    int failed = EXIT_SUCCESS;
    b->wanted_weights = LEAST_WEIGHTS;
    while (!failed && b->wanted_weights < most * 1.001) {
        failed = measure(s, b, 1, run, given);
        if (!failed && b->threads > 1)
            failed = measure(s, b, b->threads, run, given);
        b->wanted_weights *= STEP;
    }
    return failed;
}

static int print_rows(const scaling *s)
{
    cli_table table = TABLE_INIT("rrrrrrrr", 0);
    char text[TEXT_CAPACITY];
    table_header(&table, (const char *const[]){"weights", "threads", "GFLOP", "ms", "of sgemm", "planned",
                                               "bytes a weight", "peak"});
    for (int64_t i = 0; i < s->count; i++) {
        const scaling_row *row = &s->rows[i];
        double gflop = 1e-9 * (double)row->flops;
        table_cell(&table, "%s", text_count(text, row->weights));
        table_cell(&table, "%d", row->threads);
        table_cell(&table, "%.4g", gflop);
        table_cell(&table, "%.4g", 1e3 * row->seconds);
        table_cell(&table, "%.3f", gflop / row->seconds / row->sgemm);
        table_cell(&table, "%s", text_bytes(text, (double)row->planned_bytes));
        table_cell(&table, "%.0f", (double)row->planned_bytes / (double)row->weights);
        table_cell(&table, "%s", text_bytes(text, (double)row->peak_bytes));
    }
    return table_print(&table);
}

/* The fastest sgemm of the rows on this number of threads; 0 if there are none. */
static double best_sgemm(const scaling *s, int threads)
{
    double best = 0;
    for (int64_t i = 0; i < s->count; i++)
        if (s->rows[i].threads == threads)
            best = fmax(best, s->rows[i].sgemm);
    return best;
}

/* "sgemm: 41.3 GFLOP/s on 1 thread, 80.1 on 2 threads", and a warning if a row is faster. */
static void print_sgemm(const scaling *s, const bench *b, const cli_options *given)
{
    char text[TEXT_CAPACITY];
    bool slow = false;
    double several = b->threads > 1 ? best_sgemm(s, b->threads) : 0;
    printf("sgemm: %.1f GFLOP/s on 1 thread", best_sgemm(s, 1));
    if (several > 0)
        printf(", %.1f on %s", several, text_plural(text, b->threads, "thread"));
    printf("%s\n", b->ranks.count > 1 ? " of each rank" : "");
    for (int64_t i = 0; i < s->count; i++)
        slow |= 1e-9 * (double)s->rows[i].flops / s->rows[i].seconds > s->rows[i].sgemm;
    if (slow)
        bench_warn_sgemm(given);
}

static int report(const scaling *s, const bench *b, const cli_options *given)
{
    const char *path = option_text(given, "plot");
    char title[3 * TEXT_CAPACITY], text[TEXT_CAPACITY];
    int failed = given->json || !s->count ? EXIT_SUCCESS : print_rows(s);
    if (!failed && !given->json && s->count)
        print_sgemm(s, b, given);
    snprintf(title, sizeof title, "%.200s: %s, batches of %s", text_file_name(given->operands[0]),
             b->training ? "training steps" : "forward", text_count(text, b->batch));
    return failed || !path || !s->count ? failed : plot_scaling(path, title, s->rows, s->count);
}

/* Rows from before a failure are reported as well. */
int bench_scaling(bench *b, bench_measure *run, const cli_options *given)
{
    scaling s = {.count = 0};
    int failed = measure_all(&s, b, (double)option_value(given, "scaling")->integer, run, given);
    if (b->ranks.rank)
        return failed;
    int unreported = report(&s, b, given);
    return failed ? failed : unreported;
}
