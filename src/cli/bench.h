/* Shared by the parts of nftool bench. Each function prints its failure and returns the exit status. */
#ifndef NFT_CLI_BENCH_H
#define NFT_CLI_BENCH_H

#include "ranks.h"
#include "sources.h"

typedef struct bench {
    int64_t batch, runs, flops, parameters; /* flops of one sample; of training three times the forward's */
    int threads;
    bool training, recompute;
    cli_ranks ranks;                   /* that share each batch of a training */
    int64_t planned_bytes, peak_bytes; /* as the library plans, and as the program used */
    double seconds;                    /* of the best run */
    double sgemm;                      /* GFLOP/s, of all ranks */
} bench;

/* A batch of random networks of one space, or of tokens. */
typedef struct bench_batch {
    nft_weights *weights;
    nft_array *tokens;
    int64_t count;
} bench_batch;

/* Reads the model that the command line names. For a model of any space it also reads the space of --space,
 * else NULL. Describes both for `bench`. */
int bench_model(nft_model **model, nft_space **space, bench *b, const cli_options *given);

/* Random numbers, N(0, 0.2²). */
void bench_fill(float *values, int64_t count, uint64_t *state);
/* A batch for a model; `space` for a model of any space, else NULL. */
int bench_make_batch(bench_batch *batch, const nft_model *model, const nft_space *space, const bench *b,
                     uint64_t seed);
void bench_free_batch(bench_batch *batch);
/* Measures sgemm; then runs until it has run often and long enough, and keeps the best time. The first run
 * warms up. Of several ranks every one calls it. */
typedef nft_status bench_run(void *argument);
int bench_time(bench *b, bench_run *run, void *argument, const cli_options *given);

/* Steps of a trainer on random networks and targets, together with the other ranks. */
int bench_training(bench *b, const cli_options *given);

#endif
