/* A picture of predictions against labels. */
#ifndef NFT_CLI_PLOT_PREDICTIONS_H
#define NFT_CLI_PLOT_PREDICTIONS_H

#include "scores.h"

/* Draws predicted against actual, or for classes the confusion matrix. Prints its failure and returns the
 * exit status. */
int plot_predictions(const char *path, const char *title, const cli_predictions *predictions,
                     const cli_scores *scores);

#endif
