/* The auxiliary head of a training: its gradients against finite differences, its weight, its checkpoints,
 * and refused recipes. */
#define _XOPEN_SOURCE 700
#include "nft/inr.h"
#include "nft/train.h"
#include "train/trainer.h"
#include "unit/temporary.h"
#include "unit/training.h"

#include <pthread.h>

#define STEPS 5
#define TRUNK                                                                                                \
    MLP("{'type': 'normalize'}, {'type': 'gaussian_fourier', 'mapping_size': 4}, {'type': "                  \
        "'learned_pos_embedding'}, {'type': 'nft_block', 'dropout': 0.1}, {'type': 'flatten_weights'}, "     \
        "{'type': 'perceiver', 'num_latents': 4, 'latent_dim': 6}, {'type': 'mean_tokens'}, {'type': "       \
        "'linear', 'out_features': 1}, {'type': 'sigmoid'}")                                                 \
    "}"
#define PLAIN_TRUNK                                                                                          \
    MLP("{'type': 'gaussian_fourier', 'mapping_size': 4}, {'type': 'learned_pos_embedding'}, {'type': "      \
        "'pointwise', 'out_channels': 6}, {'type': 'flatten_weights'}, {'type': 'linear', "                  \
        "'out_features': 6}, {'type': 'perceiver', 'num_latents': 4, 'latent_dim': 6}, {'type': "            \
        "'mean_tokens'}, {'type': 'linear', 'out_features': 1}, {'type': 'sigmoid'}")                        \
    "}"
#define DECODER                                                                                              \
    "'decoder': {'type': 'hypernetwork', 'style': 'per_tensor', 'hidden_size': 5, 'hidden_layers': 1, "      \
    "'additive': true, 'height': 6, 'width': 4}"
/* Of the latents, four tokens, and of their mean, a vector. */
#define OF_TOKENS_HEAD(weight)                                                                               \
    "'auxiliary': {'module': 5, 'modules': [{'type': 'linear', 'out_features': 7}, {'type': 'relu'}], "      \
    "'weight': " weight ", " DECODER "}"
#define OF_VECTOR_HEAD "'auxiliary': {'module': 6, 'weight': 300, " DECODER "}"
#define LOSS(optimizer, more)                                                                                \
    "{'loss': 'bce', 'optimizer': " optimizer                                                                \
    ", 'batch_size': 4, 'steps': 5, 'seed': 3, 'validate_every': 2, " more "}"
#define STILL "{'type': 'adam', 'lr': 0}"
#define MOVING "{'type': 'adamw', 'lr': 0.01}"

static nft_weights *sirens(const nft_model *model, int64_t count, uint64_t seed)
{
    nft_weights *set = make_set(model, count, seed);
    assert_ok(nft_inr_init(set, seed, 0, 0));
    return set;
}

static nft_trainer *trainer_of(const nft_model *model, const nft_weights *set, const char *recipe,
                               int32_t threads)
{
    nft_trainer *trainer = make_trainer(model, recipe, threads);
    assert_ok(set_data(trainer, set, set));
    return trainer;
}

/* ---- gradients ---- */

/* Without an update, and with all samples in each batch. */
static double loss_of(nft_trainer *trainer)
{
    nft_step_info info = NFT_STEP_INFO_INIT;
    nft_trainer_values_changed(trainer);
    assert_ok(nft_trainer_step(&info, trainer));
    return info.loss;
}

static double squares(const float *x, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += (double)x[i] * (double)x[i];
    return sum;
}

/* Along the gradient g of the numbers x: (f(x + h g/|g|) - f(x - h g/|g|)) / 2h is |g|. */
static void check_slope(const char *what, nft_trainer *trainer, float *x, const float *gradients,
                        int64_t count)
{
    const double h = 1e-3;
    float *kept = support_allocate((size_t)count * sizeof *kept),
          *gradient = support_allocate((size_t)count * sizeof *gradient);
    double losses[2];
    loss_of(trainer);
    memcpy(kept, x, (size_t)count * sizeof *x);
    memcpy(gradient, gradients, (size_t)count * sizeof *gradient);
    double norm = sqrt(squares(gradient, count));
    assert_true(norm > 1e-4);
    for (int side = 0; side < 2; side++) {
        for (int64_t i = 0; i < count; i++)
            x[i] = (float)((double)kept[i] + (side ? -h : h) * (double)gradient[i] / norm);
        losses[side] = loss_of(trainer);
    }
    memcpy(x, kept, (size_t)count * sizeof *x);
    double found = (losses[0] - losses[1]) / (2 * h);
    if (!(fabs(found - norm) <= 2e-2 * norm))
        fail_msg("%s: the slope is %.6g, the gradient says %.6g", what, found, norm);
    free(kept);
    free(gradient);
}

static void check_norm(nft_trainer *trainer)
{
    nft_step_info info = NFT_STEP_INFO_INIT;
    assert_ok(nft_trainer_step(&info, trainer));
    double sum = squares(trainer->loop.gradients->values, trainer->model->parameters.total) +
                 squares(trainer->auxiliary.gradients->values, trainer->auxiliary.model->parameters.total);
    assert_true(fabs(info.grad_norm - sqrt(sum)) < 1e-6 * sqrt(sum));
}

/* The parameters of the modules before `end`. */
static int64_t numbers_before(const nft_model *model, int64_t end)
{
    return model->parameters.items[model->sequence->steps[end].first_parameter].offset;
}

static void check_gradients(const char *recipe)
{
    nft_model *model = support_model(PLAIN_TRUNK, 1);
    nft_weights *set = sirens(model, 4, 2);
    nft_trainer *trainer = trainer_of(model, set, recipe, 2);
    nft_model *own = trainer->model, *head = trainer->auxiliary.model;
    int64_t trunk = numbers_before(own, 6);
    check_norm(trainer);
    check_slope("the modules before both heads", trainer, own->values, trainer->loop.gradients->values,
                trunk);
    check_slope("all of the model", trainer, own->values, trainer->loop.gradients->values,
                own->parameters.total);
    check_slope("the auxiliary head", trainer, head->values, trainer->auxiliary.gradients->values,
                head->parameters.total);
    nft_trainer_free(trainer);
    nft_weights_free(set);
    nft_model_free(model);
}

/* Weights for which the image is most of the gradient of the modules before both heads. */
static void are_those_of_the_sum(void **state)
{
    (void)state;
    check_gradients(LOSS(STILL, OF_TOKENS_HEAD("300")));
    check_gradients(LOSS(STILL, OF_VECTOR_HEAD));
}

/* The modules before the value learn from the image alone, where the labels say nothing. */
static void image_loss_is_added(void **state)
{
    (void)state;
    nft_model *model = support_model(PLAIN_TRUNK, 1);
    nft_weights *set = sirens(model, 4, 2);
    nft_trainer *without = trainer_of(model, set, LOSS(STILL, "'shuffle': true"), 1),
                *half = trainer_of(model, set, LOSS(STILL, OF_TOKENS_HEAD("0.5")), 1),
                *whole = trainer_of(model, set, LOSS(STILL, OF_TOKENS_HEAD("1")), 1);
    double a = loss_of(without), b = loss_of(half), c = loss_of(whole);
    assert_true(b > a + 1e-3);
    assert_true(fabs((c - a) - 2 * (b - a)) < 1e-9);
    nft_trainer_free(without);
    nft_trainer_free(half);
    nft_trainer_free(whole);
    nft_weights_free(set);
    nft_model_free(model);
}

/* The image of the moved network is the target: the loss changes, but the head, whose last map is 0, does not
 * look at the network. */
static void follows_augmentation(void **state)
{
    (void)state;
    nft_model *model = support_model(PLAIN_TRUNK, 1);
    nft_weights *set = sirens(model, 4, 2);
    static const char *const recipes[] = {
        LOSS(STILL, OF_TOKENS_HEAD("1")),
        LOSS(STILL, OF_TOKENS_HEAD("1") ", 'augment': {'shift': 0.5}"),
    };
    double losses[2];
    for (int i = 0; i < 2; i++) {
        nft_trainer *trainer = trainer_of(model, set, recipes[i], 1);
        memset(trainer->model->values, 0, (size_t)model->parameters.total * sizeof(float));
        losses[i] = loss_of(trainer);
        nft_trainer_free(trainer);
    }
    assert_true(fabs(losses[0] - losses[1]) > 1e-4);
    nft_weights_free(set);
    nft_model_free(model);
}

/* ---- trainings ---- */

static support_result values_after(const char *recipe, int32_t threads, nft_step_info *info)
{
    nft_model *model = support_model(TRUNK, 1);
    nft_weights *set = sirens(model, 7, 2);
    nft_trainer *trainer = trainer_of(model, set, recipe, threads);
    assert_ok(nft_trainer_fit_normalize(trainer));
    for (int i = 0; i < STEPS; i++)
        assert_ok(nft_trainer_step(info, trainer));
    support_result all = trainer_values(trainer);
    nft_trainer_free(trainer);
    nft_weights_free(set);
    nft_model_free(model);
    return all;
}

static void weight_0_changes_no_bit(void **state)
{
    (void)state;
    nft_step_info a = NFT_STEP_INFO_INIT, b = NFT_STEP_INFO_INIT;
    support_result with = values_after(LOSS(MOVING, "'grad_clip': 0.1, " OF_TOKENS_HEAD("0")), 1, &a),
                   without = values_after(LOSS(MOVING, "'grad_clip': 0.1"), 1, &b);
    same_values("the parameters", with, without);
    assert_true(a.loss == b.loss && a.grad_norm == b.grad_norm);
    free(with.values);
    free(without.values);
}

static void threads_change_no_bit(void **state)
{
    (void)state;
    nft_step_info a = NFT_STEP_INFO_INIT, b = NFT_STEP_INFO_INIT;
    support_result one = values_after(LOSS(MOVING, OF_TOKENS_HEAD("1")), 1, &a),
                   three = values_after(LOSS(MOVING, OF_TOKENS_HEAD("1")), 3, &b);
    same_values("the parameters", one, three);
    assert_true(a.loss == b.loss && a.grad_norm == b.grad_norm);
    free(one.values);
    free(three.values);
}

static int stop_after(const nft_step_info *info, void *user)
{
    return info->step + 1 == *(const int64_t *)user;
}

/* Moments and parameters of the head are in the checkpoint, or the steps would differ. */
static void resumes(void **state)
{
    (void)state;
    static const char recipe[] = LOSS(MOVING, "'ema_decay': 0.9, " OF_TOKENS_HEAD("1"));
    const char *path = temporary_path("auxiliary.safetensors");
    nft_model *model = support_model(TRUNK, 1);
    nft_weights *set = sirens(model, 7, 2);
    nft_trainer *whole = trainer_of(model, set, recipe, 1);
    assert_ok(nft_trainer_run(whole, NULL, NULL));
    support_result expected = trainer_values(whole);
    for (int64_t step = 1; step < STEPS; step++) {
        nft_trainer *first = trainer_of(model, set, recipe, 2), *second = trainer_of(model, set, recipe, 1);
        assert_int_equal(nft_trainer_run(first, stop_after, &step), NFT_ERROR_CANCELLED);
        assert_ok(nft_trainer_save(first, path));
        assert_ok(nft_trainer_resume(second, path));
        assert_ok(nft_trainer_run(second, NULL, NULL));
        support_result values = trainer_values(second);
        same_values("the parameters", values, expected);
        support_identical("the head", whole->auxiliary.model->parameters.total,
                          second->auxiliary.model->values, whole->auxiliary.model->values);
        free(values.values);
        nft_trainer_free(first);
        nft_trainer_free(second);
    }
    nft_trainer *other = trainer_of(model, set, LOSS(MOVING, "'ema_decay': 0.9, " OF_TOKENS_HEAD("0.5")), 1);
    assert_int_equal(nft_trainer_resume(other, path), NFT_ERROR_MISMATCH);
    expect_message("'recipe.auxiliary.weight' was 1, now it is 0.5");
    nft_trainer_free(other);
    free(expected.values);
    nft_trainer_free(whole);
    nft_weights_free(set);
    nft_model_free(model);
}

/* ---- two ranks ---- */

typedef struct meeting {
    pthread_barrier_t barrier;
    float *values[2];
    double *sums[2];
} meeting;

typedef struct seat {
    meeting *meeting;
    int rank;
    nft_trainer *trainer;
    nft_status status;
} seat;

static int add(double *sums, int64_t sum_count, float *values, int64_t value_count, void *user)
{
    const seat *own = user;
    meeting *m = own->meeting;
    m->values[own->rank] = values;
    m->sums[own->rank] = sums;
    pthread_barrier_wait(&m->barrier);
    for (int64_t i = 0; own->rank == 0 && i < value_count; i++)
        m->values[1][i] = values[i] += m->values[1][i];
    for (int64_t i = 0; own->rank == 0 && i < sum_count; i++)
        m->sums[1][i] = sums[i] += m->sums[1][i];
    pthread_barrier_wait(&m->barrier);
    return 0;
}

static void *take_steps(void *argument)
{
    seat *own = argument;
    for (int i = 0; i < STEPS && !own->status; i++)
        own->status = nft_trainer_step(NULL, own->trainer);
    return NULL;
}

/* A large eps: otherwise Adam would make steps of pure rounding. */
static void ranks_agree(void **state)
{
    (void)state;
    static const char recipe[] = LOSS("{'type': 'adamw', 'lr': 0.01, 'eps': 0.01}", OF_TOKENS_HEAD("1"));
    nft_model *model = support_model(TRUNK, 1);
    nft_weights *set = sirens(model, 7, 2);
    nft_trainer *alone = trainer_of(model, set, recipe, 1);
    char *json = support_json(recipe);
    meeting m = {.sums = {NULL}};
    seat seats[2] = {{&m, 0, NULL, NFT_OK}, {&m, 1, NULL, NFT_OK}};
    pthread_t threads[2];
    assert_int_equal(pthread_barrier_init(&m.barrier, NULL, 2), 0);
    for (int r = 0; r < 2; r++) {
        nft_trainer_options options = NFT_TRAINER_OPTIONS_INIT;
        options.threads = 1;
        options.ranks = 2;
        options.rank = r;
        options.reduce = add;
        options.reduce_user = &seats[r];
        assert_ok(nft_trainer_create(&seats[r].trainer, model, json, strlen(json), &options));
        assert_ok(set_data(seats[r].trainer, set, NULL));
    }
    for (int r = 0; r < 2; r++)
        assert_int_equal(pthread_create(&threads[r], NULL, take_steps, &seats[r]), 0);
    for (int r = 0; r < 2; r++)
        pthread_join(threads[r], NULL);
    for (int i = 0; i < STEPS; i++)
        assert_ok(nft_trainer_step(NULL, alone));
    const nft_model *heads[] = {seats[0].trainer->auxiliary.model, seats[1].trainer->auxiliary.model,
                                alone->auxiliary.model};
    for (int r = 0; r < 2; r++)
        assert_ok(seats[r].status);
    support_identical("the head of the ranks", heads[0]->parameters.total, heads[0]->values,
                      heads[1]->values);
    for (int64_t i = 0; i < heads[0]->parameters.total; i++)
        if (fabsf(heads[0]->values[i] - heads[2]->values[i]) > 1e-4f)
            fail_msg("number %d of the head is %g, alone %g", (int)i, (double)heads[0]->values[i],
                     (double)heads[2]->values[i]);
    for (int r = 0; r < 2; r++)
        nft_trainer_free(seats[r].trainer);
    pthread_barrier_destroy(&m.barrier);
    nft_trainer_free(alone);
    free(json);
    nft_weights_free(set);
    nft_model_free(model);
}

/* ---- the rest ---- */

/* The trained model has no auxiliary head. */
static void head_is_not_saved(void **state)
{
    (void)state;
    nft_model *model = support_model(TRUNK, 1), *trained = NULL;
    nft_weights *set = sirens(model, 7, 2);
    nft_trainer *trainer = trainer_of(model, set, LOSS(MOVING, OF_TOKENS_HEAD("1")), 1);
    assert_ok(nft_trainer_run(trainer, NULL, NULL));
    assert_ok(nft_trainer_snapshot(&trained, trainer, NFT_SNAPSHOT_BEST));
    assert_int_equal(nft_model_describe(trained)->tensor_count, nft_model_describe(model)->tensor_count);
    assert_string_equal(nft_model_describe(trained)->config, nft_model_describe(model)->config);
    nft_model_free(trained);
    nft_trainer_free(trainer);
    nft_weights_free(set);
    nft_model_free(model);
}

static void counts_its_memory(void **state)
{
    (void)state;
    nft_model *model = support_model(TRUNK, 1);
    nft_weights *set = sirens(model, 7, 2);
    nft_trainer *trainer = trainer_of(model, set, LOSS(MOVING, OF_TOKENS_HEAD("1")), 1);
    int64_t more = memory_between(model, LOSS(MOVING, OF_TOKENS_HEAD("1")), LOSS(MOVING, "'shuffle': true"));
    int64_t values = trainer->auxiliary.model->parameters.total * (int64_t)sizeof(float);
    assert_true(more >= 4 * values + nft_context_bytes(trainer->auxiliary.context));
    nft_trainer_free(trainer);
    nft_weights_free(set);
    nft_model_free(model);
}

static void refuses_what_makes_no_sense(void **state)
{
    (void)state;
    static const struct {
        const char *model, *head, *message;
    } cases[] = {
        {TRUNK, "'auxiliary': {" DECODER "}", "'module'"},
        {TRUNK, "'auxiliary': {'module': 5}", "'decoder'"},
        {TRUNK, "'auxiliary': {'module': 9, " DECODER "}", "the model has modules 0 … 8"},
        {TRUNK, "'auxiliary': {'module': 3, " DECODER "}", "the output of module 3 is features"},
        {TRUNK, "'auxiliary': {'module': 5, 'weight': -1, " DECODER "}", "'weight'"},
        {TRUNK, "'auxiliary': {'module': 5, 'loss': 'mse', " DECODER "}", "'loss'"},
        {TRUNK, "'auxiliary': {'module': 5, 'modules': 3, " DECODER "}", "'modules' is not a list"},
        {TRUNK, "'auxiliary': {'module': 5, 'modules': [{'type': 'hnp_pool'}], " DECODER "}",
         "auxiliary.modules[0]"},
        {TRUNK, "'auxiliary': {'module': 5, 'decoder': {'type': 'hypernetwork'}}", "auxiliary.decoder"},
        {CNN("{'type': 'hnp_pool'}, {'type': 'linear', 'out_features': 1}, {'type': 'sigmoid'}") "}",
         "'auxiliary': {'module': 0, " DECODER "}", "auxiliary: "},
        {"{'format_version': 1, 'input': {'type': 'tokens', 'tokens': 4, 'channels': 2}, 'modules': "
         "[{'type': "
         "'linear', 'out_features': 4}, {'type': 'mean_tokens'}, {'type': 'sigmoid'}]}",
         "'auxiliary': {'module': 0, " DECODER "}", "auxiliary: renders the networks of a model"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char recipe[1024];
        nft_trainer *trainer = NULL;
        nft_model *model = support_model(cases[i].model, 1);
        snprintf(recipe, sizeof recipe, "{'loss': 'bce', " ADAMW ", 'batch_size': 4, 'steps': 2, %s}",
                 cases[i].head);
        char *json = support_json(recipe);
        if (nft_trainer_create(&trainer, model, json, strlen(json), NULL) == NFT_OK)
            fail_msg("no error for %s", cases[i].head);
        expect_message(cases[i].message);
        free(json);
        nft_model_free(model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(are_those_of_the_sum),  cmocka_unit_test(image_loss_is_added),
        cmocka_unit_test(follows_augmentation),  cmocka_unit_test(weight_0_changes_no_bit),
        cmocka_unit_test(threads_change_no_bit), cmocka_unit_test(resumes),
        cmocka_unit_test(ranks_agree),           cmocka_unit_test(head_is_not_saved),
        cmocka_unit_test(counts_its_memory),     cmocka_unit_test(refuses_what_makes_no_sense),
    };
    return cmocka_run_group_tests_name("auxiliary", tests, temporary_open, temporary_close);
}
