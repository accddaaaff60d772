#define _POSIX_C_SOURCE 200809L
#include "ranks.h"

#include "report.h"

#include <stdlib.h>

#ifdef NFT_MPI

#include <limits.h>
#include <mpi.h>
#include <nft/nft.h>
#include <stddef.h>
#include <unistd.h>

const bool ranks_built_in = true;

int ranks_open(cli_ranks *ranks)
{
    *ranks = (cli_ranks){.count = 1};
    int provided; /* whatever that is, the threads of a step do not call MPI */
    MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided);
    MPI_Comm_rank(MPI_COMM_WORLD, &ranks->rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks->count);
    if (ranks->rank)
        nft_set_log(NULL, NULL); /* rank 0 prints the notes of all */
    return EXIT_SUCCESS;
}

int ranks_open_if_launched(cli_ranks *ranks)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK"};
    *ranks = (cli_ranks){.count = 1};
    for (int i = 0; i < 3; i++)
        if (getenv(names[i]))
            return ranks_open(ranks);
    return EXIT_SUCCESS;
}

void ranks_close(const cli_ranks *ranks, bool done)
{
    int begun = 0;
    MPI_Initialized(&begun);
    if (!begun)
        return;
    if (done || ranks->count == 1)
        MPI_Finalize();
    else
        MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE);
}

int ranks_in_turn(const cli_ranks *ranks, ranks_work *work, void *argument, bool *together)
{
    int failed = ranks->rank ? EXIT_SUCCESS : work(argument);
    if (ranks->count > 1)
        MPI_Bcast(&failed, 1, MPI_INT, 0, MPI_COMM_WORLD);
    *together = failed != EXIT_SUCCESS;
    return !failed && ranks->rank ? work(argument) : failed;
}

void ranks_meet(const cli_ranks *ranks)
{
    if (ranks->count > 1)
        MPI_Barrier(MPI_COMM_WORLD);
}

void ranks_wait_to_fail(const cli_ranks *ranks, bool own)
{
    if (ranks->count > 1)
        sleep((ranks->rank ? 1U : 0U) + (own ? 0U : 3U));
}

/* Summed on rank 0 and sent to the others: an all-reduce need not give every rank the same bits. */
static int sum(void *data, int64_t count, size_t size, MPI_Datatype type, int rank)
{
    char *next = data;
    for (int64_t left = count; left > 0;) {
        int now = left < INT_MAX ? (int)left : INT_MAX;
        if (MPI_Reduce(rank ? next : MPI_IN_PLACE, next, now, type, MPI_SUM, 0, MPI_COMM_WORLD) ||
            MPI_Bcast(next, now, type, 0, MPI_COMM_WORLD))
            return 1;
        next += (size_t)now * size;
        left -= now;
    }
    return 0;
}

int ranks_send(const float *values, int64_t count)
{
    for (int64_t done = 0, now; done < count; done += now) {
        now = count - done < INT_MAX ? count - done : INT_MAX;
        if (MPI_Send(values + done, (int)now, MPI_FLOAT, 0, 0, MPI_COMM_WORLD))
            return fail("the ranks cannot reach each other");
    }
    return EXIT_SUCCESS;
}

int ranks_receive(float *values, int64_t count, int rank)
{
    for (int64_t done = 0, now; done < count; done += now) {
        now = count - done < INT_MAX ? count - done : INT_MAX;
        if (MPI_Recv(values + done, (int)now, MPI_FLOAT, rank, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE))
            return fail("the ranks cannot reach each other");
    }
    return EXIT_SUCCESS;
}

bool ranks_agree(const cli_ranks *ranks, int64_t number, int64_t *least, int64_t *most)
{
    *least = *most = number;
    if (ranks->count > 1) {
        MPI_Allreduce(MPI_IN_PLACE, least, 1, MPI_INT64_T, MPI_MIN, MPI_COMM_WORLD);
        MPI_Allreduce(MPI_IN_PLACE, most, 1, MPI_INT64_T, MPI_MAX, MPI_COMM_WORLD);
    }
    return *least == *most;
}

int ranks_reduce(double *sums, int64_t sum_count, float *values, int64_t value_count, void *user)
{
    cli_ranks *ranks = user;
    int stop = ranks->wants_stop;
    if (MPI_Allreduce(MPI_IN_PLACE, &stop, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD))
        return 1;
    ranks->agreed_stop = stop;
    return sum(sums, sum_count, sizeof *sums, MPI_DOUBLE, ranks->rank) ||
           sum(values, value_count, sizeof *values, MPI_FLOAT, ranks->rank);
}

#else

const bool ranks_built_in = false;

/* Where mpirun says how many processes there are: each would do the whole work, and write the same files. */
int ranks_open(cli_ranks *ranks)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"};
    *ranks = (cli_ranks){.count = 1};
    for (int i = 0; i < 2; i++) {
        const char *size = getenv(names[i]);
        if (size && strtol(size, NULL, 10) > 1)
            return fail("this program was built without MPI: build it with -DNFT_MPI=ON, or run it without "
                        "mpirun");
    }
    return EXIT_SUCCESS;
}

int ranks_open_if_launched(cli_ranks *ranks)
{
    return ranks_open(ranks);
}

void ranks_close(const cli_ranks *ranks, bool done)
{
    (void)ranks;
    (void)done;
}

int ranks_in_turn(const cli_ranks *ranks, ranks_work *work, void *argument, bool *together)
{
    (void)ranks;
    int failed = work(argument);
    *together = failed != EXIT_SUCCESS;
    return failed;
}

void ranks_meet(const cli_ranks *ranks)
{
    (void)ranks;
}

void ranks_wait_to_fail(const cli_ranks *ranks, bool own)
{
    (void)ranks;
    (void)own;
}

int ranks_send(const float *values, int64_t count)
{
    (void)values;
    (void)count;
    return EXIT_SUCCESS;
}

int ranks_receive(float *values, int64_t count, int rank)
{
    (void)values;
    (void)count;
    (void)rank;
    return EXIT_SUCCESS;
}

bool ranks_agree(const cli_ranks *ranks, int64_t number, int64_t *least, int64_t *most)
{
    (void)ranks;
    *least = *most = number;
    return true;
}

int ranks_reduce(double *sums, int64_t sum_count, float *values, int64_t value_count, void *user)
{
    (void)sums;
    (void)sum_count;
    (void)values;
    (void)value_count;
    (void)user;
    return 0;
}

#endif

int ranks_share(cli_ranks *ranks, cli_options *own, ranks_work *prepare, ranks_work *work, void *argument,
                bool *together)
{
    *together = true;
    int failed = ranks_open_if_launched(ranks);
    own->quiet = own->quiet || ranks->rank;
    if (!failed)
        failed = ranks_in_turn(ranks, prepare, argument, together);
    if (failed)
        return failed;
    failed = work(argument);
    *together = !failed;
    return failed;
}
