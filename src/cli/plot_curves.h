/* Learning curves. */
#ifndef NFT_CLI_PLOT_CURVES_H
#define NFT_CLI_PLOT_CURVES_H

#include "training_log.h"

/* Draws the training loss, smoothed, the validation loss and the metrics by step. Prints its failure and
 * returns the exit status. */
int plot_curves(const char *path, const char *title, const training_log *log);

#endif
