/* A training of the program: its state, and the parts of train.c that run it. */
#ifndef NFT_CLI_TRAINING_H
#define NFT_CLI_TRAINING_H

#include "metrics.h"
#include "nft/train.h"
#include "output_lock.h"
#include "progress.h"
#include "ranks.h"
#include "recipes.h"
#include "training_log.h"

typedef struct training {
    const cli_options *given; /* as rank 0 sees it: the others say nothing */
    cli_options own;
    cli_ranks ranks;
    cli_recipe recipe;
    nft_model *model;
    bool fresh;
    loss_kind kind;
    nft_dataset *train, *validation;
    nft_array *targets; /* of the validation set; NULL of a loss that has none */
    nft_trainer *trainer;
    cli_progress progress;
    training_log log;
    output_lock lock;
    char *checkpoint;              /* its path, */
    char *best;                    /* and that of the best model of a training that diverges */
    double seconds_between, saved; /* of checkpoints, of a steady clock */
    int64_t batch_size;
    double step_began;
    double lowest; /* validation loss before this step; not-a-number before the first */
    int failed;    /* to print, or to save */
    bool stopped;  /* by a signal */
    bool resumed;
    nft_step_info last;
} training;

/* Runs the steps that are left: records, validations, plots and checkpoints. Prints its failure. */
int training_run_steps(training *t);
/* The picture of --plot, unless there is none. */
int training_draw_curves(const training *t);
/* A file cannot be written, as `line` says, but the training is sound: its state is saved. */
void training_fail_sound(const training *t, const char *line);

#endif
