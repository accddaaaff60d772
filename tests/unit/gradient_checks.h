/* Gradients against finite differences: every trained parameter and every tensor of the input of every
 * module, each along random directions, with dropout. The loss is the sum of output times random numbers, in
 * double; its derivative along d is (8 (L(h) - L(-h)) - (L(2h) - L(-2h))) / 12h with the step h at which this
 * changes least when h is halved, which the gradient has no part in. */
#ifndef NFT_TEST_GRADIENT_CHECKS_H
#define NFT_TEST_GRADIENT_CHECKS_H

#include "unit/symmetry_cases.h"

#include "model/backward.h"
#include "nft/train.h"

#define NETWORKS 2
#define TOLERANCE 1e-2
#define CREDIBLE 1e-3 /* change of a slope that leaves nothing to improve */
#define STEPS 10      /* of h, each a half of the one before */
#define LARGEST_STEP 0.32
#define LARGEST_KINKED 0.007
#define MANY 64       /* parameters: with this many each is moved in one direction, with fewer in two */
#define TRIES 40      /* tried until one is not nearly orthogonal to the gradient */
#define ROUNDING 1e-7 /* of the sum of the magnitudes: the error of a loss */

typedef struct subject {
    const char *name, *space;
    nft_model *model;
    bool kinked;    /* its output has kinks: they are passed by with small steps */
    int directions; /* along which each gradient has to be right */
    nft_context *context;
    nft_gradients *gradients;
    nft_weights *input;
    nft_dropout_key keys[NETWORKS];
    double *cotangent; /* one for each number of the output */
    support_result output;
    double magnitude; /* of the terms of the last loss that differ from the output's */
} subject;

static double loss(subject *s)
{
    s->context->dropout = s->keys;
    support_result result = support_forward(s->context, s->input);
    double sum = 0;
    s->magnitude = 0;
    for (int64_t i = 0; i < result.count; i++) {
        sum += s->cotangent[i] * (double)result.values[i];
        if (result.values[i] != s->output.values[i])
            s->magnitude += fabs(s->cotangent[i] * (double)result.values[i]);
    }
    free(result.values);
    return sum;
}

static void draw_cotangent(subject *s)
{
    nft_random random = {77, nft_random_stream(s->name)};
    s->context->dropout = s->keys;
    s->output = support_forward(s->context, s->input);
    s->cotangent = support_allocate((size_t)s->output.count * sizeof *s->cotangent);
    for (int64_t i = 0; i < s->output.count; i++)
        s->cotangent[i] = (double)nft_random_normal(&random, (uint64_t)i);
}

static void run_backward(subject *s)
{
    const nft_weights *features = nft_context_output(s->context, NFT_OUTPUT)->weights;
    const double *next = s->cotangent;
    if (!features) {
        const nft_array *output = nft_context_output(s->context, NFT_OUTPUT)->array;
        int64_t shape[NFT_ARRAY_MAX_RANK];
        for (int64_t i = 0; i < nft_array_rank(output); i++)
            shape[i] = nft_array_size(output, i);
        nft_array *gradient = NULL;
        float *values = support_allocate((size_t)nft_array_count(output) * sizeof *values);
        for (int64_t i = 0; i < nft_array_count(output); i++)
            values[i] = (float)s->cotangent[i];
        assert_ok(nft_array_borrow(&gradient, NFT_ARRAY_F32, shape, nft_array_rank(output), values));
        assert_ok(nft_backward(s->context, NFT_VIEW_ARRAY(gradient), s->gradients));
        nft_array_free(gradient);
        free(values);
        return;
    }
    nft_weights *gradient = NULL;
    const nft_space *space = nft_weights_space(features);
    assert_ok(nft_weights_create(&gradient, space, NETWORKS, nft_weights_channels(features), NULL));
    for (int64_t t = 0; t < nft_space_describe(space)->tensor_count; t++) {
        int64_t count = nft_weights_data_count(gradient, t);
        float *values = nft_weights_edit(gradient, t);
        for (int64_t i = 0; i < count; i++)
            values[i] = (float)*next++;
    }
    assert_ok(nft_backward(s->context, NFT_VIEW_WEIGHTS(gradient), s->gradients));
    nft_weights_free(gradient);
}

/* The numbers that are moved: a parameter's or an input tensor's. */
typedef struct variable {
    const char *name;
    int64_t count;
    float *values, *before;
    const float *gradient;
    bool parameter;
} variable;

static void move(subject *s, const variable *v, const float *direction, double h)
{
    for (int64_t i = 0; i < v->count; i++)
        v->values[i] = (float)((double)v->before[i] + h * (double)direction[i]);
    if (v->parameter)
        nft_model_pack(s->model);
}

static double loss_at(subject *s, const variable *v, const float *direction, double h)
{
    move(s, v, direction, h);
    return loss(s);
}

/* L(h) - L(-h) */
static double difference(subject *s, const variable *v, const float *direction, double h)
{
    double above = loss_at(s, v, direction, h);
    return above - loss_at(s, v, direction, -h);
}

/* The most credible slope, or the first that is credible enough: least changed by halving the step, and by
 * rounding. */
static double measured_slope(subject *s, const variable *v, const float *direction)
{
    double slopes[STEPS], best = 0, least = INFINITY;
    double h = s->kinked ? LARGEST_KINKED : LARGEST_STEP, far = difference(s, v, direction, 2 * h);
    for (int k = 0; k < STEPS; k++, h /= 2) {
        double near = difference(s, v, direction, h);
        slopes[k] = (8 * near - far) / (12 * h);
        far = near;
        if (k < 2)
            continue;
        double change = fmax(fabs(slopes[k] - slopes[k - 1]), fabs(slopes[k - 1] - slopes[k - 2]));
        double own = change + ROUNDING * s->magnitude / h;
        if (own < least) {
            least = own;
            best = slopes[k];
        }
        if (least <= CREDIBLE * fabs(best))
            break;
    }
    move(s, v, direction, 0);
    return best;
}

static double along(const variable *v, const float *direction, double *norm)
{
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < v->count; i++) {
        sum += (double)v->gradient[i] * (double)direction[i];
        squares += (double)v->gradient[i] * (double)v->gradient[i];
    }
    *norm = sqrt(squares);
    return sum;
}

/* The next random direction that is not nearly orthogonal to the gradient; the gradient along it. */
static double draw_direction(const variable *v, const nft_random *random, int64_t *drawn, float *direction)
{
    double expected = 0, norm = 0;
    for (int64_t last = *drawn + TRIES; *drawn < last;) {
        for (int64_t i = 0; i < v->count; i++)
            direction[i] = nft_random_normal(random, (uint64_t)(*drawn * v->count + i));
        (*drawn)++;
        expected = along(v, direction, &norm);
        if (fabs(expected) >= norm / 2)
            break;
    }
    return expected;
}

/* Whether the gradient is right in enough directions; a kink may be too near in some others. */
static bool is_right(subject *s, const variable *v, float *direction)
{
    nft_random random = {5, nft_random_stream(v->name)};
    int64_t drawn = 0;
    int right = 0, wrong = 0, most = s->kinked ? 12 : 1;
    while (right < s->directions && wrong < most) {
        double expected = draw_direction(v, &random, &drawn, direction);
        double found = measured_slope(s, v, direction);
        double larger = fmax(fabs(found), fabs(expected));
        if (fabs(found - expected) <= TOLERANCE * larger) {
            right++;
            continue;
        }
        if (++wrong == most)
            print_error("%s on %s, %s: the slope is %.6g, the gradient says %.6g\n", s->name, s->space,
                        v->name, found, expected);
    }
    return right == s->directions;
}

/* 1 if the gradient is wrong. */
static int check(subject *s, variable *v)
{
    float *direction = support_allocate((size_t)v->count * sizeof *direction);
    v->before = support_allocate((size_t)v->count * sizeof *v->before);
    memcpy(v->before, v->values, (size_t)v->count * sizeof *v->before);
    bool right = is_right(s, v, direction);
    free(v->before);
    free(direction);
    return !right;
}

/* A number that is read without having been written spoils every gradient. */
static void poison(nft_context *context)
{
    for (int64_t i = 0; i < context->kept_floats; i++)
        context->kept[i] = NAN;
    for (int64_t i = 0; i < context->backward_floats; i++)
        context->backward[i] = NAN;
    for (int64_t i = 0; i < (context->frame + context->arena) * nft_pool_threads(context->pool); i++)
        context->arenas[i] = NAN;
}

/* NFT_TEST_DIRECTIONS in the environment lowers their number: with 0 under a sanitizer, which needs one
 * backward only. */
static int directions_of(const nft_model *model)
{
    const char *most = getenv("NFT_TEST_DIRECTIONS");
    int usual = model->parameters.count >= MANY ? 1 : 2;
    return most && atoi(most) < usual ? atoi(most) : usual;
}

static subject open_subject(const test_case *c, const test_space *space, int64_t channels)
{
    subject s = {.name = c->name,
                 .space = space->name,
                 .model = make_model(c, space, channels, 3),
                 .kinked = c->decoder || strstr(c->modules, "relu") || strstr(c->modules, "stat")};
    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    s.directions = directions_of(s.model);
    options.threads = 1;
    options.max_batch = NETWORKS;
    options.keep_for_backward = 1;
    options.input_gradient = 1;
    stir_parameters(s.model, 4, false);
    s.input = support_weights(s.model->space, NETWORKS, channels, 6);
    for (uint64_t i = 0; i < NETWORKS; i++)
        s.keys[i] = (nft_dropout_key){.seed = 1, .step = 2, .sample = i};
    assert_ok(nft_context_create(&s.context, s.model, &options));
    poison(s.context);
    assert_ok(nft_gradients_create(&s.gradients, s.model));
    draw_cotangent(&s);
    run_backward(&s);
    return s;
}

static void close_subject(subject *s)
{
    free(s->cotangent);
    free(s->output.values);
    nft_weights_free(s->input);
    nft_gradients_free(s->gradients);
    nft_context_free(s->context);
    nft_model_free(s->model);
}

/* How many gradients are wrong. */
static int check_case(const test_case *c, const test_space *space)
{
    subject s = open_subject(c, space, c->channels[1]);
    int wrong = 0;
    const nft_weights *input_gradient = nft_context_output(s.context, NFT_OUTPUT_INPUT_GRADIENT)->weights;
    for (int64_t i = 0; i < s.model->parameters.count; i++) {
        const nft_parameter *parameter = &s.model->parameters.items[i];
        variable v = {.name = parameter->name,
                      .count = parameter->count,
                      .values = s.model->values + parameter->offset,
                      .gradient = s.gradients->values + parameter->offset,
                      .parameter = true};
        if (parameter->trained)
            wrong += check(&s, &v);
    }
    for (int64_t t = 0; t < s.model->space->tensor_count; t++) {
        variable v = {.name = s.model->space->tensors[t].name,
                      .count = nft_weights_data_count(s.input, t),
                      .values = nft_weights_edit(s.input, t),
                      .gradient = nft_weights_data(input_gradient, t)};
        wrong += check(&s, &v);
    }
    close_subject(&s);
    return wrong;
}

/* Missing from the symmetry cases: dropout inside modules, tokens, decoders; ω is small, so that steps are
 * too.
 */
static const test_case more_cases[] = {
    {.name = "a predictor of CNNs",
     .on = ON_CNN,
     .channels = {2, 2},
     .modules = "{'type': 'stat_featurizer'}, {'type': 'layer_norm'}, {'type': 'linear', 'out_features': 3}, "
                "{'type': 'tanh'}"},
    {.name = "dropout in attention",
     .on = ON_ALL,
     .channels = {4, 4},
     .modules = "{'type': 'np_attention', 'num_heads': 2, 'dropout': 0.3, 'share_projections': false}"},
    {.name = "dropout in a block",
     .on = ON_MLP,
     .channels = {6, 6},
     .modules = "{'type': 'nft_block', 'num_heads': 2, 'dropout': 0.3}"},
    {.name = "dropout in a residual",
     .on = ON_ALL,
     .channels = {3, 3},
     .modules = "{'type': 'residual', 'activation': 'tanh', 'dropout': 0.4, 'base': {'type': 'pointwise', "
                "'out_channels': 3}, 'norm': {'type': 'simple_layer_norm'}}, {'type': 'channel_dropout', "
                "'p': 0.3}, {'type': 'dropout', 'p': 0.3}"},
    {.name = "dropout in a perceiver",
     .on = ON_MLP,
     .channels = {3, 3},
     .modules = "{'type': 'flatten_weights'}, {'type': 'perceiver', 'num_latents': 3, 'latent_dim': 4, "
                "'cross_dim_head': 3, 'latent_heads': 2, 'latent_dim_head': 3, 'self_per_cross_attn': 1, "
                "'dropout': 0.3}"},
    {.name = "dropout in a transformer",
     .on = ON_MLP,
     .channels = {4, 4},
     .modules = "{'type': 'flatten_weights'}, {'type': 'transformer_encoder_layer', 'num_heads': 2, "
                "'dim_feedforward': 5, 'dropout': 0.3}"},
    {.name = "token_embedding, select_token",
     .on = ON_MLP,
     .channels = {3, 3},
     .modules = "{'type': 'cross_attn_encoder', 'num_latents': 3}, {'type': 'token_embedding', "
                "'max_tokens': 4}, {'type': 'layer_norm'}, {'type': 'select_token', 'index': 1}"},
    {.name = "unflatten_tokens",
     .on = ON_MLP,
     .channels = {3, 3},
     .modules = "{'type': 'np_pool'}, {'type': 'linear', 'out_features': 6}, {'type': 'unflatten_tokens', "
                "'tokens': 3}, {'type': 'linear', 'out_features': 3}, {'type': 'sine'}"},
    {.name = "flatten_tokens",
     .on = ON_MLP,
     .channels = {3, 3},
     .modules = "{'type': 'cross_attn_encoder', 'num_latents': 3}, {'type': 'flatten_tokens'}, {'type': "
                "'linear', 'out_features': 3}"},
    {.name = "a decoder, one network a tensor",
     .on = ON_SIREN,
     .channels = {2, 2},
     .modules = "{'type': 'cross_attn_encoder', 'num_latents': 4}",
     .decoder = "{'type': 'hypernetwork', 'style': 'per_tensor', 'hidden_size': 5, 'hidden_layers': 1, "
                "'height': 4, 'width': 5, 'omega': 1.5}"},
    {.name = "a decoder, joint and additive",
     .on = ON_SIREN,
     .channels = {2, 2},
     .modules = "{'type': 'cross_attn_encoder', 'num_latents': 4}",
     .decoder = "{'type': 'hypernetwork', 'style': 'joint', 'hidden_size': 5, 'hidden_layers': 2, "
                "'additive': true, 'height': 4, 'width': 5, 'omega': [1.5, 0.8]}"},
};

/* On all spaces of these kinds. */
static void check_spaces(const test_case *c, int on)
{
    int failures = 0;
    for (size_t i = 0; i < COUNT(spaces); i++)
        if ((spaces[i].on & on) && runs_on(c, &spaces[i]))
            failures += check_case(c, &spaces[i]);
    assert_int_equal(failures, 0);
}

static struct CMUnitTest tests[100];
static size_t test_count;

static void add_test(const char *name, CMUnitTestFunction run, const void *state)
{
    if (test_count == COUNT(tests))
        abort();
    tests[test_count++] = (struct CMUnitTest){.name = name, .test_func = run, .initial_state = (void *)state};
}

/* Those that run on spaces of these kinds. */
static void add_cases(const test_case *cases, size_t count, int on, CMUnitTestFunction run)
{
    for (size_t i = 0; i < count; i++)
        if (cases[i].on & on)
            add_test(cases[i].name, run, &cases[i]);
}

#endif
