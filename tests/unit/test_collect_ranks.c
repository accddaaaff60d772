/* Collections by several ranks, threads in place of processes: the file is that of one process. */
#define _XOPEN_SOURCE 700
#include "nft/file.h"
#include "unit/support.h"
#include "unit/temporary.h"

#include <math.h>
#include <pthread.h>

#define NETWORKS 7
#define MOST_RANKS 3

static int enter(void **state)
{
    return temporary_open(state) || chdir(temporary_folder);
}

static int leave(void **state)
{
    return chdir("..") || temporary_close(state);
}

typedef struct meeting {
    pthread_barrier_t barrier;
    int ranks;
    double *sums[MOST_RANKS];
    const char *output;
    int skip, stop_rank;
} meeting;

typedef struct seat {
    meeting *meeting;
    int rank;
    int64_t told, steps;
    nft_collect_result result;
    nft_status status;
} seat;

static int reduce(double *sums, int64_t sum_count, float *values, int64_t value_count, void *user)
{
    seat *own = user;
    meeting *m = own->meeting;
    (void)values;
    m->sums[own->rank] = sums;
    pthread_barrier_wait(&m->barrier);
    for (int other = 1; own->rank == 0 && other < m->ranks; other++)
        for (int64_t i = 0; i < sum_count; i++)
            sums[i] += m->sums[other][i];
    pthread_barrier_wait(&m->barrier);
    if (own->rank)
        memcpy(sums, m->sums[0], (size_t)sum_count * sizeof *sums);
    pthread_barrier_wait(&m->barrier);
    return value_count > 0;
}

static void count_left_out(const char *path, const char *reason, void *user)
{
    assert_non_null(path);
    assert_non_null(reason);
    ((seat *)user)->told++;
}

/* The rank that stops does so in the second pass. */
static int step(int64_t done, int64_t total, void *user)
{
    seat *own = user;
    (void)total;
    own->steps = done;
    return own->rank == own->meeting->stop_rank && done > NETWORKS;
}

static const char *name_of(int i)
{
    static const char *const names[NETWORKS] = {"0.safetensors", "1.safetensors", "2.safetensors",
                                                "3.safetensors", "4.safetensors", "5.safetensors",
                                                "6.safetensors"};
    return names[i];
}

static void *collect(void *argument)
{
    seat *own = argument;
    const char *list[NETWORKS];
    nft_collect_options options = NFT_COLLECT_OPTIONS_INIT;
    for (int i = 0; i < NETWORKS; i++)
        list[i] = name_of(i);
    options.skip = own->meeting->skip;
    options.left_out = count_left_out;
    options.progress = step;
    options.user = own;
    options.rank = own->rank;
    options.ranks = own->meeting->ranks;
    options.reduce = reduce;
    options.reduce_user = own;
    own->result = (nft_collect_result)NFT_COLLECT_RESULT_INIT;
    own->status = nft_collect(&own->result, list, NETWORKS, own->meeting->output, &options);
    return NULL;
}

static void run_ranks(seat *seats, meeting *m)
{
    pthread_t threads[MOST_RANKS];
    assert_int_equal(pthread_barrier_init(&m->barrier, NULL, (unsigned)m->ranks), 0);
    for (int r = 0; r < m->ranks; r++) {
        seats[r] = (seat){.meeting = m, .rank = r};
        assert_int_equal(pthread_create(&threads[r], NULL, collect, &seats[r]), 0);
    }
    for (int r = 0; r < m->ranks; r++)
        pthread_join(threads[r], NULL);
    pthread_barrier_destroy(&m->barrier);
}

/* Each has its number as its first weight. The one of `bad` is infinite. */
static void write_networks(int bad)
{
    const int64_t widths[] = {2, 3, 1};
    nft_space *space = NULL;
    nft_weights *weights = NULL;
    assert_int_equal(nft_space_create_mlp(&space, widths, 3), NFT_OK);
    assert_int_equal(nft_weights_create(&weights, space, 1, 1, NULL), NFT_OK);
    for (int i = 0; i < NETWORKS; i++) {
        nft_weights_edit(weights, 0)[0] = i == bad ? INFINITY : -(float)i; /* the first is -0 */
        assert_int_equal(nft_weights_save(weights, name_of(i)), NFT_OK);
    }
    nft_weights_free(weights);
    nft_space_free(space);
}

static void assert_same_files(const char *a, const char *b)
{
    size_t sizes[2];
    char *bytes[2] = {support_read(a, &sizes[0]), support_read(b, &sizes[1])};
    assert_int_equal(sizes[0], sizes[1]);
    assert_memory_equal(bytes[0], bytes[1], sizes[0]);
    free(bytes[0]);
    free(bytes[1]);
}

static void ranks_write_the_file_of_one(void **state)
{
    (void)state;
    seat seats[MOST_RANKS];
    meeting m = {.ranks = 1, .output = "one.safetensors", .stop_rank = -1};
    write_networks(-1);
    run_ranks(seats, &m);
    m.output = "several.safetensors";
    for (m.ranks = 2; m.ranks <= MOST_RANKS; m.ranks++) {
        run_ranks(seats, &m);
        for (int r = 0; r < m.ranks; r++) {
            assert_int_equal(seats[r].status, NFT_OK);
            assert_int_equal(seats[r].result.networks, NETWORKS);
        }
        assert_same_files("one.safetensors", "several.safetensors");
    }
}

static void a_network_is_left_out_on_all_ranks_and_told_on_one(void **state)
{
    (void)state;
    seat seats[MOST_RANKS];
    meeting m = {.ranks = 1, .output = "one.safetensors", .skip = 1, .stop_rank = -1};
    write_networks(5);
    run_ranks(seats, &m);
    m.ranks = 3;
    m.output = "several.safetensors";
    run_ranks(seats, &m);
    for (int r = 0; r < 3; r++) {
        assert_int_equal(seats[r].status, NFT_OK);
        assert_int_equal(seats[r].result.networks, NETWORKS - 1);
        assert_int_equal(seats[r].result.left_out, 1);
    }
    assert_int_equal(seats[0].told + seats[1].told + seats[2].told, 1);
    assert_same_files("one.safetensors", "several.safetensors");
}

static void a_failure_of_one_rank_ends_all_and_leaves_nothing(void **state)
{
    (void)state;
    seat seats[MOST_RANKS];
    meeting m = {.ranks = 2, .output = "bad.safetensors", .stop_rank = -1};
    write_networks(5);
    run_ranks(seats, &m);
    assert_int_equal(seats[0].status, NFT_ERROR_CANCELLED);
    assert_int_equal(seats[1].status, NFT_ERROR_NOT_FINITE);
    assert_int_not_equal(access("bad.safetensors.partial", F_OK), 0);
}

static void one_process_continues_the_work_of_several(void **state)
{
    (void)state;
    seat seats[MOST_RANKS];
    meeting m = {.ranks = 2, .output = "resumed.safetensors", .stop_rank = 1};
    write_networks(-1);
    run_ranks(seats, &m);
    assert_int_equal(seats[0].status, NFT_ERROR_CANCELLED);
    assert_int_equal(seats[1].status, NFT_ERROR_CANCELLED);
    m = (meeting){.ranks = 1, .output = "resumed.safetensors", .stop_rank = -1};
    run_ranks(seats, &m);
    assert_int_equal(seats[0].status, NFT_OK);
    assert_int_equal(seats[0].result.resumed, NETWORKS);
    m.output = "one.safetensors";
    run_ranks(seats, &m);
    assert_same_files("one.safetensors", "resumed.safetensors");
}

static void ranks_without_a_meeting_are_refused(void **state)
{
    (void)state;
    const char *list[] = {"0.safetensors"};
    nft_collect_options options = NFT_COLLECT_OPTIONS_INIT;
    options.ranks = 2;
    assert_int_equal(nft_collect(NULL, list, 1, "x.safetensors", &options), NFT_ERROR_ARGUMENT);
    options.reduce = reduce;
    options.rank = 2;
    assert_int_equal(nft_collect(NULL, list, 1, "x.safetensors", &options), NFT_ERROR_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks_write_the_file_of_one),
        cmocka_unit_test(a_network_is_left_out_on_all_ranks_and_told_on_one),
        cmocka_unit_test(a_failure_of_one_rank_ends_all_and_leaves_nothing),
        cmocka_unit_test(one_process_continues_the_work_of_several),
        cmocka_unit_test(ranks_without_a_meeting_are_refused),
    };
    return cmocka_run_group_tests_name("collections by ranks", tests, enter, leave);
}
