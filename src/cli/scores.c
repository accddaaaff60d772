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

/* Labels are read apart from what they are checked with, so they may have changed between. */
static int check_classes(const cli_predictions *p)
{
    for (int64_t i = 0; i < p->rows; i++)
        if (p->classes[i] < 0 || p->classes[i] >= p->width)
            return fail("label %" PRId64 " is %" PRId64 ", expected 0 … %" PRId64 " by the model's outputs",
                        i, p->classes[i], p->width - 1);
    return EXIT_SUCCESS;
}

int scores_compute(cli_scores *scores, loss_kind kind, const cli_predictions *p)
{
    int64_t count = p->rows * p->width;
    *scores = unknown;
    scores->kind = kind;
    if (kind == LOSS_CROSS_ENTROPY) {
        if (check_classes(p))
            return EXIT_FAILED;
        scores->loss = metrics_cross_entropy(p->values, p->classes, p->rows, p->width);
        scores->accuracy = metrics_accuracy(p->values, p->classes, p->rows, p->width);
        return EXIT_SUCCESS;
    }
    scores->loss = (kind == LOSS_BCE ? metrics_bce : metrics_mse)(p->values, p->targets, count);
    scores->r2 = metrics_r2(p->values, p->targets, count);
    scores->mean_absolute_error = metrics_mean_absolute_error(p->values, p->targets, count);
    return metrics_tau(&scores->tau, p->values, p->targets, count) ? EXIT_SUCCESS : fail_memory();
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
