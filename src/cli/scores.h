/* Scores of predictions against labels, or of images against images. The loss decides the measures. */
#ifndef NFT_CLI_SCORES_H
#define NFT_CLI_SCORES_H

#include <jansson.h>
#include <nft/nft.h>
#include <stdbool.h>
#include <stdint.h>

#define IGNORED_CLASS (-100) /* of a sample that is left out */

typedef enum loss_kind {
    LOSS_MSE,
    LOSS_BCE,
    LOSS_CROSS_ENTROPY,
    LOSS_RECONSTRUCTION,
    LOSS_RENDER,
    LOSS_OTHER
} loss_kind;

/* By loss_kind; NULL ends them. */
extern const char *const loss_names[];
/* LOSS_OTHER unless it is one of loss_names. */
loss_kind loss_of(const char *name);
/* Whether images are compared, not predictions with labels. */
bool loss_has_images(loss_kind kind);

/* Predictions (rows, width), and `targets` of the same shape or one of `classes` for each row. */
typedef struct cli_predictions {
    int64_t rows, width;
    const float *values, *targets;
    const int64_t *classes;
    const json_t *names; /* a list with the text of each class; NULL if they are not known */
} cli_predictions;

/* Scores that the loss does not have, and undefined ones, are NaN. */
typedef struct cli_scores {
    loss_kind kind;
    double loss, accuracy, tau, r2, mean_absolute_error, psnr;
} cli_scores;

/* The samples whose predictions and labels can be compared, and how many were left out. */
typedef struct cli_scored {
    int64_t rows, width;
    float *values, *targets;
    int64_t *classes;
    int64_t ignored;         /* the class is -100 */
    int64_t bad_labels;      /* infinite or NaN */
    int64_t bad_predictions; /* the same, of a label that counts */
} cli_scored;

/* Of `count` predictions of `width` numbers, with labels as nft_dataset_read_targets() reads them. Prints its
 * failure and returns the exit status. */
int select_scored(cli_scored *kept, const float *values, int64_t count, int64_t width,
                  const nft_array *labels);
void free_scored(cli_scored *kept);
cli_predictions predictions_of(const cli_scored *kept);

/* Of a loss that has labels; of several outputs tau, r2 and mae are the means of the outputs'. Prints its
 * failure and returns the exit status. */
int scores_compute(cli_scores *scores, loss_kind kind, const cli_predictions *predictions);
/* tau, r2 and mae of each output, p->width of them. */
int scores_of_outputs(cli_scores *each, const cli_predictions *p);
/* Of a loss that has images. */
cli_scores scores_of_images(loss_kind kind, double loss, double psnr);
/* Sets the measures of the loss: accuracy, or tau, r2 and mae, or psnr. */
void scores_to_json(json_t *object, const cli_scores *scores);
/* The reverse: of whichever keys are there. */
void scores_from_json(cli_scores *scores, const json_t *object);

#endif
