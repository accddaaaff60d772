/* The lines of learning curves: made from the log of a training, and drawn. Each function that can fail
 * prints its failure and returns the exit status. */
#ifndef NFT_CLI_CURVES_H
#define NFT_CLI_CURVES_H

#include "plot.h"
#include "training_log.h"

#define MOST_POINTS 600 /* of a curve */

/* Points of one line. */
typedef struct curve {
    int64_t n;
    double *x, *y;
} curve;

void free_curve(curve *c);

/* Steps of the window that a smoothed loss is the mean of. */
int64_t smoothing_window(const training_log *log);
/* The mean over a window around each of at most MOST_POINTS steps. */
int smooth_losses(curve *c, const training_log *log);
/* The losses as they were. */
int raw_losses(curve *c, const training_log *log);
/* The 10 % and the 90 % quantile around each of at most MOST_POINTS steps, in the window of the mean. */
int quantiles_of_losses(curve *low, curve *high, const training_log *log);

typedef double metric_function(const cli_scores *scores);
metric_function loss_metric, accuracy_metric, tau_metric, r2_metric, psnr_metric;
/* A metric of each validation. */
int validation_curve(curve *c, const training_log *log, metric_function *metric);
/* Index of the validation with the lowest loss; -1 of none that is finite. */
int64_t best_validation(const training_log *log);

void draw_curve(cli_plot *plot, const plot_area *area, const curve *c, plot_colour colour, double opacity);
/* Dots where a curve has few points. */
void draw_dots(cli_plot *plot, const plot_area *area, const curve *c, plot_colour colour);

#endif
