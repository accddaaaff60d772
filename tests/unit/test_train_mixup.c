/* MixUp: the alignment of two networks, the shares, the mixed networks and losses, and trainings. */
#define _XOPEN_SOURCE 700
#include "nft/inr.h"
#include "nft/train.h"
#include "siren/align.h"
#include "siren/siren.h"
#include "train/trainer.h"
#include "unit/temporary.h"
#include "unit/training.h"

#define ALPHA 0.4
#define CLASSES                                                                                              \
    MLP("{'type': 'pointwise', 'out_channels': 4}, {'type': 'hnp_pool'}, {'type': 'linear', "                \
        "'out_features': "                                                                                   \
        "3}")                                                                                                \
    "}"
#define RECIPE_OF(loss, more)                                                                                \
    "{'loss': '" loss "', " ADAMW ", 'batch_size': 6, 'steps': 4, 'seed': 3, 'validate_every': 2" more "}"
#define MIXED ", 'augment': {'mixup': 0.4}"

static nft_weights *sirens(const nft_space *space, int64_t count, uint64_t seed)
{
    nft_weights *set = NULL;
    assert_ok(nft_weights_create(&set, space, count, 1, NULL));
    assert_ok(nft_inr_init(set, seed, 0, 0));
    return set;
}

static nft_weights *copy_of(const nft_weights *set)
{
    nft_weights *copy = NULL;
    assert_ok(nft_weights_create(&copy, set->space, set->count, 1, NULL));
    for (int64_t t = 0; t < set->space->tensor_count; t++)
        memcpy(nft_weights_edit(copy, t), nft_weights_data(set, t),
               (size_t)nft_weights_data_count(set, t) * sizeof(float));
    return copy;
}

static nft_weights *with_classes(const nft_model *model, int64_t count, uint64_t seed)
{
    nft_weights *set = sirens(model->space, count, seed);
    int64_t labels[64];
    nft_array *label = NULL;
    for (int64_t i = 0; i < count; i++)
        labels[i] = i % 3;
    assert_ok(nft_array_create(&label, NFT_ARRAY_I64, &count, 1, labels));
    assert_ok(nft_weights_set_extra(set, "label", label));
    nft_array_free(label);
    return set;
}

/* ---- alignment ---- */

/* The order of neurons is found again, although the weights have noise. */
static void alignment_finds_the_order(void **state)
{
    (void)state;
    nft_space *space = SUPPORT_MLP(2, 9, 7, 1);
    nft_weights *original = sirens(space, 3, 5), *expected = sirens(space, 3, 5);
    nft_siren_alignment *alignment = NULL;
    nft_random random = {8, 8};
    uint64_t drawn = 0;
    for (int64_t t = 0; t < space->tensor_count; t++)
        for (int64_t i = 0; i < nft_weights_data_count(expected, t); i++)
            nft_weights_edit(expected, t)[i] += 1e-3f * nft_random_normal(&random, drawn++);
    nft_weights *shuffled = copy_of(expected);
    assert_ok(nft_weights_permute_random(shuffled, 11, 0));
    assert_ok(nft_siren_alignment_create(&alignment, space));
    for (int64_t i = 0; i < 3; i++)
        nft_siren_align(alignment, (float *const *)shuffled->data, i, original->data, i);
    for (int64_t t = 0; t < space->tensor_count; t++)
        support_identical("the aligned network", nft_weights_data_count(expected, t),
                          nft_weights_data(shuffled, t), nft_weights_data(expected, t));
    nft_siren_alignment_free(alignment);
    nft_weights_free(original);
    nft_weights_free(shuffled);
    nft_weights_free(expected);
    nft_space_free(space);
}

static double distance(const nft_weights *a, const nft_weights *b, int64_t tensor, const int64_t *order,
                       int64_t neurons, int64_t width)
{
    double sum = 0;
    for (int64_t i = 0; i < neurons; i++)
        for (int64_t k = 0; k < width; k++) {
            double d = (double)nft_weights_data(a, tensor)[i * width + k] -
                       (double)nft_weights_data(b, tensor)[order[i] * width + k];
            sum += d * d;
        }
    return sum;
}

/* The sum of distances over the best of all 120 orders of five neurons. */
static double best_distance(const nft_weights *a, const nft_weights *b)
{
    double best = INFINITY;
    for (int64_t code = 0; code < 3125; code++) {
        int64_t order[5], rest = code;
        bool used[5] = {false}, valid = true;
        for (int i = 0; i < 5; i++, rest /= 5) {
            order[i] = rest % 5;
            valid = valid && !used[order[i]];
            used[order[i]] = true;
        }
        if (valid)
            best = fmin(best, distance(a, b, NFT_WEIGHT_OF(0), order, 5, 2) +
                                  distance(a, b, NFT_BIAS_OF(0), order, 5, 1));
    }
    return best;
}

static void alignment_is_the_best_order(void **state)
{
    (void)state;
    static const int64_t same[] = {0, 1, 2, 3, 4};
    nft_space *space = SUPPORT_MLP(2, 5, 4, 1);
    nft_siren_alignment *alignment = NULL;
    assert_ok(nft_siren_alignment_create(&alignment, space));
    for (uint64_t seed = 0; seed < 8; seed++) {
        nft_weights *a = sirens(space, 1, seed), *b = sirens(space, 1, 100 + seed);
        double best = best_distance(a, b);
        nft_siren_align(alignment, (float *const *)b->data, 0, a->data, 0);
        double found =
            distance(a, b, NFT_WEIGHT_OF(0), same, 5, 2) + distance(a, b, NFT_BIAS_OF(0), same, 5, 1);
        assert_true(fabs(found - best) < 1e-9 * best);
        nft_weights_free(a);
        nft_weights_free(b);
    }
    nft_siren_alignment_free(alignment);
    nft_space_free(space);
}

/* Only the order changes, so the image stays. */
static void alignment_keeps_the_function(void **state)
{
    (void)state;
    nft_space *space = SUPPORT_MLP(2, 9, 7, 1);
    nft_weights *a = sirens(space, 1, 1), *b = sirens(space, 1, 2);
    nft_array *before = NULL, *after = NULL;
    nft_siren_alignment *alignment = NULL;
    assert_ok(nft_siren_alignment_create(&alignment, space));
    assert_ok(nft_inr_render(&before, b, 0, 1, 8, 8, NULL));
    nft_siren_align(alignment, (float *const *)b->data, 0, a->data, 0);
    assert_ok(nft_inr_render(&after, b, 0, 1, 8, 8, NULL));
    for (int64_t i = 0; i < 64; i++)
        assert_true(fabsf(nft_array_f32(before)[i] - nft_array_f32(after)[i]) < 1e-4f);
    nft_array_free(before);
    nft_array_free(after);
    nft_siren_alignment_free(alignment);
    nft_weights_free(a);
    nft_weights_free(b);
    nft_space_free(space);
}

/* ---- shares ---- */

/* Beta(alpha, alpha) has the mean 1/2 and the variance 1 / (8 alpha + 4). */
static void shares_have_their_distribution(void **state)
{
    (void)state;
    static const double alphas[] = {0.05, 0.4, 1, 4};
    const int64_t count = 20000;
    for (size_t a = 0; a < COUNT(alphas); a++) {
        nft_random random = nft_mixup_random(1, 2);
        double sum = 0, squares = 0;
        for (int64_t i = 0; i < count; i++) {
            double share = nft_mixup_share(alphas[a], &random, i);
            assert_true(share >= 0 && share <= 1);
            sum += share - 0.5;
            squares += (share - 0.5) * (share - 0.5);
        }
        double variance = 1 / (8 * alphas[a] + 4);
        assert_true(fabs(sum / (double)count) < 4 * sqrt(variance / (double)count));
        assert_true(fabs(squares / (double)count - variance) < 0.03 * variance);
    }
}

static void partners_are_others(void **state)
{
    (void)state;
    bool met[5] = {false};
    for (int64_t step = 0; step < 100; step++) {
        nft_random random = nft_mixup_random(1, step);
        int64_t found = nft_mixup_distance(&random, 5);
        assert_true(found >= 1 && found <= 4);
        met[found] = true;
    }
    assert_true(met[1] && met[2] && met[3] && met[4]);
}

/* ---- losses ---- */

/* The mean of the losses with both labels, and its gradient; of bce also the loss with the mean target. */
static void loss_has_two_labels(void **state)
{
    (void)state;
    static const char *const losses[] = {"cross_entropy", "bce", "mse"};
    const float output[] = {0.2f, 0.7f, 0.4f}, a[] = {1, 0, 0.3f}, b[] = {0.2f, 0.9f, 1};
    for (size_t l = 0; l < COUNT(losses); l++) {
        float of_a[3], of_b[3], mixed[3], scratch[3];
        nft_objective objective = {.outputs = 3, .other_gradient = scratch};
        for (int i = 0; i < NFT_LOSS_COUNT; i++)
            if (!strcmp(nft_losses[i].name, losses[l]))
                objective.loss = &nft_losses[i];
        nft_sample sample = {.target = a, .label = 1}, other = {.target = b, .label = 2};
        double first = nft_objective_loss(&objective, &sample, output, 0.5, of_a),
               second = nft_objective_loss(&objective, &other, output, 0.5, of_b);
        sample.other_share = 0.3;
        sample.other_target = b;
        sample.other_label = 2;
        double found = nft_objective_loss(&objective, &sample, output, 0.5, mixed);
        assert_true(fabs(found - (0.7 * first + 0.3 * second)) < 1e-12);
        for (int i = 0; i < 3; i++)
            assert_true(fabsf(mixed[i] - (0.7f * of_a[i] + 0.3f * of_b[i])) < 1e-6f);
    }
}

/* ---- trainings ---- */

static nft_trainer *trainer_of(const nft_model *model, const nft_weights *set, const char *recipe,
                               int32_t threads)
{
    nft_trainer *trainer = make_trainer(model, recipe, threads);
    assert_ok(set_data(trainer, set, set));
    return trainer;
}

/* The batch of a step is mixed as the formula says. */
static void networks_of_a_batch_are_mixed(void **state)
{
    (void)state;
    nft_model *model = support_model(CLASSES, 1);
    nft_weights *set = with_classes(model, 6, 2);
    nft_trainer *trainer = trainer_of(model, set, RECIPE_OF("cross_entropy", ", 'shuffle': false" MIXED), 1);
    nft_random random = nft_mixup_random(3, 0);
    int64_t step_back = nft_mixup_distance(&random, 6);
    nft_siren_alignment *alignment = NULL;
    assert_ok(nft_siren_alignment_create(&alignment, model->space));
    assert_ok(nft_trainer_step(NULL, trainer));
    for (int64_t place = 0; place < 6; place++) {
        nft_weights *other = copy_of(set);
        int64_t partner = (place + step_back) % 6;
        double share = nft_mixup_share(ALPHA, &random, place);
        nft_siren_align(alignment, (float *const *)other->data, partner, set->data, place);
        const nft_sample *sample = &trainer->source.samples[place];
        assert_true(fabs(sample->other_share - (1 - share)) < 1e-15);
        assert_int_equal(sample->label, place % 3);
        assert_int_equal(sample->other_label, partner % 3);
        for (int64_t t = 0; t < other->space->tensor_count; t++) {
            int64_t numbers = other->space->tensors[t].tokens;
            for (int64_t i = 0; i < numbers; i++) {
                double expected = share * (double)set->data[t][place * numbers + i] +
                                  (1 - share) * (double)other->data[t][partner * numbers + i];
                float found = sample->input.weights->data[t][sample->input.index * numbers + i];
                assert_true(fabs((double)found - expected) < 1e-6);
            }
        }
        nft_weights_free(other);
    }
    nft_siren_alignment_free(alignment);
    nft_trainer_free(trainer);
    nft_weights_free(set);
    nft_model_free(model);
}

/* Means of networks in canonical form are in it. Those of the set are not. */
static void mixed_networks_are_canonical(void **state)
{
    (void)state;
    nft_model *model = support_model(CLASSES, 1);
    nft_weights *set = with_classes(model, 6, 2);
    for (int canonical = 0; canonical < 2; canonical++) {
        nft_trainer *trainer = trainer_of(
            model, set,
            canonical ? RECIPE_OF("cross_entropy", ", 'augment': {'mixup': 0.4, 'canonical': true}")
                      : RECIPE_OF("cross_entropy", MIXED),
            1);
        assert_ok(nft_trainer_step(NULL, trainer));
        const nft_weights *mixed = trainer->source.mixup.networks;
        nft_weights *expected = copy_of(mixed);
        assert_ok(nft_inr_canonicalize(expected, 30));
        int64_t count = nft_weights_data_count(mixed, 3);
        bool same =
            !memcmp(nft_weights_data(mixed, 3), nft_weights_data(expected, 3), (size_t)count * sizeof(float));
        assert_int_equal(same, canonical);
        nft_weights_free(expected);
        nft_trainer_free(trainer);
    }
    nft_weights_free(set);
    nft_model_free(model);
}

static support_result values_after(const char *recipe, int32_t threads)
{
    nft_model *model = support_model(CLASSES, 1);
    nft_weights *set = with_classes(model, 9, 2);
    nft_trainer *trainer = trainer_of(model, set, recipe, threads);
    assert_ok(nft_trainer_run(trainer, NULL, NULL));
    support_result all = trainer_values(trainer);
    nft_trainer_free(trainer);
    nft_weights_free(set);
    nft_model_free(model);
    return all;
}

static void threads_change_no_bit(void **state)
{
    (void)state;
    support_result one = values_after(RECIPE_OF("cross_entropy", MIXED), 1),
                   three = values_after(RECIPE_OF("cross_entropy", MIXED), 3),
                   without = values_after(RECIPE_OF("cross_entropy", ""), 1);
    same_values("the parameters", one, three);
    assert_true(memcmp(one.values, without.values, (size_t)one.count * sizeof *one.values) != 0);
    free(one.values);
    free(three.values);
    free(without.values);
}

/* The second of two ranks mixes the same networks as one process, although some are the first rank's. */
static void ranks_mix_the_same(void **state)
{
    (void)state;
    nft_model *model = support_model(CLASSES, 1);
    nft_weights *set = with_classes(model, 9, 2);
    nft_trainer *whole = trainer_of(model, set, RECIPE_OF("cross_entropy", MIXED), 1),
                *second = make_second_rank(model, RECIPE_OF("cross_entropy", MIXED));
    assert_ok(set_data(second, set, NULL));
    assert_ok(nft_trainer_step(NULL, whole));
    assert_ok(nft_trainer_step(NULL, second));
    same_second_half(whole->source.mixup.networks, second->source.mixup.networks);
    nft_trainer_free(whole);
    nft_trainer_free(second);
    nft_weights_free(set);
    nft_model_free(model);
}

static void checkpoints_know_it(void **state)
{
    (void)state;
    const char *path = temporary_path("mixup.safetensors");
    nft_model *model = support_model(CLASSES, 1);
    nft_weights *set = with_classes(model, 9, 2);
    nft_trainer *mixed = trainer_of(model, set, RECIPE_OF("cross_entropy", MIXED), 1),
                *other = trainer_of(model, set, RECIPE_OF("cross_entropy", ", 'augment': {}"), 1);
    assert_ok(nft_trainer_save(mixed, path));
    assert_ok(nft_trainer_resume(mixed, path));
    assert_int_equal(nft_trainer_resume(other, path), NFT_ERROR_MISMATCH);
    expect_message("'recipe.augment.mixup' was 0.4, now it is missing");
    nft_trainer_free(mixed);
    nft_trainer_free(other);
    nft_weights_free(set);
    nft_model_free(model);
}

static void refuses_what_makes_no_sense(void **state)
{
    (void)state;
    static const struct {
        const char *recipe, *message;
    } cases[] = {
        {RECIPE_OF("cross_entropy", ", 'augment': {'mixup': 0}"), "'mixup'"},
        {RECIPE_OF("cross_entropy", ", 'augment': {'mixup': 5}"), "'mixup'"},
        {RECIPE_OF("cross_entropy", ", 'augment': {'mixup': true}"), "'mixup'"},
        {"{'loss': 'cross_entropy', " ADAMW ", 'batch_size': 1, 'steps': 4, 'augment': {'mixup': 1}}",
         "'batch_size' is 1"},
    };
    nft_model *model = support_model(CLASSES, 1);
    for (size_t i = 0; i < COUNT(cases); i++) {
        nft_trainer *trainer = NULL;
        char *json = support_json(cases[i].recipe);
        assert_int_equal(nft_trainer_create(&trainer, model, json, strlen(json), NULL), NFT_ERROR_CONFIG);
        expect_message(cases[i].message);
        free(json);
    }
    nft_model_free(model);
}

static void counts_its_memory(void **state)
{
    (void)state;
    nft_model *model = support_model(CLASSES, 1);
    int64_t more = memory_between(model, RECIPE_OF("cross_entropy", MIXED),
                                  RECIPE_OF("cross_entropy", ", 'augment': {}"));
    assert_true(more >= 6 * model->space->numbers * (int64_t)sizeof(float));
    nft_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alignment_finds_the_order),
        cmocka_unit_test(alignment_is_the_best_order),
        cmocka_unit_test(alignment_keeps_the_function),
        cmocka_unit_test(shares_have_their_distribution),
        cmocka_unit_test(partners_are_others),
        cmocka_unit_test(loss_has_two_labels),
        cmocka_unit_test(networks_of_a_batch_are_mixed),
        cmocka_unit_test(mixed_networks_are_canonical),
        cmocka_unit_test(threads_change_no_bit),
        cmocka_unit_test(ranks_mix_the_same),
        cmocka_unit_test(checkpoints_know_it),
        cmocka_unit_test(refuses_what_makes_no_sense),
        cmocka_unit_test(counts_its_memory),
    };
    return cmocka_run_group_tests_name("mixup", tests, temporary_open, temporary_close);
}
