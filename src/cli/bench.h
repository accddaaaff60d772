/* Shared by the parts of nftool bench. Each function prints its failure and returns the exit status. */
#ifndef NFT_CLI_BENCH_H
#define NFT_CLI_BENCH_H

#include "ranks.h"
#include "sources.h"

typedef struct bench {
    int64_t batch, runs, flops, parameters; /* flops of one sample; of training three times the forward's */
    int threads;
    bool training, recompute;
    double wanted_weights;             /* of a network, about; 0: networks are the model's own */
    int64_t weights;                   /* of a network, where that is not 0 */
    int64_t least_runs;                /* after the first, which warms up */
    double least_seconds;              /* of them together */
    cli_ranks ranks;                   /* that share each batch of a training */
    bool together;                     /* no rank waits for another */
    int64_t planned_bytes, peak_bytes; /* as the library plans, and as the program used */
    double seconds;                    /* of the best run */
    double sgemm;                      /* GFLOP/s, of all ranks */
    int sgemm_runs;                    /* of which that is the best */
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
/* Measures sgemm, on all ranks at once, as their steps will be. It forks, so no thread may exist yet: a child
 * has the locks that other threads held, and nobody to release them. */
int bench_sgemm(bench *b, const cli_options *given);
/* Runs until it has run often and long enough, and keeps the best time. The first run warms up. Of several
 * ranks every one calls it. */
typedef nft_status bench_run(void *argument);
int bench_time(bench *b, bench_run *run, void *argument, const cli_options *given);

/* Tells why the machine's sgemm may be slower than the model. */
void bench_warn_sgemm(const cli_options *given);

/* The most memory this process had at a time. */
int64_t bench_peak_bytes(void);

/* Measures a model, and fills in the results. */
typedef int bench_measure(bench *b, const cli_options *given);
bench_measure bench_forward;
/* Steps of a trainer on random networks and targets, together with the other ranks. */
bench_measure bench_steps;
/* Joins the other ranks for the time of `measure`. */
int bench_with_ranks(bench *b, bench_measure *measure, const cli_options *given);

/* Replaces the model, or the space of a model of any space, so that networks have about wanted_weights. */
int bench_widen(nft_model **model, nft_space **space, bench *b, const cli_options *given);
/* Measures sizes up to --scaling with `run`, prints a table and draws --plot. */
int bench_scaling(bench *b, bench_measure *run, const cli_options *given);

#endif
