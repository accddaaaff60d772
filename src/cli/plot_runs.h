/* The learning curves of several trainings in one picture. */
#ifndef NFT_CLI_PLOT_RUNS_H
#define NFT_CLI_PLOT_RUNS_H

#include "runs.h"

/* Draws the training loss of each run, smoothed, and below it the validation loss. Prints its failure and
 * returns the exit status. */
int plot_runs(const char *path, const char *title, const training_run *runs, int64_t count);

#endif
