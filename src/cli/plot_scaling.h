/* Time and memory against the size of networks. */
#ifndef NFT_CLI_PLOT_SCALING_H
#define NFT_CLI_PLOT_SCALING_H

#include <stdint.h>

/* One measurement. */
typedef struct scaling_row {
    int64_t weights, flops; /* of a network; flops of one sample */
    int threads;
    double seconds;                    /* of a sample */
    double sgemm;                      /* GFLOP/s, on as many threads */
    int64_t planned_bytes, peak_bytes; /* as the library plans, and as the program used until then */
} scaling_row;

/* Rows come in the order of their weights, each size with the same numbers of threads. Prints its failure and
 * returns the exit status. */
int plot_scaling(const char *path, const char *title, const scaling_row *rows, int64_t count);

#endif
