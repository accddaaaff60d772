/* The processes that work together, one for each rank of MPI. In a program built without it there is one. */
#ifndef NFT_CLI_RANKS_H
#define NFT_CLI_RANKS_H

#include "options.h"

/* Whether the program was built with MPI. */
extern const bool ranks_built_in;

typedef struct cli_ranks {
    int rank, count;
    bool wants_stop;  /* this process was told to stop */
    bool agreed_stop; /* some process was told to, as every rank knows after a step */
} cli_ranks;

/* Prints a failure and returns the exit status; ranks_close is due in any case. */
int ranks_open(cli_ranks *ranks);
/* The same for commands that mostly run without MPI: it begins only where mpirun, or a program like it, has
 * started them. */
int ranks_open_if_launched(cli_ranks *ranks);
/* Ends them all at once unless the work is `done`: others may be waiting for this one. */
void ranks_close(const cli_ranks *ranks, bool done);

/* Does the work on rank 0 first, so that a failure of all is printed once. Unless it failed there, the others
 * do it then. Returns this rank's exit status. `together`: all return the same status, and none waits for
 * another. */
typedef int ranks_work(void *argument);
int ranks_in_turn(const cli_ranks *ranks, ranks_work *work, void *argument, bool *together);

/* A command that mostly runs without MPI: opens the ranks, prepares in turn, then works on all at once. Ranks
 * other than 0 are quiet by their `own` options. Returns this rank's exit status; ranks_close is due. */
int ranks_share(cli_ranks *ranks, cli_options *own, ranks_work *prepare, ranks_work *work, void *argument,
                bool *together);

/* Waits for all ranks. */
void ranks_meet(const cli_ranks *ranks);

/* Before a rank says why it failed, which ends them all: when all fail alike rank 0 is the first to say it,
 * and a rank with a reason of its `own` is before those that only noticed. */
void ranks_wait_to_fail(const cli_ranks *ranks, bool own);

/* Whether `number` is the same on every rank; the least and the most of all. Every rank calls it. */
bool ranks_agree(const cli_ranks *ranks, int64_t number, int64_t *least, int64_t *most);

/* Sends numbers to rank 0, which receives them. Each prints its failure and returns the exit status. */
int ranks_send(const float *values, int64_t count);
int ranks_receive(float *values, int64_t count, int rank);

/* An nft_reduce_callback whose `user` is the cli_ranks. */
int ranks_reduce(double *sums, int64_t sum_count, float *values, int64_t value_count, void *user);

#endif
