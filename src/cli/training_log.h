/* The log of a training: a JSON object on each line, one for each step and each validation. A resumed
 * training continues its log, each step once. Numbers for the learning curves are kept in memory too. */
#ifndef NFT_CLI_TRAINING_LOG_H
#define NFT_CLI_TRAINING_LOG_H

#include "scores.h"

#include <nft/nft.h>
#include <nft/train.h>
#include <stdio.h>

typedef struct log_step_entry {
    int64_t step; /* from 0 */
    double loss;
} log_step_entry;

typedef struct log_validation_entry {
    int64_t step; /* updates of the parameters that were validated */
    cli_scores scores;
} log_validation_entry;

typedef struct training_log {
    const char *path; /* NULL: only in memory */
    FILE *file;
    log_step_entry *steps;
    int64_t step_count, step_capacity;
    log_validation_entry *validations;
    int64_t validation_count, validation_capacity;
} training_log;

/* Fails if there is a file that is not the log of a training; changes nothing. NULL is fine. */
int log_check(const char *path);
/* Begins a log, or continues that of a training that has done `steps` steps: lines of later steps are
 * removed, the others are kept. Prints failures and returns the exit status, as the others do. */
int log_open(training_log *log, const char *path, int64_t steps);
int log_step(training_log *log, const nft_step_info *info, double samples_per_second);
/* `scores->loss` is the validation loss. */
int log_validation(training_log *log, int64_t step, const cli_scores *scores, bool best);
/* Reads the log of a training that runs or has ended; its last line may not be whole. */
int log_read(training_log *log, const char *path);
/* Moves the entries to `kept`; the file stays where it is. */
void log_keep(training_log *kept, training_log *log);
/* Its lines are on the disk when this returns. */
int log_sync(training_log *log);
/* Closes it; a failure to write is reported here too. */
int log_close(training_log *log);

/* {"step", "loss", "lr", "grad_norm"} and {"step", "validation_loss", metrics, "best"}; NULL without memory.
 */
json_t *log_describe_step(const nft_step_info *info);
json_t *log_describe_validation(int64_t step, const cli_scores *scores, bool best);

#endif
