/* Training on several ranks, threads in place of processes: the same parameters on each, and those of one
 * process to rounding. */
#define _XOPEN_SOURCE 700
#include "unit/temporary.h"

#include "nft/train.h"
#include "unit/mixed_zoo.h"

#include <pthread.h>

#define MOST_RANKS 3

/* The meeting of the ranks: each adds its part in turn, in the order of the ranks, then all take the sum. */
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
    const char *validation_path;
    const nft_weights *train, *validation;
    nft_step_callback *callback;
    nft_step_info last;
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

/* A large eps: otherwise Adam would make steps of pure rounding. */
#define RANKS_RECIPE                                                                                         \
    "{'loss': 'bce', 'optimizer': {'type': 'adamw', 'lr': 0.01, 'eps': 0.01}, 'batch_size': 6, 'steps': 5, " \
    "'seed': 3, 'grad_clip': 0.5, 'ema_decay': 0.5, 'validate_every': 2}"

static nft_status set_files(seat *own)
{
    nft_dataset *train = NULL, *validation = NULL;
    nft_status status = nft_dataset_open(&train, own->path, NULL);
    if (!status && own->validation_path)
        status = nft_dataset_open(&validation, own->validation_path, NULL);
    if (!status)
        status = nft_trainer_set_data(own->trainer, NFT_DATA_FILES(train), NFT_DATA_FILES(validation));
    nft_dataset_free(train);
    nft_dataset_free(validation);
    return status;
}

static int hear(const nft_step_info *info, void *user)
{
    seat *own = user;
    own->last = *info;
    return own->callback ? own->callback(info, own) : 0;
}

static nft_status run_rank(seat *own)
{
    nft_status status =
        create(&own->trainer, own->model, RANKS_RECIPE, own->rank, own->meeting->ranks, reduce, own);
    if (!status)
        status = own->path ? set_files(own) : set_data(own->trainer, own->train, own->validation);
    if (!status)
        status = nft_trainer_fit_normalize(own->trainer);
    return status ? status : nft_trainer_run(own->trainer, hear, own);
}

static void *rank_thread(void *argument)
{
    seat *own = argument;
    own->status = run_rank(own);
    snprintf(own->message, sizeof own->message, "%s", own->status ? nft_error_message() : "");
    return NULL;
}

static void take_seats(seat *seats, meeting *m, const seat *like)
{
    for (int r = 0; r < m->ranks; r++) {
        seats[r] = *like;
        seats[r].meeting = m;
        seats[r].rank = r;
    }
}

static void run_threads(seat *seats, meeting *m, void *(*work)(void *))
{
    pthread_t threads[MOST_RANKS];
    assert_int_equal(pthread_barrier_init(&m->barrier, NULL, (unsigned)m->ranks), 0);
    for (int r = 0; r < m->ranks; r++)
        assert_int_equal(pthread_create(&threads[r], NULL, work, &seats[r]), 0);
    for (int r = 0; r < m->ranks; r++)
        pthread_join(threads[r], NULL);
    pthread_barrier_destroy(&m->barrier);
}

static void run_ranks(seat *seats, meeting *m, const seat *like)
{
    take_seats(seats, m, like);
    run_threads(seats, m, rank_thread);
}

static support_result alone(const seat *like)
{
    nft_trainer *trainer = NULL;
    assert_ok(create(&trainer, like->model, RANKS_RECIPE, 0, 0, NULL, NULL));
    assert_ok(set_data(trainer, like->train, like->validation));
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

/* All ranks have the same parameters, close to those of one process. */
static void check_ranks(const seat *like, int ranks, const support_result *one)
{
    seat seats[MOST_RANKS];
    meeting m = {.ranks = ranks};
    run_ranks(seats, &m, like);
    for (int r = 0; r < ranks; r++) {
        assert_string_equal(seats[r].message, "");
        support_result values = trainer_values(seats[r].trainer);
        if (r) {
            support_result first = trainer_values(seats[0].trainer);
            same_values("the ranks", values, first);
            free(first.values);
        }
        support_close("one process", one->count, values.values, one->values, 1e-4, 1e-5);
        free(values.values);
    }
    for (int r = 0; r < ranks; r++)
        nft_trainer_free(seats[r].trainer);
}

/* With data in memory, and with each rank reading its part of the file. */
static void agree(void **state)
{
    (void)state;
    seat like = open_data();
    support_result one = alone(&like);
    assert_ok(nft_weights_save(like.train, temporary_path("train")));
    for (int ranks = 2; ranks <= MOST_RANKS; ranks++)
        for (int from_file = 0; from_file < 2; from_file++) {
            like.path = from_file ? temporary_path("train") : NULL;
            check_ranks(&like, ranks, &one);
        }
    free(one.values);
    close_data(&like);
}

/* Each rank's part of a batch has networks of several spaces. */
static void agree_on_several_spaces(void **state)
{
    (void)state;
    nft_model *model = support_model(MIXED, 1);
    zoo z = open_zoo("zoo", 10);
    nft_trainer *trainer = NULL;
    seat like = {.model = model, .path = z.index, .validation_path = z.index};
    assert_ok(create(&trainer, model, RANKS_RECIPE, 0, 0, NULL, NULL));
    assert_ok(nft_trainer_set_data(trainer, NFT_DATA_WEIGHTS(sets_of(&z), SPACES),
                                   NFT_DATA_WEIGHTS(sets_of(&z), SPACES)));
    assert_ok(nft_trainer_fit_normalize(trainer));
    assert_ok(nft_trainer_run(trainer, NULL, NULL));
    support_result one = trainer_values(trainer);
    for (int ranks = 2; ranks <= MOST_RANKS; ranks++)
        check_ranks(&like, ranks, &one);
    free(one.values);
    nft_trainer_free(trainer);
    close_zoo(&z);
    nft_model_free(model);
}

/* Rank r validates only the r-th part of the samples. It has no sample of the others, and yet all get the
 * loss and the outputs of one process, bit by bit. */
static void share_the_validation(void **state)
{
    (void)state;
    const int64_t samples = 70; /* more than are run at a time */
    seat like = open_data(), seats[MOST_RANKS];
    for (int ranks = 2; ranks <= MOST_RANKS; ranks++) {
        meeting m = {.ranks = ranks};
        nft_weights *whole = make_set(like.model, samples, 3), *parts[MOST_RANKS];
        take_seats(seats, &m, &like);
        for (int r = 0; r < ranks; r++) {
            int64_t equal = samples / ranks, rest = samples % ranks,
                    first = r * equal + (r < rest ? r : rest), end = first + equal + (r < rest);
            parts[r] = make_set(like.model, samples, 3);
            float *weights = nft_weights_edit(parts[r], 0);
            int64_t numbers = nft_weights_data_count(parts[r], 0) / samples;
            for (int64_t i = 0; i < samples * numbers; i++)
                if (i / numbers < first || i / numbers >= end)
                    weights[i] = 100;
            seats[r].validation = parts[r];
        }
        run_threads(seats, &m, rank_thread);
        nft_model *trained = NULL;
        nft_trainer *one = NULL;
        double loss = 0;
        assert_ok(nft_trainer_snapshot(&trained, seats[0].trainer, NFT_SNAPSHOT_LAST));
        assert_ok(create(&one, trained, RANKS_RECIPE, 0, 0, NULL, NULL));
        assert_ok(set_data(one, like.train, whole));
        assert_ok(nft_trainer_validate(&loss, one));
        const float *expected = nft_array_f32(nft_trainer_describe(one)->validation_output);
        for (int r = 0; r < ranks; r++) {
            assert_string_equal(seats[r].message, "");
            assert_true(seats[r].last.validated && seats[r].last.validation_loss == loss);
            assert_true(nft_trainer_describe(seats[r].trainer)->best_loss ==
                        nft_trainer_describe(seats[0].trainer)->best_loss);
            support_identical("the outputs", samples,
                              nft_array_f32(nft_trainer_describe(seats[r].trainer)->validation_output),
                              expected);
        }
        for (int r = 0; r < ranks; r++) {
            nft_trainer_free(seats[r].trainer);
            nft_weights_free(parts[r]);
        }
        nft_trainer_free(one);
        nft_model_free(trained);
        nft_weights_free(whole);
    }
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
        own->status = nft_trainer_set_data(own->trainer, NFT_DATA_CALLBACK(bad_batch, own), NULL);
    if (!own->status)
        own->status = nft_trainer_step(NULL, own->trainer);
    snprintf(own->message, sizeof own->message, "%s", nft_error_message());
    return NULL;
}

static void one_rank_fails(void **state)
{
    (void)state;
    seat like = open_data(), seats[2];
    meeting m = {.ranks = 2};
    take_seats(seats, &m, &like);
    run_threads(seats, &m, source_thread);
    assert_int_equal(seats[0].status, NFT_ERROR_CANCELLED);
    assert_non_null(strstr(seats[0].message, "another rank failed"));
    assert_int_equal(seats[1].status, NFT_ERROR_MISMATCH);
    assert_non_null(strstr(seats[1].message, "target 0 is 2"));
    nft_trainer_free(seats[0].trainer);
    nft_trainer_free(seats[1].trainer);
    close_data(&like);
}

/* Only rank 1 loses a file after step 0. */
static int lose_training_file(const nft_step_info *info, void *user)
{
    const seat *own = user;
    if (own->rank == 1 && info->step == 0)
        assert_int_equal(truncate(own->path, 900), 0);
    return 0;
}

static int lose_validation_file(const nft_step_info *info, void *user)
{
    const seat *own = user;
    if (own->rank == 1 && info->step == 0)
        assert_int_equal(truncate(own->validation_path, 900), 0);
    return 0;
}

static void one_rank_cannot_read(void **state)
{
    (void)state;
    nft_step_callback *const callbacks[] = {lose_training_file, lose_validation_file};
    seat like = open_data(), seats[2];
    for (int i = 0; i < 2; i++) {
        meeting m = {.ranks = 2};
        char paths[2][512];
        like.callback = callbacks[i];
        take_seats(seats, &m, &like);
        for (int r = 0; r < 2; r++) {
            snprintf(paths[r], sizeof paths[r], "%s", temporary_path(r ? "of rank 1" : "of rank 0"));
            assert_ok(nft_weights_save(like.train, paths[r]));
            seats[r].path = seats[r].validation_path = paths[r];
        }
        if (i)
            seats[1].path = paths[0];
        else
            seats[1].validation_path = paths[0];
        run_threads(seats, &m, rank_thread);
        assert_int_equal(seats[0].status, NFT_ERROR_CANCELLED);
        assert_non_null(strstr(seats[0].message, "another rank failed"));
        assert_int_equal(seats[1].status, NFT_ERROR_FORMAT);
        assert_non_null(strstr(seats[1].message, "of rank 1"));
        assert_int_equal(nft_trainer_describe(seats[0].trainer)->steps_done,
                         nft_trainer_describe(seats[1].trainer)->steps_done);
        nft_trainer_free(seats[0].trainer);
        nft_trainer_free(seats[1].trainer);
    }
    close_data(&like);
}

static int stop_rank_1(const nft_step_info *info, void *user)
{
    const seat *own = user;
    return own->rank == 1 && info->step == 1;
}

static void *go_on_thread(void *argument)
{
    seat *own = argument;
    own->status = nft_trainer_run(own->trainer, NULL, NULL);
    return NULL;
}

/* A rank that is stopped stops the others, and all can resume to the same end. */
static void one_rank_is_stopped(void **state)
{
    (void)state;
    seat like = open_data(), seats[2], straight[2];
    meeting m = {.ranks = 2};
    run_ranks(straight, &m, &like);
    like.callback = stop_rank_1;
    run_ranks(seats, &m, &like);
    for (int r = 0; r < 2; r++) {
        assert_int_equal(seats[r].status, NFT_ERROR_CANCELLED);
        assert_non_null(strstr(seats[r].message, r ? "the step callback stopped it after 2 of 5 steps"
                                                   : "step 2: another rank failed or was stopped"));
        assert_int_equal(nft_trainer_describe(seats[r].trainer)->steps_done, 2);
    }
    run_threads(seats, &m, go_on_thread);
    for (int r = 0; r < 2; r++) {
        assert_int_equal(seats[r].status, NFT_OK);
        support_result values = trainer_values(seats[r].trainer),
                       expected = trainer_values(straight[r].trainer);
        same_values("the parameters", values, expected);
        free(values.values);
        free(expected.values);
        nft_trainer_free(seats[r].trainer);
        nft_trainer_free(straight[r].trainer);
    }
    close_data(&like);
}

/* One rank of two, whose other one has nothing to add. */
typedef struct fragile {
    int failures_left; /* of validations */
    int steps, validations;
} fragile;

static int reduce_fragile(double *sums, int64_t sum_count, float *values, int64_t value_count, void *user)
{
    fragile *f = user;
    (void)sums;
    (void)values;
    (void)value_count;
    return sum_count != 2 &&
           f->failures_left-- > 0; /* a step has the loss and the number on which the ranks agree */
}

static int hear_fragile(const nft_step_info *info, void *user)
{
    fragile *f = user;
    f->steps++;
    f->validations += info->validated;
    return 0;
}

/* A validation that failed is done by the next run, and so is one that is due after steps that were taken one
 * by one. */
static void owed_validations(void **state)
{
    (void)state;
    nft_model *model = support_model(PREDICTOR, 1);
    nft_weights *set = make_set(model, 12, 2);
    for (int one_by_one = 0; one_by_one < 2; one_by_one++) {
        fragile f = {.failures_left = 1};
        nft_trainer *trainer = NULL;
        assert_ok(create(&trainer, model, RANKS_RECIPE, 0, 2, reduce_fragile, &f));
        assert_ok(set_data(trainer, set, set));
        for (int i = 0; i < 5 && one_by_one; i++)
            assert_ok(nft_trainer_step(NULL, trainer));
        assert_int_equal(nft_trainer_run(trainer, hear_fragile, &f), NFT_ERROR_CANCELLED);
        assert_int_equal(nft_trainer_describe(trainer)->steps_done, one_by_one ? 5 : 2);
        assert_int_equal(f.validations, 0);
        assert_ok(nft_trainer_run(trainer, hear_fragile, &f));
        assert_int_equal(f.steps, one_by_one ? 1 : 5);
        assert_int_equal(f.validations, one_by_one ? 1 : 3);
        assert_true(isfinite(nft_trainer_describe(trainer)->best_loss));
        assert_ok(nft_trainer_run(trainer, hear_fragile, &f));
        assert_int_equal(f.steps, one_by_one ? 1 : 5);
        nft_trainer_free(trainer);
    }
    nft_weights_free(set);
    nft_model_free(model);
}

static void wrong_options(void **state)
{
    (void)state;
    nft_model *model = support_model(PREDICTOR, 1);
    nft_trainer *trainer = NULL;
    assert_int_equal(create(&trainer, model, RANKS_RECIPE, 2, 2, reduce, NULL), NFT_ERROR_ARGUMENT);
    assert_int_equal(create(&trainer, model, RANKS_RECIPE, -1, 2, reduce, NULL), NFT_ERROR_ARGUMENT);
    assert_int_equal(create(&trainer, model, RANKS_RECIPE, 1, 0, reduce, NULL), NFT_ERROR_ARGUMENT);
    assert_non_null(strstr(nft_error_message(), "options->rank is 1, expected 0 … 0"));
    assert_int_equal(create(&trainer, model, RANKS_RECIPE, 0, -3, reduce, NULL), NFT_ERROR_ARGUMENT);
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
        cmocka_unit_test(agree_on_several_spaces),
        cmocka_unit_test(share_the_validation),
        cmocka_unit_test(failures),
        cmocka_unit_test(one_rank_fails),
        cmocka_unit_test(one_rank_cannot_read),
        cmocka_unit_test(one_rank_is_stopped),
        cmocka_unit_test(owed_validations),
        cmocka_unit_test(wrong_options),
    };
    return cmocka_run_group_tests_name("ranks", tests, temporary_open, temporary_close);
}
