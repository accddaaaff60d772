/* Training on several ranks, threads in place of processes: the same parameters on each, and those of one
 * process to rounding. */
#define _XOPEN_SOURCE 700
#include "unit/temporary.h"
#include "unit/training.h"

#include <pthread.h>

#define MOST_RANKS 3

/* What the ranks meet in: each adds its part in turn, in the order of the ranks, then all take the sum. */
typedef struct meeting {
    pthread_barrier_t barrier;
    int ranks;
    double *sums[MOST_RANKS];
    float *values[MOST_RANKS];
    bool fails;
} meeting;

typedef struct seat {
    meeting *meeting;
    int rank;
    const nft_model *model;
    const char *path; /* of a data set; NULL: the set in memory */
    const nft_weights *train, *validation;
    nft_trainer *trainer;
    nft_status status;
    char message[300];
} seat;

static int reduce(double *sums, int64_t sum_count, float *values, int64_t value_count, void *user)
{
    seat *own = user;
    meeting *m = own->meeting;
    m->sums[own->rank] = sums;
    m->values[own->rank] = values;
    pthread_barrier_wait(&m->barrier);
    for (int other = 1; own->rank == 0 && other < m->ranks; other++) {
        for (int64_t i = 0; i < sum_count; i++)
            sums[i] += m->sums[other][i];
        for (int64_t i = 0; i < value_count; i++)
            values[i] += m->values[other][i];
    }
    pthread_barrier_wait(&m->barrier);
    if (own->rank) {
        memcpy(sums, m->sums[0], (size_t)sum_count * sizeof *sums);
        memcpy(values, m->values[0], (size_t)value_count * sizeof *values);
    }
    pthread_barrier_wait(&m->barrier);
    return m->fails;
}

static nft_status create(nft_trainer **trainer, const nft_model *model, const char *recipe, int32_t rank,
                         int32_t ranks, nft_reduce_callback *callback, void *user)
{
    nft_trainer_options options = NFT_TRAINER_OPTIONS_INIT;
    char *json = support_json(recipe);
    options.threads = 1;
    options.rank = rank;
    options.ranks = ranks;
    options.reduce = callback;
    options.reduce_user = user;
    nft_status status = nft_trainer_create(trainer, model, json, strlen(json), &options);
    free(json);
    return status;
}

/* A large eps: Adam would make steps of what is nothing but rounding. */
#define RANKS_RECIPE                                                                                         \
    "{'loss': 'bce', 'optimizer': {'type': 'adamw', 'lr': 0.01, 'eps': 0.01}, 'batch_size': 6, 'steps': 5, " \
    "'seed': 3, 'grad_clip': 0.5, 'validate_every': 2}"

static nft_status run_rank(seat *own)
{
    nft_dataset *dataset = NULL;
    nft_status status =
        create(&own->trainer, own->model, RANKS_RECIPE, own->rank, own->meeting->ranks, reduce, own);
    if (!status && own->path && !(status = nft_dataset_open(&dataset, own->path, NULL)))
        status = nft_trainer_set_dataset(own->trainer, dataset, NULL);
    else if (!status)
        status = nft_trainer_set_data(own->trainer, own->train, own->validation);
    nft_dataset_free(dataset);
    if (!status)
        status = nft_trainer_fit_normalize(own->trainer);
    return status ? status : nft_trainer_run(own->trainer, NULL, NULL);
}

static void *rank_thread(void *argument)
{
    seat *own = argument;
    own->status = run_rank(own);
    snprintf(own->message, sizeof own->message, "%s", own->status ? nft_error_message() : "");
    return NULL;
}

static void run_ranks(seat *seats, meeting *m, const seat *like)
{
    pthread_t threads[MOST_RANKS];
    assert_int_equal(pthread_barrier_init(&m->barrier, NULL, (unsigned)m->ranks), 0);
    for (int r = 0; r < m->ranks; r++) {
        seats[r] = *like;
        seats[r].meeting = m;
        seats[r].rank = r;
        assert_int_equal(pthread_create(&threads[r], NULL, rank_thread, &seats[r]), 0);
    }
    for (int r = 0; r < m->ranks; r++)
        pthread_join(threads[r], NULL);
    pthread_barrier_destroy(&m->barrier);
}

static support_result alone(const seat *like)
{
    nft_trainer *trainer = NULL;
    assert_ok(create(&trainer, like->model, RANKS_RECIPE, 0, 0, NULL, NULL));
    assert_ok(nft_trainer_set_data(trainer, like->train, like->validation));
    assert_ok(nft_trainer_fit_normalize(trainer));
    assert_ok(nft_trainer_run(trainer, NULL, NULL));
    support_result values = trainer_values(trainer);
    nft_trainer_free(trainer);
    return values;
}

static seat open_data(void)
{
    seat like = {.model = support_model(PREDICTOR, 1)};
    like.train = make_set(like.model, SAMPLES, 2);
    like.validation = make_set(like.model, 4, 3);
    return like;
}

static void close_data(seat *like)
{
    nft_weights_free((nft_weights *)like->train);
    nft_weights_free((nft_weights *)like->validation);
    nft_model_free((nft_model *)like->model);
}

/* With data in memory, and with each rank reading its part of the file. */
static void agree(void **state)
{
    (void)state;
    seat like = open_data(), seats[MOST_RANKS];
    support_result one = alone(&like);
    assert_ok(nft_weights_save(like.train, temporary_path("train")));
    for (int ranks = 2; ranks <= MOST_RANKS; ranks++)
        for (int from_file = 0; from_file < 2; from_file++) {
            meeting m = {.ranks = ranks};
            like.path = from_file ? temporary_path("train") : NULL;
            run_ranks(seats, &m, &like);
            for (int r = 0; r < ranks; r++) {
                assert_string_equal(seats[r].message, "");
                support_result values = trainer_values(seats[r].trainer);
                if (r) {
                    support_result first = trainer_values(seats[0].trainer);
                    same_values("the ranks", values, first);
                    free(first.values);
                }
                support_close("one process", one.count, values.values, one.values, 1e-4, 1e-5);
                free(values.values);
            }
            for (int r = 0; r < ranks; r++)
                nft_trainer_free(seats[r].trainer);
        }
    free(one.values);
    close_data(&like);
}

/* Nobody waits for a rank that failed. */
static void failures(void **state)
{
    (void)state;
    seat like = open_data(), seats[MOST_RANKS];
    meeting m = {.ranks = 2, .fails = true};
    run_ranks(seats, &m, &like);
    for (int r = 0; r < m.ranks; r++) {
        assert_int_equal(seats[r].status, NFT_ERROR_CANCELLED);
        assert_non_null(strstr(seats[r].message, "step 0: the reduce callback failed"));
        nft_trainer_free(seats[r].trainer);
    }
    close_data(&like);
}

static int bad_batch(nft_batch *batch, void *user)
{
    const seat *own = user;
    for (int64_t i = 0; i < batch->count; i++)
        batch->targets[i] = own->rank ? 2 : 0.5F;
    return 0;
}

static void *source_thread(void *argument)
{
    seat *own = argument;
    own->status =
        create(&own->trainer, own->model, RANKS_RECIPE, own->rank, own->meeting->ranks, reduce, own);
    if (!own->status)
        own->status = nft_trainer_set_source(own->trainer, bad_batch, own);
    if (!own->status)
        own->status = nft_trainer_step(own->trainer, NULL);
    snprintf(own->message, sizeof own->message, "%s", nft_error_message());
    return NULL;
}

static void one_rank_fails(void **state)
{
    (void)state;
    seat like = open_data(), seats[2];
    meeting m = {.ranks = 2};
    pthread_t threads[2];
    assert_int_equal(pthread_barrier_init(&m.barrier, NULL, 2), 0);
    for (int r = 0; r < 2; r++) {
        seats[r] = like;
        seats[r].meeting = &m;
        seats[r].rank = r;
        assert_int_equal(pthread_create(&threads[r], NULL, source_thread, &seats[r]), 0);
    }
    for (int r = 0; r < 2; r++)
        pthread_join(threads[r], NULL);
    pthread_barrier_destroy(&m.barrier);
    assert_int_equal(seats[0].status, NFT_ERROR_CANCELLED);
    assert_non_null(strstr(seats[0].message, "another rank failed"));
    assert_int_equal(seats[1].status, NFT_ERROR_MISMATCH);
    assert_non_null(strstr(seats[1].message, "target 0 is 2"));
    nft_trainer_free(seats[0].trainer);
    nft_trainer_free(seats[1].trainer);
    close_data(&like);
}

static void wrong_options(void **state)
{
    (void)state;
    nft_model *model = support_model(PREDICTOR, 1);
    nft_trainer *trainer = NULL;
    assert_int_equal(create(&trainer, model, RANKS_RECIPE, 2, 2, reduce, NULL), NFT_ERROR_ARGUMENT);
    assert_int_equal(create(&trainer, model, RANKS_RECIPE, -1, 2, reduce, NULL), NFT_ERROR_ARGUMENT);
    assert_int_equal(create(&trainer, model, RANKS_RECIPE, 1, 0, reduce, NULL), NFT_ERROR_ARGUMENT);
    assert_int_equal(create(&trainer, model, RANKS_RECIPE, 0, 2, NULL, NULL), NFT_ERROR_ARGUMENT);
    assert_int_equal(create(&trainer, model, RANKS_RECIPE, 0, 4, reduce, NULL), NFT_ERROR_ARGUMENT);
    assert_non_null(strstr(nft_error_message(), "a batch of 6 cannot be shared equally by 4 ranks"));
    assert_null(trainer);
    nft_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agree),
        cmocka_unit_test(failures),
        cmocka_unit_test(one_rank_fails),
        cmocka_unit_test(wrong_options),
    };
    return cmocka_run_group_tests_name("ranks", tests, temporary_open, temporary_close);
}
