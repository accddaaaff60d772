#include "runs.h"

#include "curves.h"
#include "report.h"
#include "text.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A metric that the validations of all runs may have. */
typedef struct metric {
    const char *key, *format;
    metric_function *function;
} metric;

static const metric metrics[] = {{"accuracy", "%.4f", accuracy_metric},
                                 {"psnr", "%.2f", psnr_metric},
                                 {"tau", "%.4f", tau_metric},
                                 {"r2", "%.4f", r2_metric}};
#define METRICS (int)(sizeof metrics / sizeof *metrics)
#define LAST_PART 50 /* the last loss is the mean over one part in so many of the steps */

typedef struct summary {
    int64_t steps, best_step; /* best_step -1: without validation */
    double loss;              /* of the best validation, or else the last of training */
    double values[METRICS];   /* not-a-number where there is none */
} summary;

static double last_loss(const training_log *log)
{
    int64_t window = log->step_count / LAST_PART + 1, n = 0;
    double sum = 0;
    for (int64_t i = log->step_count; i-- > 0 && n < window; n++)
        sum += log->steps[i].loss;
    return n ? sum / (double)n : (double)NAN;
}

static summary summarize(const training_log *log)
{
    int64_t best = best_validation(log);
    summary s = {.best_step = -1, .loss = last_loss(log)};
    s.steps = log->step_count ? log->steps[log->step_count - 1].step + 1 : 0;
    for (int m = 0; m < METRICS; m++)
        s.values[m] = best < 0 ? (double)NAN : metrics[m].function(&log->validations[best].scores);
    if (best >= 0) {
        s.best_step = log->validations[best].step;
        s.loss = log->validations[best].scores.loss;
    }
    return s;
}

/* The mean and the standard deviation of `n` numbers, `stride` bytes apart. */
static void find_spread(double spread[2], const double *first, size_t stride, int64_t n)
{
    const char *at = (const char *)first;
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; i++)
        sum += *(const double *)(at + (size_t)i * stride);
    for (int64_t i = 0; i < n; i++) {
        double from_mean = *(const double *)(at + (size_t)i * stride) - sum / (double)n;
        squares += from_mean * from_mean;
    }
    spread[0] = sum / (double)n;
    spread[1] = n > 1 ? sqrt(squares / (double)(n - 1)) : 0;
}

/* Whether some run has the metric. */
static bool is_shown(const summary *all, int64_t count, int m)
{
    for (int64_t r = 0; r < count; r++)
        if (isfinite(all[r].values[m]))
            return true;
    return false;
}

static bool are_validated(const summary *all, int64_t count)
{
    for (int64_t r = 0; r < count; r++)
        if (all[r].best_step >= 0)
            return true;
    return false;
}

/* --- a table --- */

static void add_titles(cli_table *table, const summary *all, int64_t count)
{
    bool validated = are_validated(all, count);
    table_cell(table, "run");
    table_cell(table, "steps");
    table_cell(table, "best step");
    table_cell(table, validated ? "validation loss" : "last loss");
    table->columns = 4;
    for (int m = 0; m < METRICS; m++)
        if (is_shown(all, count, m)) {
            table_cell(table, "%s", metrics[m].key);
            table->columns++;
        }
}

static void add_number(cli_table *table, const char *format, double value)
{
    char text[TEXT_CAPACITY];
    snprintf(text, sizeof text, format, value);
    table_cell(table, "%s", isnan(value) ? "" : text);
}

static void add_run(cli_table *table, const char *name, const summary *s, const summary *all, int64_t count)
{
    table_cell(table, "%s", name);
    table_cell(table, "%" PRId64, s->steps);
    if (s->best_step >= 0)
        table_cell(table, "%" PRId64, s->best_step);
    else
        table_cell(table, "%s", "");
    add_number(table, "%.6g", s->loss);
    for (int m = 0; m < METRICS; m++)
        if (is_shown(all, count, m))
            add_number(table, metrics[m].format, s->values[m]);
}

static void add_spread(cli_table *table, int which, const summary *all, int64_t count)
{
    double spread[2];
    table_cell(table, which ? "deviation" : "mean");
    table_cell(table, "%s", "");
    table_cell(table, "%s", "");
    find_spread(spread, &all->loss, sizeof *all, count);
    add_number(table, "%.6g", spread[which]);
    for (int m = 0; m < METRICS; m++)
        if (is_shown(all, count, m)) {
            find_spread(spread, &all->values[m], sizeof *all, count);
            add_number(table, metrics[m].format, spread[which]);
        }
}

static int print_table(const training_run *runs, const summary *all, int64_t count, bool repeated)
{
    cli_table table = TABLE_INIT("lrrrrrrr", 0);
    add_titles(&table, all, count);
    for (int64_t r = 0; r < count; r++)
        add_run(&table, runs[r].name, &all[r], all, count);
    for (int which = 0; which < 2 && repeated; which++)
        add_spread(&table, which, all, count);
    return table_print(&table);
}

/* --- JSON --- */

static int print_run_json(const char *name, const summary *s)
{
    json_t *object = json_object();
    json_object_set_new(object, "run", json_text(name));
    json_object_set_new(object, "steps", json_integer(s->steps));
    if (s->best_step >= 0)
        json_object_set_new(object, "best_step", json_integer(s->best_step));
    json_object_set_new(object, s->best_step >= 0 ? "validation_loss" : "last_loss", json_number(s->loss));
    for (int m = 0; m < METRICS; m++)
        if (isfinite(s->values[m]))
            json_object_set_new(object, metrics[m].key, json_number(s->values[m]));
    return print_json(object);
}

static json_t *spread_json(const double *first, int64_t count)
{
    double spread[2];
    find_spread(spread, first, sizeof(summary), count);
    return json_pack("{s:o, s:o}", "mean", json_number(spread[0]), "deviation", json_number(spread[1]));
}

/* {"runs": N, "validation_loss": {"mean": …, "deviation": …}, …} */
static int print_spread_json(const summary *all, int64_t count)
{
    json_t *object = json_object();
    json_object_set_new(object, "runs", json_integer(count));
    json_object_set_new(object, are_validated(all, count) ? "validation_loss" : "last_loss",
                        spread_json(&all->loss, count));
    for (int m = 0; m < METRICS; m++)
        if (is_shown(all, count, m))
            json_object_set_new(object, metrics[m].key, spread_json(&all->values[m], count));
    return print_json(object);
}

static int print_all_json(const training_run *runs, const summary *all, int64_t count, bool repeated)
{
    int failed = EXIT_SUCCESS;
    for (int64_t r = 0; r < count && !failed; r++)
        failed = print_run_json(runs[r].name, &all[r]);
    return failed || !repeated ? failed : print_spread_json(all, count);
}

int print_runs(const training_run *runs, int64_t count, bool repeated, const cli_options *given)
{
    summary *all = calloc((size_t)count + 1, sizeof *all);
    if (!all)
        return fail_memory();
    for (int64_t r = 0; r < count; r++)
        all[r] = summarize(&runs[r].log);
    int failed = (given->json ? print_all_json : print_table)(runs, all, count, repeated);
    free(all);
    return failed;
}
