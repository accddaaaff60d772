#include "scores.h"

#include "metrics.h"
#include "report.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const loss_names[] = {"mse", "bce", "cross_entropy", "reconstruction", "render", NULL};

loss_kind loss_of(const char *name)
{
    int kind = 0;
    while (loss_names[kind] && strcmp(loss_names[kind], name))
        kind++;
    return (loss_kind)kind;
}

bool loss_has_images(loss_kind kind)
{
    return kind == LOSS_RECONSTRUCTION || kind == LOSS_RENDER;
}

static const cli_scores unknown = {LOSS_OTHER,  (double)NAN, (double)NAN, (double)NAN,
                                   (double)NAN, (double)NAN, (double)NAN};

/* Labels are read a second time after they were checked, so they may have changed. */
static int check_classes(const cli_predictions *p)
{
    for (int64_t i = 0; i < p->rows; i++)
        if (p->classes[i] < 0 || p->classes[i] >= p->width)
            return fail("label %" PRId64 " is %" PRId64 ", expected 0 … %" PRId64 " by the model's outputs",
                        i, p->classes[i], p->width - 1);
    return EXIT_SUCCESS;
}

/* Rows of one output, of predictions and targets. */
static int score_output(cli_scores *scores, const cli_predictions *p, int64_t output, float *columns)
{
    float *values = columns, *targets = columns + p->rows;
    for (int64_t i = 0; i < p->rows; i++) {
        values[i] = p->values[i * p->width + output];
        targets[i] = p->targets[i * p->width + output];
    }
    *scores = unknown;
    scores->r2 = metrics_r2(values, targets, p->rows);
    scores->mean_absolute_error = metrics_mean_absolute_error(values, targets, p->rows);
    return metrics_tau(&scores->tau, values, targets, p->rows) ? EXIT_SUCCESS : fail_memory();
}

int scores_of_outputs(cli_scores *each, const cli_predictions *p)
{
    float *columns = malloc(2 * (size_t)p->rows * sizeof *columns + 1);
    int failed = columns ? EXIT_SUCCESS : fail_memory();
    for (int64_t output = 0; output < p->width && !failed; output++)
        failed = score_output(&each[output], p, output, columns);
    free(columns);
    return failed;
}

static int score_numbers(cli_scores *scores, const cli_predictions *p)
{
    cli_scores *each = malloc((size_t)p->width * sizeof *each + 1);
    int failed = each ? scores_of_outputs(each, p) : fail_memory();
    double share = 1 / (double)p->width;
    scores->tau = scores->r2 = scores->mean_absolute_error = 0;
    for (int64_t output = 0; output < p->width && !failed; output++) {
        scores->tau += share * each[output].tau;
        scores->r2 += share * each[output].r2;
        scores->mean_absolute_error += share * each[output].mean_absolute_error;
    }
    free(each);
    return failed;
}

int scores_compute(cli_scores *scores, loss_kind kind, const cli_predictions *p)
{
    *scores = unknown;
    scores->kind = kind;
    if (kind == LOSS_CROSS_ENTROPY) {
        if (check_classes(p))
            return EXIT_FAILED;
        scores->loss = metrics_cross_entropy(p->values, p->classes, p->rows, p->width);
        scores->accuracy = metrics_accuracy(p->values, p->classes, p->rows, p->width);
        return EXIT_SUCCESS;
    }
    scores->loss = (kind == LOSS_BCE ? metrics_bce : metrics_mse)(p->values, p->targets, p->rows * p->width);
    return score_numbers(scores, p);
}

/* Whether sample n has a label that counts. */
static bool is_labelled(cli_scored *kept, const nft_array *labels, int64_t n)
{
    const int64_t *classes = nft_array_i64(labels);
    bool ignored = classes && classes[n] == IGNORED_CLASS;
    bool finite =
        classes ? classes[n] != INT64_MIN : all_finite(nft_array_f32(labels) + n * kept->width, kept->width);
    kept->ignored += ignored;
    kept->bad_labels += !finite;
    return !ignored && finite;
}

int select_scored(cli_scored *kept, const float *values, int64_t count, int64_t width,
                  const nft_array *labels)
{
    const int64_t *classes = nft_array_i64(labels);
    const float *targets = nft_array_f32(labels);
    size_t row = (size_t)width * sizeof(float);
    *kept = (cli_scored){.width = width,
                         .values = malloc((size_t)count * row + 1),
                         .targets = malloc((size_t)count * row + 1),
                         .classes = malloc((size_t)count * sizeof(int64_t) + 1)};
    if (!kept->values || !kept->targets || !kept->classes)
        return fail_memory();
    for (int64_t n = 0; n < count; n++) {
        bool finite = all_finite(values + n * width, width);
        if (!is_labelled(kept, labels, n))
            continue;
        kept->bad_predictions += !finite;
        if (!finite)
            continue;
        memcpy(kept->values + kept->rows * width, values + n * width, row);
        if (classes)
            kept->classes[kept->rows] = classes[n];
        else
            memcpy(kept->targets + kept->rows * width, targets + n * width, row);
        kept->rows++;
    }
    return EXIT_SUCCESS;
}

void free_scored(cli_scored *kept)
{
    free(kept->values);
    free(kept->targets);
    free(kept->classes);
}

cli_predictions predictions_of(const cli_scored *kept)
{
    return (cli_predictions){kept->rows, kept->width, kept->values, kept->targets, kept->classes, NULL};
}

cli_scores scores_of_images(loss_kind kind, double loss, double psnr)
{
    cli_scores scores = unknown;
    scores.kind = kind;
    scores.loss = loss;
    scores.psnr = psnr;
    return scores;
}

void scores_to_json(json_t *object, const cli_scores *scores)
{
    if (scores->kind == LOSS_CROSS_ENTROPY) {
        json_object_set_new(object, "accuracy", json_number(scores->accuracy));
    } else if (loss_has_images(scores->kind)) {
        json_object_set_new(object, "psnr", json_number(scores->psnr));
    } else {
        json_object_set_new(object, "tau", json_number(scores->tau));
        json_object_set_new(object, "r2", json_number(scores->r2));
        json_object_set_new(object, "mae", json_number(scores->mean_absolute_error));
    }
}

static double number_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

void scores_from_json(cli_scores *scores, const json_t *object)
{
    *scores = unknown;
    scores->accuracy = number_of(object, "accuracy");
    scores->tau = number_of(object, "tau");
    scores->r2 = number_of(object, "r2");
    scores->mean_absolute_error = number_of(object, "mae");
    scores->psnr = number_of(object, "psnr");
}
