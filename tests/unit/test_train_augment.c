/* Augmentation in weight space: the moved image, the canonical form, and a training that sees the moved
 * networks. */
#define _XOPEN_SOURCE 700
#include "nft/inr.h"
#include "unit/temporary.h"
#include "unit/training.h"

#include "config/json.h"
#include "siren/siren.h"
#include "train/augment.h"
#include "train/trainer.h"

#define PI 3.14159265358979323846
#define OMEGA 30.0
#define PLACES 200
#define NETWORKS 12
#define HEAD "{'loss': 'bce', " ADAMW ", 'batch_size': 4, 'steps': 6, 'seed': 3, 'validate_every': 2"
#define MOVED HEAD ", 'augment': {'rotate': 20, 'shift': 0.1, 'scale': [0.9, 1.2], 'mirror': true"

/* The options of the text, which is for support_json(). */
static nft_augment options_of(const char *text)
{
    char *json = support_json(text);
    json_t *value = NULL;
    nft_augment augment;
    assert_ok(nft_json_parse(&value, json, strlen(json)));
    assert_ok(nft_augment_read(&augment, value));
    json_decref(value);
    free(json);
    return augment;
}

static nft_weights *sirens(uint64_t seed)
{
    nft_space *space = SUPPORT_MLP(2, 7, 5, 2);
    nft_weights *set = support_weights(space, NETWORKS, 1, seed);
    for (int64_t t = 0; t < nft_space_describe(space)->tensor_count; t++)
        for (int64_t i = 0; i < nft_weights_data_count(set, t); i++)
            nft_weights_edit(set, t)[i] *= 0.1f;
    nft_space_free(space);
    return set;
}

/* outputs (PLACES, 2) of network `index` */
static void evaluate(const nft_weights *set, int64_t index, const float *places, float *outputs)
{
    float *network = support_allocate((size_t)set->space->numbers * sizeof *network);
    float *scratch = support_allocate((size_t)nft_siren_scratch(set->space, PLACES) * sizeof *scratch);
    nft_weights_gather(set, index, network);
    nft_siren_forward_form(set->space, &(const nft_siren_form){.omega = {OMEGA}, .omegas = 1}, network,
                           PLACES, places, outputs, scratch);
    free(scratch);
    free(network);
}

/* The formula once more: place (y, x) to scale · rotation · mirror · place + shift, from the network's four
 * numbers. */
static void move(const nft_augment *a, const nft_random *random, int64_t index, const float *from, float *to)
{
    double u[4];
    for (int64_t k = 0; k < 4; k++)
        u[k] = (double)nft_random_uniform(random, (uint64_t)(4 * index + k));
    double side = a->mirror && nft_random_bits(random, (uint64_t)(4 * index)) % 2 ? -1 : 1;
    double angle = a->rotate * (2 * u[0] - 1) / 180 * PI;
    double scale = a->scale[0] * (1 - u[1]) + a->scale[1] * u[1];
    for (int64_t i = 0; i < PLACES; i++) {
        double y = (double)from[2 * i], x = side * (double)from[2 * i + 1];
        to[2 * i] = (float)(scale * (cos(angle) * y - sin(angle) * x) + a->shift * (2 * u[2] - 1));
        to[2 * i + 1] = (float)(scale * (sin(angle) * y + cos(angle) * x) + a->shift * (2 * u[3] - 1));
    }
}

static void check_images(const char *options, bool canonical)
{
    nft_augment augment = options_of(options);
    nft_weights *before = sirens(1), *after = sirens(1);
    nft_random random = nft_augment_random(7, 5);
    float places[2 * PLACES], moved[2 * PLACES], found[2 * PLACES], expected[2 * PLACES];
    nft_random numbers = {3, 0};
    for (uint64_t i = 0; i < 2 * PLACES; i++)
        places[i] = 2 * nft_random_uniform(&numbers, i) - 1;
    for (int64_t n = 0; n < NETWORKS; n++) {
        nft_augment_network(&augment, &random, after, n, canonical);
        evaluate(after, n, places, found);
        move(&augment, &random, n, places, moved);
        evaluate(before, n, moved, expected);
        support_close("the moved image", 2 * PLACES, found, expected, 0, 2e-4);
    }
    nft_weights_free(before);
    nft_weights_free(after);
}

static void moves_the_image(void **state)
{
    (void)state;
    check_images("{'rotate': 25, 'shift': 0.2, 'scale': [0.7, 1.5], 'mirror': true}", false);
    check_images("{'rotate': 25, 'shift': 0.2, 'scale': [0.7, 1.5], 'mirror': true}", true);
    check_images("{'rotate': 180}", false);
    check_images("{'shift': 0.5}", false);
    check_images("{'scale': [2, 2]}", true);
    check_images("{'mirror': true}", false);
    check_images("{}", true);
}

/* Every network and every step has its own movement, and both sides of a mirror occur. */
static void draws_anew(void **state)
{
    (void)state;
    nft_augment augment = options_of("{'rotate': 30, 'mirror': true}");
    nft_weights *one = sirens(1), *two = sirens(1);
    nft_random random = nft_augment_random(7, 5), later = nft_augment_random(7, 6);
    int mirrored = 0;
    for (int64_t n = 0; n < NETWORKS; n++) {
        const float *w = nft_weights_data(one, 0) + 14 * n;
        double y = (double)w[0], x = (double)w[1], next_y = (double)w[2], next_x = (double)w[3],
               area = y * next_x - x * next_y;
        nft_augment_network(&augment, &random, one, n, false);
        nft_augment_network(&augment, &later, two, n, false);
        assert_memory_not_equal(w, nft_weights_data(two, 0) + 14 * n, 4 * sizeof *w);
        double moved = (double)w[0] * (double)w[3] - (double)w[1] * (double)w[2];
        assert_true(fabs(fabs(moved) - fabs(area)) < 1e-6);
        mirrored += (moved < 0) != (area < 0);
    }
    assert_true(mirrored > 0 && mirrored < NETWORKS);
    nft_weights_free(one);
    nft_weights_free(two);
}

static void same_sets(const char *what, const nft_weights *a, const nft_weights *b)
{
    for (int64_t t = 0; t < a->space->tensor_count; t++)
        support_identical(what, nft_weights_data_count(a, t), nft_weights_data(a, t), nft_weights_data(b, t));
}

/* Hidden neurons in another order, the same in every network. */
static void reorder(nft_weights *set)
{
    const nft_space *space = nft_weights_space(set);
    int64_t *orders[4] = {NULL};
    for (int64_t a = 1; a < 3; a++) {
        int64_t size = space->axes[a].size;
        orders[a] = support_allocate((size_t)(NETWORKS * size) * sizeof *orders[a]);
        for (int64_t i = 0; i < NETWORKS * size; i++)
            orders[a][i] = (i % size * 3 + 1) % size;
    }
    assert_ok(nft_weights_permute(set, (const int64_t *const *)orders));
    for (int64_t a = 1; a < 3; a++)
        free(orders[a]);
}

/* The canonical form is canonical, and neurons in another order are moved alike. */
static void stays_canonical(void **state)
{
    (void)state;
    nft_augment augment = options_of("{'rotate': 30, 'shift': 0.2, 'omega': 30}");
    nft_weights *set = sirens(1), *again = sirens(1), *reordered = sirens(1);
    nft_random random = nft_augment_random(1, 1);
    reorder(reordered);
    for (int64_t n = 0; n < NETWORKS; n++) {
        nft_augment_network(&augment, &random, set, n, true);
        nft_augment_network(&augment, &random, again, n, true);
        nft_augment_network(&augment, &random, reordered, n, true);
    }
    assert_ok(nft_inr_canonicalize(again, OMEGA));
    same_sets("canonical once more", set, again);
    reorder(set);
    same_sets("in another order", set, reordered);
    nft_weights_free(reordered);
    nft_weights_free(again);
    nft_weights_free(set);
}

static support_result train(const nft_model *model, const char *recipe, const nft_weights *set,
                            int32_t threads)
{
    nft_trainer *trainer = make_trainer(model, recipe, threads);
    assert_ok(set_data(trainer, set, NULL));
    assert_ok(nft_trainer_run(trainer, NULL, NULL));
    support_result values = trainer_values(trainer);
    nft_trainer_free(trainer);
    return values;
}

/* One step with augmentation is one step on networks that were moved before; of other losses as well. */
static void check_step(const char *config, const char *head, bool canonical)
{
    nft_model *model = support_model(config, 1);
    nft_weights *plain = make_set(model, NETWORKS, 2), *moved = make_set(model, NETWORKS, 2);
    nft_augment augment = options_of("{'rotate': 20, 'shift': 0.1, 'scale': [0.9, 1.2]}");
    nft_random random = nft_augment_random(3, 0);
    char with[1024], without[1024];
    snprintf(without, sizeof without,
             "%s, 'optimizer': {'type': 'adam'}, 'batch_size': 12, 'steps': 1, 'seed': 3, "
             "'shuffle': false}",
             head);
    snprintf(with, sizeof with, "%.*s, 'augment': {'rotate': 20, 'shift': 0.1, 'scale': [0.9, 1.2]}}",
             (int)strlen(without) - 1, without);
    if (canonical)
        assert_ok(nft_weights_set_metadata(plain, "nft.canonical", "sign-phase"));
    for (int64_t n = 0; n < NETWORKS; n++)
        nft_augment_network(&augment, &random, moved, n, canonical);
    support_result expected = train(model, without, moved, 1), found = train(model, with, plain, 1),
                   unmoved = train(model, without, plain, 1);
    same_values("a step on moved networks", found, expected);
    assert_true(memcmp(found.values, unmoved.values, (size_t)found.count * sizeof *found.values) != 0);
    free(unmoved.values);
    free(found.values);
    free(expected.values);
    nft_weights_free(moved);
    nft_weights_free(plain);
    nft_model_free(model);
}

static void trains_on_moved_networks(void **state)
{
    (void)state;
    check_step(PREDICTOR, "{'loss': 'bce'", false);
    check_step(PREDICTOR, "{'loss': 'bce'", true);
    check_step(INR2ARRAY, "{'loss': 'reconstruction'", false);
}

/* The data stay as they are; any number of threads, files and a training that resumes have the same networks.
 */
static void repeats(void **state)
{
    (void)state;
    nft_model *model = support_model(PREDICTOR, 1);
    nft_weights *set = make_set(model, SAMPLES, 2), *copy = make_set(model, SAMPLES, 2);
    assert_ok(nft_weights_set_metadata(set, "nft.canonical", "sign-phase"));
    support_result first = train(model, MOVED "}}", set, 1);
    same_sets("the data", set, copy);
    for (int32_t threads = 2; threads <= 3; threads++) {
        support_result again = train(model, MOVED "}}", set, threads);
        same_values("on more threads", again, first);
        free(again.values);
    }
    nft_dataset *data = NULL;
    const char *path = temporary_path("networks.safetensors"), *saved = temporary_path("checkpoint");
    assert_ok(nft_weights_save(set, path));
    assert_ok(nft_dataset_open(&data, path, NULL));
    nft_trainer *half = make_trainer(model, MOVED "}}", 1), *rest = make_trainer(model, MOVED "}}", 2),
                *other = make_trainer(model, MOVED ", 'canonical': false}}", 1);
    assert_ok(nft_trainer_set_data(half, NFT_DATA_FILES(data), NULL));
    assert_ok(nft_trainer_set_data(rest, NFT_DATA_FILES(data), NULL));
    assert_ok(nft_trainer_set_data(other, NFT_DATA_FILES(data), NULL));
    for (int i = 0; i < 3; i++)
        assert_ok(nft_trainer_step(NULL, half));
    assert_ok(nft_trainer_save(half, saved));
    assert_ok(nft_trainer_resume(rest, saved));
    assert_ok(nft_trainer_run(rest, NULL, NULL));
    support_result resumed = trainer_values(rest);
    same_values("of a file, resumed", resumed, first);
    assert_int_equal(nft_trainer_resume(other, saved), NFT_ERROR_MISMATCH);
    expect_message("'recipe.augment.canonical' was null, now it is false");
    support_result plain = train(model, HEAD "}", set, 1);
    assert_true(memcmp(plain.values, first.values, (size_t)first.count * sizeof *first.values) != 0);
    free(plain.values);
    free(resumed.values);
    free(first.values);
    nft_trainer_free(other);
    nft_trainer_free(rest);
    nft_trainer_free(half);
    nft_dataset_free(data);
    nft_weights_free(copy);
    nft_weights_free(set);
    nft_model_free(model);
}

static void refused_recipes(void **state)
{
    (void)state;
    static const struct {
        const char *model, *recipe, *message;
    } cases[] = {
        {PREDICTOR, HEAD ", 'augment': {'scale': [1.2, 0.9]}}",
         "augment: 'scale' is not the least and the largest"},
        {PREDICTOR, HEAD ", 'augment': {'scale': [0, 1]}}", "augment: 'scale' is not"},
        {PREDICTOR, HEAD ", 'augment': {'scale': 2}}", "augment: 'scale' is not"},
        {PREDICTOR, HEAD ", 'augment': {'rotate': 181}}", "augment: 'rotate'"},
        {PREDICTOR, HEAD ", 'augment': {'rotate': -1}}", "augment: 'rotate'"},
        {PREDICTOR, HEAD ", 'augment': {'shift': -1}}", "augment: 'shift'"},
        {PREDICTOR, HEAD ", 'augment': {'omega': 0}}", "augment: 'omega'"},
        {PREDICTOR, HEAD ", 'augment': {'omega': [30, 0]}}", "augment: 'omega' is no list of numbers"},
        {PREDICTOR, HEAD ", 'augment': {'omega': [30, 20, 10, 5]}}",
         "augment: there are 4 numbers of omega, expected one, or at most one for each of"},
        {PREDICTOR, HEAD ", 'augment': {'canonical': 1}}", "augment: 'canonical'"},
        {PREDICTOR, HEAD ", 'augment': {'rotation': 1}}", "'rotation'"},
        {PREDICTOR, HEAD ", 'augment': 3}", "augment"},
        {OF_TOKENS, HEAD ", 'augment': {}}", "augment takes a model of one space and of 1 channel"},
        {CNN("{'type': 'hnp_pool'}, {'type': 'linear', 'out_features': 1}, {'type': 'sigmoid'}") "}",
         HEAD ", 'augment': {}}", "augment: expected SIRENs"},
        {MLP("{'type': 'pointwise', 'out_channels': 1}") "}",
         "{'loss': 'render', " ADAMW ", 'batch_size': 4, 'steps': 6, 'augment': {}}",
         "loss render compares with images that do not move"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        nft_model *model = support_model(cases[i].model, 1);
        nft_trainer *trainer = NULL;
        char *json = support_json(cases[i].recipe);
        if (!nft_trainer_create(&trainer, model, json, strlen(json), NULL))
            fail_msg("%s was accepted", cases[i].recipe);
        expect_message(cases[i].message);
        free(json);
        nft_model_free(model);
    }
}

/* The canonical form depends on the frequency. */
static void refused_frequency(void **state)
{
    (void)state;
    nft_model *model = support_model(PREDICTOR, 1);
    nft_weights *set = make_set(model, SAMPLES, 2);
    nft_trainer *trainer = make_trainer(model, MOVED "}}", 1),
                *fitting = make_trainer(model, MOVED ", 'omega': 20}}", 1);
    assert_ok(nft_weights_set_metadata(set, "nft.omega", "20"));
    assert_ok(set_data(trainer, set, NULL)); /* not canonical */
    assert_ok(nft_weights_set_metadata(set, "nft.canonical", "sign-phase"));
    assert_int_equal(set_data(trainer, set, NULL), NFT_ERROR_MISMATCH);
    expect_message("its networks have omega 20 by its metadata, augment has 30");
    assert_ok(set_data(fitting, set, NULL));
    nft_trainer *layered = make_trainer(model, MOVED ", 'omega': [20, 3]}}", 1);
    assert_int_equal(set_data(layered, set, NULL), NFT_ERROR_MISMATCH);
    expect_message("augment has 20,3");
    assert_ok(nft_weights_set_metadata(set, "nft.omega", "20,3"));
    assert_ok(set_data(layered, set, NULL));
    assert_int_equal(set_data(fitting, set, NULL), NFT_ERROR_MISMATCH);
    nft_trainer_free(layered);
    nft_trainer_free(fitting);
    nft_trainer_free(trainer);
    nft_weights_free(set);
    nft_model_free(model);
}

/* The memory that the trainer announces is enough with a batch of moved networks. */
static void memory_is_planned(void **state)
{
    (void)state;
    nft_model *model = support_model(PREDICTOR, 1);
    assert_int_equal(memory_between(model, MOVED "}}", HEAD "}"),
                     4 * model->space->numbers * (int64_t)sizeof(float));
    nft_model_free(model);
}

static int fill_batch(nft_batch *batch, void *user)
{
    (void)user;
    fill_weights(batch->weights, (uint64_t)batch->step);
    for (int64_t i = 0; i < batch->count; i++)
        batch->targets[i] = 0.5f;
    return 0;
}

/* The networks of a callback are moved too, and its own memory is not. */
static void moves_batches_of_a_callback(void **state)
{
    (void)state;
    nft_model *model = support_model(PREDICTOR, 1);
    nft_trainer *moved = make_trainer(model, MOVED "}}", 1), *plain = make_trainer(model, HEAD "}", 1);
    assert_ok(nft_trainer_set_data(moved, NFT_DATA_CALLBACK(fill_batch, NULL), NULL));
    assert_ok(nft_trainer_set_data(plain, NFT_DATA_CALLBACK(fill_batch, NULL), NULL));
    nft_step_info a = NFT_STEP_INFO_INIT, b = NFT_STEP_INFO_INIT;
    assert_ok(nft_trainer_step(&a, moved));
    assert_ok(nft_trainer_step(&b, plain));
    assert_true(a.loss != b.loss);
    nft_trainer_free(plain);
    nft_trainer_free(moved);
    nft_model_free(model);
}

/* The second of two ranks moves its half of a batch as a single process does. */
static void same_on_ranks(void **state)
{
    (void)state;
    nft_model *model = support_model(PREDICTOR, 1);
    nft_weights *set = make_set(model, SAMPLES, 2);
    nft_trainer *whole = make_trainer(model, MOVED "}}", 1), *second = make_second_rank(model, MOVED "}}");
    assert_ok(set_data(whole, set, NULL));
    assert_ok(set_data(second, set, NULL));
    assert_ok(nft_trainer_step(NULL, whole));
    assert_ok(nft_trainer_step(NULL, second));
    same_second_half(whole->source.augmented, second->source.augmented);
    nft_trainer_free(second);
    nft_trainer_free(whole);
    nft_weights_free(set);
    nft_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moves_the_image),
        cmocka_unit_test(draws_anew),
        cmocka_unit_test(stays_canonical),
        cmocka_unit_test(trains_on_moved_networks),
        cmocka_unit_test(repeats),
        cmocka_unit_test(refused_recipes),
        cmocka_unit_test(refused_frequency),
        cmocka_unit_test(memory_is_planned),
        cmocka_unit_test(moves_batches_of_a_callback),
        cmocka_unit_test(same_on_ranks),
    };
    return cmocka_run_group_tests_name("augmentation", tests, temporary_open, temporary_close);
}
