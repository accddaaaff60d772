/* Shared by the tests of models: calls that must succeed, random weights, comparing. */
#ifndef NFT_TEST_SUPPORT_H
#define NFT_TEST_SUPPORT_H

#include "base/random.h"
#include "nft/nft.h"
#include "space/weights.h"
#include "unit/random_values.h"

#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Fails with the library's message. */
#define assert_ok(call) support_ok((call), #call, __FILE__, __LINE__)

static inline void support_ok(nft_status status, const char *call, const char *file, int line)
{
    if (status == NFT_OK)
        return;
    print_error("%s: %s: %s\n", call, nft_status_name(status), nft_error_message());
    _fail(file, line);
}

static inline void *support_allocate(size_t bytes)
{
    void *memory = calloc(bytes ? bytes : 1, 1);
    if (!memory)
        abort();
    return memory;
}

/* All bytes of a file; free them. */
static inline void *support_read(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END))
        fail_msg("%s cannot be read", path);
    long length = ftell(file);
    assert_true(length >= 0);
    rewind(file);
    char *bytes = support_allocate((size_t)length + 1);
    assert_int_equal(fread(bytes, 1, (size_t)length, file), length);
    fclose(file);
    *size = (size_t)length;
    return bytes;
}

/* JSON as configurations have it, from text with single quotes, which reads better in a test; free it. */
static inline char *support_json(const char *text)
{
    char *json = support_allocate(strlen(text) + 1);
    for (size_t i = 0; text[i]; i++)
        json[i] = text[i] == '\'' ? '"' : text[i];
    return json;
}

/* `text` is for support_json(). */
static inline nft_space *support_mlp(const int64_t *widths, int64_t count)
{
    nft_space *space = NULL;
    assert_ok(nft_space_create_mlp(&space, widths, count));
    return space;
}

/* The space of an MLP: SUPPORT_MLP(2, 32, 1). */
#define SUPPORT_MLP(...) support_mlp((const int64_t[]){__VA_ARGS__}, COUNT(((const int64_t[]){__VA_ARGS__})))

static inline nft_model *support_model(const char *text, uint64_t seed)
{
    char *json = support_json(text);
    nft_model *model = NULL;
    assert_ok(nft_model_create(&model, json, strlen(json), seed, NULL));
    free(json);
    return model;
}

/* The configuration is refused as wrong, with these words. `text` is for support_json(). */
static inline void support_refused(const char *text, const char *words)
{
    nft_model *model = NULL;
    char *json = support_json(text);
    assert_int_equal(nft_model_create(&model, json, strlen(json), 1, NULL), NFT_ERROR_CONFIG);
    assert_null(model);
    if (!strstr(nft_error_message(), words))
        fail_msg("\"%s\", expected \"%s\"", nft_error_message(), words);
    free(json);
}

/* NFT_TEST_PRECISION in the environment: an NFT_PRECISION_…, for tests that hold for each. */
static inline int32_t support_precision(void)
{
    const char *name = getenv("NFT_TEST_PRECISION");
    if (!name || !strcmp(name, "float32"))
        return NFT_PRECISION_FLOAT32;
    return strcmp(name, "bf16") ? NFT_PRECISION_BF16X3 : NFT_PRECISION_BF16;
}

static inline nft_context *support_context(const nft_model *model, int32_t threads, int64_t max_batch)
{
    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    nft_context *context = NULL;
    options.threads = threads;
    options.max_batch = max_batch;
    options.precision = support_precision();
    assert_ok(nft_context_create(&context, model, &options));
    return context;
}

/* Standard normal numbers in every tensor. */
static inline nft_weights *support_weights(const nft_space *space, int64_t count, int64_t channels,
                                           uint64_t seed)
{
    nft_weights *weights = NULL;
    assert_ok(nft_weights_create(&weights, space, count, channels, NULL));
    fill_weights(weights, seed);
    return weights;
}

static inline double support_largest(int64_t count, const float *values)
{
    double largest = 0;
    for (int64_t i = 0; i < count; i++)
        largest = fmax(largest, fabs((double)values[i]));
    return largest;
}

/* |a - b| ≤ relative |b| + absolute max|b| for every element; NaN is nowhere right. */
static inline void support_close(const char *what, int64_t count, const float *a, const float *b,
                                 double relative, double absolute)
{
    double slack = absolute * support_largest(count, b);
    for (int64_t i = 0; i < count; i++) {
        double difference = fabs((double)a[i] - (double)b[i]);
        if (!(difference <= relative * fabs((double)b[i]) + slack))
            fail_msg("%s: element %" PRId64 " of %" PRId64 " is %.9g, expected %.9g (off by %.3g)", what, i,
                     count, (double)a[i], (double)b[i], difference);
    }
}

static inline void support_identical(const char *what, int64_t count, const float *a, const float *b)
{
    for (int64_t i = 0; i < count; i++)
        if (memcmp(&a[i], &b[i], sizeof *a))
            fail_msg("%s: element %" PRId64 " of %" PRId64 " is %.9g, expected the same bits as %.9g", what,
                     i, count, (double)a[i], (double)b[i]);
}

/* Two models have the same tensors: names, shapes and values. */
static inline void support_same_tensors(const nft_model *a, const nft_model *b)
{
    assert_int_equal(nft_model_describe(a)->tensor_count, nft_model_describe(b)->tensor_count);
    for (int64_t i = 0; i < nft_model_describe(a)->tensor_count; i++) {
        nft_tensor_info x = NFT_TENSOR_INFO_INIT, y = NFT_TENSOR_INFO_INIT;
        assert_ok(nft_model_tensor(&x, a, i));
        assert_ok(nft_model_tensor(&y, b, i));
        assert_string_equal(x.name, y.name);
        assert_int_equal(x.rank, y.rank);
        assert_memory_equal(x.shape, y.shape, sizeof x.shape);
        support_identical(x.name, x.count, x.data, y.data);
    }
}

/* One of the arrays that the last forward gave. */
typedef struct support_array {
    const char *name;
    int64_t rank, shape[NFT_ARRAY_MAX_RANK];
    int64_t count;
    const float *values;
} support_array;

/* How many there are: one, or of features one for each tensor of the space. */
static inline int64_t support_output_count(const nft_context *context)
{
    const nft_weights *features = nft_context_output(context, NFT_OUTPUT)->weights;
    return features ? nft_space_describe(nft_weights_space(features))->tensor_count : 1;
}

static inline support_array support_view(const char *name, const nft_array *array)
{
    support_array view = {.name = name,
                          .rank = nft_array_rank(array),
                          .count = nft_array_count(array),
                          .values = nft_array_f32(array)};
    for (int64_t axis = 0; axis < view.rank; axis++)
        view.shape[axis] = nft_array_size(array, axis);
    return view;
}

static inline support_array support_features_at(const nft_weights *features, int64_t t)
{
    nft_space_tensor tensor = {.size = sizeof tensor};
    assert_ok(nft_space_get_tensor(&tensor, nft_weights_space(features), t));
    support_array view = {.name = tensor.name,
                          .rank = 2 + tensor.rank,
                          .shape = {nft_weights_count(features), nft_weights_channels(features)},
                          .count = nft_weights_data_count(features, t),
                          .values = nft_weights_data(features, t)};
    memcpy(view.shape + 2, tensor.shape, (size_t)tensor.rank * sizeof *view.shape);
    return view;
}

static inline support_array support_output_at(const nft_context *context, int64_t index)
{
    const nft_weights *features = nft_context_output(context, NFT_OUTPUT)->weights;
    if (features)
        return support_features_at(features, index);
    assert_non_null(nft_context_output(context, NFT_OUTPUT)->array);
    return support_view("output", nft_context_output(context, NFT_OUTPUT)->array);
}

/* The values of a tensor of features that the last forward gave. */
static inline const float *support_feature(const nft_context *context, int64_t tensor)
{
    return nft_weights_data(nft_context_output(context, NFT_OUTPUT)->weights, tensor);
}

/* Everything that the last forward gave, tensor after tensor; free it. */
typedef struct support_result {
    int64_t count; /* floats */
    float *values;
} support_result;

static inline void support_append_floats(support_result *result, const float *floats, int64_t count)
{
    float *values = support_allocate((size_t)(result->count + count) * sizeof *values);
    if (result->count)
        memcpy(values, result->values, (size_t)result->count * sizeof *values);
    if (count)
        memcpy(values + result->count, floats, (size_t)count * sizeof *values);
    free(result->values);
    result->values = values;
    result->count += count;
}

static inline void support_append(support_result *result, const nft_array *array)
{
    support_append_floats(result, nft_array_f32(array), nft_array_count(array));
}

static inline support_result support_output(const nft_context *context)
{
    support_result result = {0, NULL};
    for (int64_t i = 0; i < support_output_count(context); i++) {
        support_array array = support_output_at(context, i);
        support_append_floats(&result, array.values, array.count);
    }
    return result;
}

static inline support_result support_forward(nft_context *context, const nft_weights *weights)
{
    assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(weights)));
    return support_output(context);
}

#endif
