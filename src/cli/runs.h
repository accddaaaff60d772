/* Several trainings, compared by their logs. */
#ifndef NFT_CLI_RUNS_H
#define NFT_CLI_RUNS_H

#include "options.h"
#include "training_log.h"

typedef struct training_run {
    const char *name;
    training_log log;
} training_run;

/* Prints a table with a row for each run, or with --json an object for each: its steps, and the step, loss
 * and metric of its best validation. For a run without validation it has the mean of the last losses.
 * `repeated`: the runs differ only by their seeds, so their mean and their standard deviation follow. Prints
 * its failure and returns the exit status. */
int print_runs(const training_run *runs, int64_t count, bool repeated, const cli_options *given);

#endif
