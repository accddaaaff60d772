/* What the parts of nft bench share. Each function prints its failure and returns the exit status. */
#ifndef NFT_CLI_BENCH_H
#define NFT_CLI_BENCH_H

#include "sources.h"

typedef struct bench {
    int64_t batch, runs, flops, parameters; /* flops of one sample; of training three times the forward's */
    int threads;
    bool training, recompute;
    int64_t planned_bytes, peak_bytes; /* what the library said, and what the program took */
    double seconds;                    /* of the best run */
    double sgemm;                      /* GFLOP/s */
} bench;

/* Random numbers, N(0, 0.2²). */
void bench_fill(float *values, int64_t count, uint64_t *state);
/* A batch of random networks or tokens for a model; free it with free_input(). */
int bench_input(cli_input *input, const nft_model *model, const bench *b, uint64_t seed);

/* Runs until it has run often and long enough; keeps the best time. The first run warms up. */
typedef nft_status bench_run(void *argument);
int bench_time(bench *b, bench_run *run, void *argument, const cli_options *given);

/* Steps of a trainer on random networks and targets. Takes the model over, so that only the trainer's own is
 * in memory. */
int bench_training(bench *b, nft_model *model, const cli_options *given);

#endif
