/* The speed of this machine's single-precision matrix product: the yardstick of nftool bench. */
#ifndef NFT_CLI_SGEMM_H
#define NFT_CLI_SGEMM_H

#include "options.h"

#define SGEMM_SIZE 2048

/* GFLOP/s of `threads` threads that each multiply two SGEMM_SIZE² matrices, single-threaded: the best of
 * `runs`, which are 5, after a warm-up. A child process does it, so that its memory does not count as the
 * caller's. Prints failures, returns the exit status. */
int measure_sgemm(double *gflops, int *runs, int threads, const cli_options *given);

#endif
