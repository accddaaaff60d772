/* Bytes as the choices that make a valid model and its input. The model is accepted. Its output and its
 * gradients are finite, and bit-identical as one network and in a batch, on one thread and two, and with any
 * part recomputed. Networks with permuted hidden neurons give the permuted answer, where the theory promises
 * it. */
#include "fuzz/random_model.h"
#include "nft/train.h"
#include "unit/random_values.h"

#include <math.h>

#define NETWORKS 3
#define MOST_PARTS (2 * MOST_LAYERS)
#define TOLERANCE 1e-5 /* of the largest output: the rounding error of a well-conditioned model */
#define NOISE 0x1p-22F /* relative: as much as a few roundings change */
#define NOISES 8       /* how often it is drawn */
#define MAGNIFIED 64   /* a permutation changes at most this many times the effect of noise */

typedef struct subject {
    random_model config;
    nft_model *model;
    nft_weights *weights; /* NULL for a model on tokens */
    nft_array *tokens;    /* NULL for a model on weights */
} subject;

/* The output of the last forward on a context, (networks, …) in each part: one part, or one for each tensor
 * of features. Borrowed. */
typedef struct output {
    int64_t parts;
    const float *data[MOST_PARTS];
    int64_t counts[MOST_PARTS];
} output;

static void fail(const subject *s, const char *what) __attribute__((noreturn));

static void fail(const subject *s, const char *what)
{
    fprintf(stderr, "%s\n%s\n", what, s->config.text);
    abort();
}

static void succeed(const subject *s, nft_status status)
{
    if (status)
        fail(s, nft_error_message());
}

static void check_finite(const subject *s, const char *what, int64_t count, const float *values)
{
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(values[i])) {
            fprintf(stderr, "number %" PRId64 " of %" PRId64 " is %g: ", i, count, (double)values[i]);
            fail(s, what);
        }
}

static void check_bits(const subject *s, const char *what, int64_t count, const float *a, const float *b)
{
    for (int64_t i = 0; i < count; i++)
        if (memcmp(&a[i], &b[i], sizeof *a)) {
            fprintf(stderr, "number %" PRId64 " of %" PRId64 " is %.9g and %.9g: ", i, count, (double)a[i],
                    (double)b[i]);
            fail(s, what);
        }
}

/* --- a model and its input --- */

/* Ordinary weights, and hard cases for norms and variances: zeros, and equal numbers. */
static nft_weights *make_weights(const subject *s, int64_t kind, uint64_t seed)
{
    static const float scales[] = {1, 0.1F, 3, 0, 0}, constants[] = {0, 0, 0, 0, 0.25F};
    nft_weights *weights = NULL;
    succeed(s, nft_weights_create(&weights, nft_model_describe(s->model)->space, NETWORKS,
                                  s->config.input.channels, NULL));
    fill_weights(weights, seed);
    for (int64_t t = 0; t < 2 * s->config.layers; t++) {
        float *values = nft_weights_edit(weights, t);
        for (int64_t i = 0; i < nft_weights_data_count(weights, t); i++)
            values[i] = scales[kind] * values[i] + constants[kind];
    }
    return weights;
}

/* An array of a shape with normal numbers. */
static nft_array *make_array(const subject *s, const int64_t *shape, int64_t rank, uint64_t seed)
{
    nft_random random = {seed, 0};
    nft_array *array = NULL;
    int64_t count = 1;
    for (int64_t axis = 0; axis < rank; axis++)
        count *= shape[axis];
    float *values = malloc((size_t)count * sizeof *values);
    if (!values)
        abort();
    for (int64_t i = 0; i < count; i++)
        values[i] = nft_random_normal(&random, (uint64_t)i);
    succeed(s, nft_array_create(&array, NFT_ARRAY_F32, shape, rank, values));
    free(values);
    return array;
}

/* The input's bytes come first, so that a longer list of modules does not change them. */
static void make_subject(subject *s, random_bytes *bytes)
{
    *s = (subject){0};
    int64_t kind = choose(bytes, 0, 4);
    uint64_t seed = (uint64_t)choose(bytes, 0, 255);
    make_random_model(&s->config, bytes);
    succeed(s, nft_model_create(&s->model, s->config.text, s->config.length, seed, NULL));
    if (nft_model_describe(s->model)->has_decoder == 0) /* larger weights make a SIREN wild */
        stir_parameters(s->model, seed, false);
    const int64_t shape[] = {NETWORKS, s->config.input.tokens, s->config.input.channels};
    if (s->config.input.output == NFT_VALUE_FEATURES)
        s->weights = make_weights(s, kind, seed);
    else
        s->tokens = make_array(s, shape, 3, seed);
}

static void free_subject(subject *s)
{
    nft_weights_free(s->weights);
    nft_array_free(s->tokens);
    nft_model_free(s->model);
}

static nft_context *make_context(const subject *s, int32_t threads, bool keep, bool recompute)
{
    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    nft_context *context = NULL;
    options.threads = threads;
    options.max_batch = NETWORKS;
    options.keep_for_backward = options.input_gradient = keep;
    options.recompute = recompute;
    succeed(s, nft_context_create(&context, s->model, &options));
    return context;
}

/* --- forward --- */

static output read_output(const nft_context *context)
{
    output o = {.parts = 1};
    const nft_weights *features = nft_context_output(context, NFT_OUTPUT)->weights;
    if (!features) {
        o.data[0] = nft_array_f32(nft_context_output(context, NFT_OUTPUT)->array);
        o.counts[0] = nft_array_count(nft_context_output(context, NFT_OUTPUT)->array);
        return o;
    }
    o.parts = nft_space_describe(nft_weights_space(features))->tensor_count;
    for (int64_t t = 0; t < o.parts; t++) {
        o.data[t] = nft_weights_data(features, t);
        o.counts[t] = nft_weights_data_count(features, t);
    }
    return o;
}

static output forward(const subject *s, nft_context *context, const nft_weights *weights, int64_t first,
                      int64_t count)
{
    succeed(s, weights ? nft_forward(context, NFT_VIEW_WEIGHTS_RANGE(weights, first, count))
                       : nft_forward(context, NFT_VIEW_ARRAY_RANGE(s->tokens, first, count)));
    return read_output(context);
}

static void check_alone(const subject *s, nft_context *context, const output *batch)
{
    for (int64_t n = 0; n < NETWORKS; n++) {
        output alone = forward(s, context, s->weights, n, 1);
        for (int64_t p = 0; p < batch->parts; p++) {
            if (NETWORKS * alone.counts[p] != batch->counts[p])
                fail(s, "the output of one network is no part of a batch's");
            check_bits(s, "forward alone and in a batch", alone.counts[p], alone.data[p],
                       batch->data[p] + n * alone.counts[p]);
        }
    }
}

static void check_same(const subject *s, const output *one, const output *two)
{
    for (int64_t p = 0; p < one->parts; p++) {
        check_finite(s, "forward", one->counts[p], one->data[p]);
        check_bits(s, "forward on one thread and on two", one->counts[p], one->data[p], two->data[p]);
    }
}

/* --- backward --- */

static nft_gradients *backward(const subject *s, nft_context *context, uint64_t seed)
{
    const nft_weights *features = nft_context_output(context, NFT_OUTPUT)->weights;
    nft_gradients *gradients = NULL;
    succeed(s, nft_gradients_create(&gradients, s->model));
    if (features) {
        nft_weights *of_output = NULL;
        succeed(s, nft_weights_create(&of_output, nft_weights_space(features), NETWORKS,
                                      nft_weights_channels(features), NULL));
        fill_weights(of_output, seed);
        succeed(s, nft_backward(context, NFT_VIEW_WEIGHTS(of_output), gradients));
        nft_weights_free(of_output);
    } else {
        const nft_array *array = nft_context_output(context, NFT_OUTPUT)->array;
        int64_t shape[NFT_ARRAY_MAX_RANK];
        for (int64_t axis = 0; axis < nft_array_rank(array); axis++)
            shape[axis] = nft_array_size(array, axis);
        nft_array *of_output = make_array(s, shape, nft_array_rank(array), seed);
        succeed(s, nft_backward(context, NFT_VIEW_ARRAY(of_output), gradients));
        nft_array_free(of_output);
    }
    return gradients;
}

static void check_input_gradient(const subject *s, const nft_context *context)
{
    static const char what[] = "the gradient of the input";
    const nft_array *tokens = nft_context_output(context, NFT_OUTPUT_INPUT_GRADIENT)->array;
    const nft_weights *weights = nft_context_output(context, NFT_OUTPUT_INPUT_GRADIENT)->weights;
    if (!tokens == !weights)
        fail(s, "not one gradient of the input");
    if (tokens)
        check_finite(s, what, nft_array_count(tokens), nft_array_f32(tokens));
    for (int64_t t = 0; weights && t < 2 * s->config.layers; t++)
        check_finite(s, what, nft_weights_data_count(weights, t), nft_weights_data(weights, t));
}

/* Forwards that keep values may round otherwise than those that do not: only forwards of one kind have the
 * same bits. */
static void check_backward(const subject *s, bool recompute)
{
    nft_context *one = make_context(s, 1, true, recompute), *two = make_context(s, 2, true, !recompute);
    output on_one = forward(s, one, s->weights, 0, NETWORKS),
           on_two = forward(s, two, s->weights, 0, NETWORKS);
    check_same(s, &on_one, &on_two);
    nft_gradients *a = backward(s, one, 1), *b = backward(s, two, 1);
    for (int64_t i = 0; i < nft_model_describe(s->model)->tensor_count; i++) {
        nft_tensor_info of_a = NFT_TENSOR_INFO_INIT, of_b = NFT_TENSOR_INFO_INIT;
        succeed(s, nft_gradients_tensor(&of_a, a, i));
        succeed(s, nft_gradients_tensor(&of_b, b, i));
        check_finite(s, of_a.name, of_a.count, of_a.data);
        check_bits(s, "a gradient on one thread and on two", of_a.count, of_a.data, of_b.data);
    }
    check_input_gradient(s, one);
    nft_gradients_free(b);
    nft_gradients_free(a);
    nft_context_free(two);
    nft_context_free(one);
}

/* --- symmetry --- */

static nft_weights *copy_weights(const subject *s, const nft_weights *weights)
{
    const float *data[2 * MOST_LAYERS];
    nft_weights *copy = NULL;
    for (int64_t t = 0; t < 2 * s->config.layers; t++)
        data[t] = nft_weights_data(weights, t);
    succeed(s, nft_weights_create(&copy, nft_weights_space(weights), NETWORKS, nft_weights_channels(weights),
                                  data));
    return copy;
}

static double largest(const output *o)
{
    double most = 0;
    for (int64_t p = 0; p < o->parts; p++)
        for (int64_t i = 0; i < o->counts[p]; i++)
            most = fmax(most, fabs((double)o->data[p][i]));
    return most;
}

static double largest_difference(const output *a, const output *b)
{
    double most = 0;
    for (int64_t p = 0; p < a->parts; p++)
        for (int64_t i = 0; i < a->counts[p]; i++)
            most = fmax(most, fabs((double)a->data[p][i] - (double)b->data[p][i]));
    return most;
}

static void add_noise(float *values, int64_t count, const nft_random *random)
{
    for (int64_t i = 0; i < count; i++)
        values[i] *= 1 + NOISE * (2 * nft_random_uniform(random, (uint64_t)i) - 1);
}

/* The effect of noise in the weights and in the model's parameters, a measure of rounding effects: norms of
 * nearly equal numbers and sines magnify both. */
static double noise(const subject *s, nft_context *context, const output *exact)
{
    size_t bytes = (size_t)s->model->parameters.total * sizeof(float);
    float *values = malloc(bytes + 1);
    double most = 0;
    if (!values)
        abort();
    memcpy(values, s->model->values, bytes);
    for (uint64_t k = 0; k < NOISES; k++) {
        nft_weights *noisy = copy_weights(s, s->weights);
        for (int64_t t = 0; t < 2 * s->config.layers; t++)
            add_noise(nft_weights_edit(noisy, t), nft_weights_data_count(noisy, t),
                      &(nft_random){k, (uint64_t)t});
        add_noise(s->model->values, s->model->parameters.total, &(nft_random){k, MOST_PARTS});
        nft_model_pack(s->model);
        output changed = forward(s, context, noisy, 0, NETWORKS);
        most = fmax(most, largest_difference(exact, &changed));
        memcpy(s->model->values, values, bytes);
        nft_weights_free(noisy);
    }
    nft_model_pack(s->model);
    free(values);
    return most;
}

static void check_difference(const subject *s, nft_context *context, const output *exact, double difference)
{
    double scale = largest(exact);
    if (difference <= TOLERANCE * scale)
        return;
    double limit = TOLERANCE * scale + MAGNIFIED * noise(s, context, exact);
    if (difference <= limit)
        return;
    fprintf(stderr, "off by %.3g, expected at most %.3g; the largest number is %.3g: ", difference, limit,
            scale);
    fail(s, "the answer to permuted networks is not the permuted answer");
}

static void check_symmetry(const subject *s, nft_context *context, nft_context *exact, uint64_t seed)
{
    nft_weights *moved = copy_weights(s, s->weights), *features = NULL;
    succeed(s, nft_weights_permute_random(moved, seed, 0));
    output found = forward(s, context, moved, 0, NETWORKS), answer = read_output(exact), expected = answer;
    if (nft_context_output(exact, NFT_OUTPUT)->weights) {
        features = copy_weights(s, nft_context_output(exact, NFT_OUTPUT)->weights);
        succeed(s, nft_weights_permute_random(features, seed, 0));
        for (int64_t t = 0; t < expected.parts; t++)
            expected.data[t] = nft_weights_data(features, t);
    }
    check_difference(s, context, &answer, largest_difference(&expected, &found));
    nft_weights_free(features);
    nft_weights_free(moved);
}

static void check_forward(const subject *s)
{
    nft_context *one = make_context(s, 1, false, false), *two = make_context(s, 2, false, false);
    output on_one = forward(s, one, s->weights, 0, NETWORKS),
           on_two = forward(s, two, s->weights, 0, NETWORKS);
    check_same(s, &on_one, &on_two);
    check_alone(s, two, &on_one);
    if (s->weights && s->config.symmetry != BROKEN)
        check_symmetry(s, two, one, 1);
    nft_context_free(two);
    nft_context_free(one);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    random_bytes left = {bytes, size};
    subject s;
    bool recompute = choose(&left, 0, 1);
    make_subject(&s, &left);
    check_forward(&s);
    check_backward(&s, recompute);
    free_subject(&s);
    return 0;
}
