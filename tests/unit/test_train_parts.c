/* The parts of training, against numbers computed separately: losses, optimizers, schedule, order of
 * the samples, recipes. */
#include "unit/models.h"

#include "train/recipe.h"
#include "train/sampler.h"

#define UPDATES 6

static void near(double found, double expected, double relative)
{
    if (!(fabs(found - expected) <= relative * fabs(expected) + 1e-12))
        fail_msg("%.9g, expected %.9g", found, expected);
}

/* Central differences of the loss agree with the gradient that it gives. */
static void check_gradient(const nft_loss *loss, int64_t n, const float *output, const void *target)
{
    float gradient[8], moved[8];
    double scale = 0.5, value = loss->sample(n, output, target, scale, gradient);
    assert_true(value == loss->sample(n, output, target, scale, NULL));
    for (int64_t i = 0; i < n; i++) {
        float step = 1e-3f;
        memcpy(moved, output, (size_t)n * sizeof *output);
        moved[i] = output[i] + step;
        double above = loss->sample(n, moved, target, 0, NULL), upper = (double)moved[i];
        moved[i] = output[i] - step;
        double below = loss->sample(n, moved, target, 0, NULL);
        double slope = scale * (above - below) / (upper - (double)moved[i]);
        assert_true(fabs(slope - (double)gradient[i]) <= 1e-5 + 1e-4 * fabs(slope));
    }
}

static void mse_loss(void **state)
{
    (void)state;
    const float output[] = {1, -2, 0.5f}, target[] = {0, 1, 0.5f};
    const nft_loss *loss = &nft_losses[0];
    near(loss->sample(3, output, target, 0, NULL), (1 + 9) / 3.0, 1e-12);
    check_gradient(loss, 3, output, target);
}

/* PyTorch's bounds: logarithms no less than -100, p (1 - p) in the gradient no less than 1e-12. */
static void bce_loss(void **state)
{
    (void)state;
    const float output[] = {0.25f, 0.5f}, target[] = {1, 0.3f}, edges[] = {0, 1}, wrong[] = {1, 0};
    const nft_loss *loss = &nft_losses[1];
    float gradient[2];
    near(loss->sample(2, output, target, 0, NULL), (-log(0.25) - log(0.5)) / 2, 1e-7);
    check_gradient(loss, 2, output, target);
    near(loss->sample(2, edges, edges, 1, gradient), 0, 0);
    assert_true(gradient[0] == 0 && gradient[1] == 0);
    near(loss->sample(2, edges, wrong, 1, gradient), 100, 1e-12);
    near((double)gradient[0], -0.5e12, 1e-6);
    near((double)gradient[1], 0.5e12, 1e-6);
    const float outside[] = {1.5f, 0.5f};
    assert_true(isnan(loss->sample(2, outside, target, 1, gradient)));
}

static void cross_entropy_loss(void **state)
{
    (void)state;
    const float logits[] = {1, 2, 4}, large[] = {1000, 0, -1000};
    const int64_t class = 1;
    const nft_loss *loss = &nft_losses[2];
    near(loss->sample(3, logits, &class, 0, NULL), log(exp(1) + exp(2) + exp(4)) - 2, 1e-7);
    check_gradient(loss, 3, logits, &class);
    near(loss->sample(3, large, &class, 0, NULL), 1000, 1e-12);
}

/* The update of torch.optim's documentation, step by step in double. */
typedef struct reference {
    double value, first, second;
} reference;

static void reference_update(reference *r, const nft_optimizer *o, int step, double lr, double gradient)
{
    if (o->decoupled)
        r->value -= lr * o->weight_decay * r->value;
    else
        gradient += o->weight_decay * r->value;
    r->first = o->beta1 * r->first + (1 - o->beta1) * gradient;
    r->second = o->beta2 * r->second + (1 - o->beta2) * gradient * gradient;
    double first = r->first / (1 - pow(o->beta1, step)), second = r->second / (1 - pow(o->beta2, step));
    r->value -= lr * first / (sqrt(second) + o->eps);
}

/* One weight and one bias, each on its own cache line. */
#define SMALL                                                                                                \
    "{'format_version': 1, 'input': {'type': 'tokens', 'tokens': 1, 'channels': 1}, 'modules': [{'type': "   \
    "'mean_tokens'}, {'type': 'linear', 'out_features': 1}]}"

static void check_optimizer(const nft_optimizer *optimizer)
{
    nft_model *model = support_model(SMALL, 3);
    nft_moments moments = {0};
    assert_ok(nft_moments_create(&moments, model));
    float gradients[32] = {0};
    int64_t bias = model->parameters.items[1].offset;
    reference weight = {(double)model->values[0], 0, 0}, other = {(double)model->values[bias], 0, 0};
    assert_true(model->parameters.total <= 32);
    for (int step = 1; step <= UPDATES; step++) {
        double lr = 0.1 / step, scale = step % 2 ? 1 : 0.25;
        gradients[0] = 0.7f - 0.3f * (float)step;
        gradients[bias] = 1e-3f * (float)step;
        nft_optimizer_update(optimizer, &moments, step, lr, scale, gradients, model->values, NULL);
        reference_update(&weight, optimizer, step, lr, scale * (double)gradients[0]);
        reference_update(&other, optimizer, step, lr, scale * (double)gradients[bias]);
        near((double)model->values[0], weight.value, 2e-6);
        near((double)model->values[bias], other.value, 2e-6);
        near(sqrt(nft_gradient_squares(&moments, gradients, NULL)),
             hypot((double)gradients[0], (double)gradients[bias]), 1e-12);
    }
    nft_moments_clear(&moments);
    nft_model_free(model);
}

static void optimizers(void **state)
{
    (void)state;
    const nft_optimizer adam = {false, 0, 0.9, 0.999, 1e-8, 0}, decayed = {false, 0, 0.8, 0.99, 1e-3, 0.1},
                        adamw = {true, 0, 0.9, 0.999, 1e-8, 0.01};
    check_optimizer(&adam);
    check_optimizer(&decayed);
    check_optimizer(&adamw);
}

/* Decay changes only trained tensors; a buffer stays as it is. */
static void buffers_stay(void **state)
{
    (void)state;
    nft_model *model = support_model(CLASSIFIER, 0);
    nft_moments moments = {0};
    const nft_optimizer adamw = {true, 0, 0.9, 0.999, 1e-8, 0.5};
    size_t bytes = (size_t)model->parameters.total * sizeof(float);
    float *before = support_allocate(bytes), *gradients = support_allocate(bytes);
    memcpy(before, model->values, bytes);
    assert_ok(nft_moments_create(&moments, model));
    nft_optimizer_update(&adamw, &moments, 1, 0.5, 1, gradients, model->values, NULL);
    for (int64_t i = 0; i < model->parameters.count; i++) {
        const nft_parameter *parameter = &model->parameters.items[i];
        float factor = parameter->trained ? 0.75f : 1;
        for (int64_t k = parameter->offset; k < parameter->offset + parameter->count; k++)
            assert_true(model->values[k] == before[k] * factor);
    }
    free(gradients);
    free(before);
    nft_moments_clear(&moments);
    nft_model_free(model);
}

static void schedules(void **state)
{
    (void)state;
    const nft_schedule constant = {false, 0, 10}, warm = {false, 4, 10}, cosine = {true, 2, 8};
    near(nft_schedule_factor(&constant, 0), 1, 0);
    near(nft_schedule_factor(&constant, 1000), 1, 0);
    near(nft_schedule_factor(&warm, 0), 0, 0);
    near(nft_schedule_factor(&warm, 3), 0.75, 0);
    near(nft_schedule_factor(&warm, 4), 1, 0);
    near(nft_schedule_factor(&cosine, 1), 0.5, 0);
    near(nft_schedule_factor(&cosine, 2), 1, 0);
    near(nft_schedule_factor(&cosine, 5), 0.5, 1e-15);
    near(nft_schedule_factor(&cosine, 7), 0.5 * (1 + cos(3.14159265358979 * 5 / 6)), 1e-12);
    near(nft_schedule_factor(&cosine, 8), 0, 0);
    const nft_schedule short_one = {true, 4, 4}; /* all of it is warm-up */
    near(nft_schedule_factor(&short_one, 3), 0.75, 0);
    near(nft_schedule_factor(&short_one, 4), 0, 0);
}

/* Every pass has each sample once, in another order that the seed decides. */
static void shuffled(void **state)
{
    (void)state;
    enum { SAMPLES = 7, BATCH = 3, PASSES = 6 };
    int64_t order[SAMPLES * PASSES], again[SAMPLES * PASSES], other[SAMPLES * PASSES];
    nft_sampler sampler = {0}, second = {0};
    assert_ok(nft_sampler_create(&sampler, SAMPLES, true, 5));
    assert_ok(nft_sampler_create(&second, SAMPLES, true, 6));
    for (int64_t step = 0; step < SAMPLES * PASSES / BATCH; step++) {
        nft_sampler_batch(&sampler, step, BATCH, order + step * BATCH);
        nft_sampler_batch(&second, step, BATCH, other + step * BATCH);
    }
    for (int64_t step = SAMPLES * PASSES / BATCH - 1; step >= 0; step--)
        nft_sampler_batch(&sampler, step, BATCH, again + step * BATCH);
    assert_memory_equal(order, again, sizeof order);
    assert_memory_not_equal(order, other, sizeof order);
    assert_memory_not_equal(order, order + SAMPLES, SAMPLES * sizeof *order);
    for (int pass = 0; pass < PASSES; pass++) {
        int seen[SAMPLES] = {0};
        for (int i = 0; i < SAMPLES; i++)
            seen[order[pass * SAMPLES + i]]++;
        for (int i = 0; i < SAMPLES; i++)
            assert_int_equal(seen[i], 1);
    }
    nft_sampler_clear(&sampler);
    nft_sampler_clear(&second);
}

/* A batch may be larger than the data. */
static void in_order(void **state)
{
    (void)state;
    nft_sampler sampler = {0};
    int64_t batch[5];
    assert_ok(nft_sampler_create(&sampler, 3, false, 0));
    nft_sampler_batch(&sampler, 1, 5, batch);
    const int64_t expected[] = {2, 0, 1, 2, 0};
    assert_memory_equal(batch, expected, sizeof batch);
    nft_sampler_clear(&sampler);
}

static void recipe_defaults(void **state)
{
    (void)state;
    nft_recipe recipe;
    char *text =
        support_json("{'loss': 'mse', 'optimizer': {'type': 'adamw'}, 'schedule': null, 'grad_clip': "
                     "null, 'batch_size': 4, 'steps': 9, 'model': {}, 'train': 'a', 'validation': 'b'}");
    assert_ok(nft_recipe_parse(&recipe, text, strlen(text)));
    assert_string_equal(recipe.loss->name, "mse");
    assert_true(recipe.optimizer.decoupled && recipe.optimizer.lr == 1e-3 && recipe.optimizer.eps == 1e-8);
    assert_true(recipe.optimizer.beta1 == 0.9 && recipe.optimizer.beta2 == 0.999);
    assert_true(recipe.optimizer.weight_decay == 0.01 && recipe.grad_clip == 0 && recipe.shuffle);
    assert_true(!recipe.schedule.cosine && recipe.schedule.warmup == 0 && recipe.schedule.total == 9);
    assert_true(recipe.seed == 0 && recipe.validate_every == 1000);
    free(text);
    text = support_json("{'loss': 'bce', 'optimizer': {'type': 'adam'}, 'batch_size': 1, 'steps': 1}");
    assert_ok(nft_recipe_parse(&recipe, text, strlen(text)));
    assert_true(!recipe.optimizer.decoupled && recipe.optimizer.weight_decay == 0);
    free(text);
    text = support_json(
        "{'loss': 'bce', 'optimizer': {'type': 'adam'}, 'batch_size': 1, 'steps': 3, 'schedule': "
        "{'type': 'cosine', 'warmup_steps': 100}}");
    assert_ok(nft_recipe_parse(&recipe, text, strlen(text)));
    assert_true(recipe.schedule.cosine && recipe.schedule.warmup == 100 && recipe.schedule.total == 3);
    free(text);
    text = support_json(
        "{'loss': 'bce', 'optimizer': {'type': 'adam'}, 'batch_size': 1, 'steps': 3, 'schedule': "
        "{'warmup_steps': 1}}");
    assert_ok(nft_recipe_parse(&recipe, text, strlen(text)));
    assert_true(!recipe.schedule.cosine && recipe.schedule.warmup == 1);
    free(text);
}

#define REST "'optimizer': {'type': 'adam'}, 'batch_size': 2, 'steps': 2"

static void recipe_errors(void **state)
{
    (void)state;
    static const struct {
        const char *recipe, *message;
    } cases[] = {
        {"[", "JSON, line 1"},
        {"[]", "recipe: expected an object"},
        {"{" REST "}", "'loss' is missing"},
        {"{'los': 'mse', " REST "}", "'loss' is missing; did you mean it with 'los'?"},
        {"{'loss': 'mse', 'optimizer': {'type': 'adam'}, 'batch_sise': 2, 'steps': 2}",
         "'batch_size' is missing; did you mean it with 'batch_sise'?"},
        {"{'loss': 'hinge', " REST "}", "\"mse\" or \"bce\" or \"cross_entropy\""},
        {"{'loss': 'mse', 'gradclip': 1, " REST "}", "unknown option 'gradclip'; did you mean 'grad_clip'?"},
        {"{'loss': 'mse', 'ema': 0.9, " REST "}", "unknown option 'ema'; did you mean 'ema_decay'?"},
        {"{'loss': 'mse', 'optimizer': {'type': 'adam'}, 'batch_size': 2, 'epochs': 2}",
         "recipe: 'epochs' is a key of nftool train; give 'steps'"},
        {"{'loss': 'mse', 'grad_clip': 0, " REST "}", "null means no clipping"},
        {"{'loss': 'mse', 'grad_clip': -1, " REST "}", "'grad_clip' is -1, expected a number above 0"},
        {"{'loss': 'mse', 'grad_clip': 'a', " REST "}", "'grad_clip' is not a number above 0"},
        {"{'loss': 'mse', 'seed': -1, " REST "}", "'seed' is -1"},
        {"{'loss': 'mse', 'shuffle': 1, " REST "}", "'shuffle' is 1, expected true or false"},
        {"{'loss': 'mse', 'validate_every': 0, " REST "}", "'validate_every' is 0"},
        {"{'loss': 'mse', 'batch_size': 0, 'steps': 1, 'optimizer': {'type': 'adam'}}", "'batch_size' is 0"},
        {"{'loss': 'mse', 'batch_size': 1, 'steps': 0, 'optimizer': {'type': 'adam'}}", "'steps' is 0"},
        {"{'loss': 'mse', 'batch_size': 1, 'steps': 1}", "'optimizer' is missing"},
        {"{'loss': 'mse', 'batch_size': 1, 'steps': 1, 'optimizer': {'type': 'sgd'}}",
         "\"adam\" or \"adamw\""},
        {"{'loss': 'mse', 'batch_size': 1, 'steps': 1, 'optimizer': {'type': 'adam', 'lr': -1}}",
         "'lr' is -1"},
        {"{'loss': 'mse', 'batch_size': 1, 'steps': 1, 'optimizer': {'type': 'adam', 'eps': 0}}",
         "'eps' is 0, expected a number, at least 1"},
        {"{'loss': 'mse', 'batch_size': 1, 'steps': 1, 'optimizer': {'type': 'adam', 'beta': 1}}",
         "did you mean 'betas'?"},
        {"{'loss': 'mse', 'batch_size': 1, 'steps': 1, 'optimizer': {'type': 'adam', 'betas': [0.9, 1]}}",
         "one of the 'betas' is 1, expected at least 0 and below 1"},
        {"{'loss': 'mse', 'batch_size': 1, 'steps': 1, 'optimizer': {'type': 'adam', 'betas': [0.9]}}",
         "'betas' are not two numbers"},
        {"{'loss': 'mse', 'schedule': {'type': 'linear'}, " REST "}", "\"constant\" or \"cosine\""},
        {"{'loss': 'mse', 'schedule': {'type': 'cosine', 'warmup_steps': 1, 'total_steps': 1}, " REST "}",
         "'warmup_steps' is 1, expected less than 'total_steps', 1"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        nft_recipe recipe;
        char *text = support_json(cases[i].recipe);
        nft_status status = nft_recipe_parse(&recipe, text, strlen(text));
        if (!status || !strstr(nft_error_message(), cases[i].message))
            fail_msg("%s: \"%s\", expected \"%s\"", text, status ? nft_error_message() : "",
                     cases[i].message);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(mse_loss),           cmocka_unit_test(bce_loss),
                                       cmocka_unit_test(cross_entropy_loss), cmocka_unit_test(optimizers),
                                       cmocka_unit_test(buffers_stay),       cmocka_unit_test(schedules),
                                       cmocka_unit_test(shuffled),           cmocka_unit_test(in_order),
                                       cmocka_unit_test(recipe_defaults),    cmocka_unit_test(recipe_errors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
