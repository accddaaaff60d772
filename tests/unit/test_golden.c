/* The cases of tests/data/golden: the numbers of PyTorch and the published layers. They depend neither on the
 * source of a model nor on batches and threads. An argument names another folder of such cases. */
#define _XOPEN_SOURCE 700
#include "nft/file.h"
#include "unit/golden_cases.h"
#include "unit/temporary.h"

#include <limits.h>

#define REPEATED 7 /* networks: some for each of three threads, and one that they share */

static bool is_result(const char *name)
{
    return strncmp(name, "grad", 4) != 0;
}

static void compare_array(const support_array *found, const nft_file *file)
{
    nft_array *expected = NULL;
    assert_ok(nft_file_read(&expected, file, found->name, 0, NFT_ALL));
    assert_int_equal(found->rank, nft_array_rank(expected));
    for (int64_t axis = 0; axis < found->rank; axis++)
        assert_int_equal(found->shape[axis], nft_array_size(expected, axis));
    support_close(found->name, found->count, found->values, nft_array_f32(expected), RELATIVE, ABSOLUTE);
    nft_array_free(expected);
}

static void compare_file(const nft_context *context, const char *path)
{
    nft_file *file = NULL;
    int64_t results = 0;
    assert_ok(nft_file_open(&file, path, NULL));
    for (int64_t i = 0; i < nft_file_tensor_count(file); i++) {
        nft_tensor_info info = NFT_TENSOR_INFO_INIT;
        assert_ok(nft_file_tensor(&info, file, i));
        results += is_result(info.name);
    }
    assert_int_equal(results, support_output_count(context));
    for (int64_t i = 0; i < results; i++) {
        support_array found = support_output_at(context, i);
        compare_array(&found, file);
    }
    nft_file_free(file);
}

static void agrees(void **state)
{
    const golden_case *c = *state;
    opened o = open_case(c);
    nft_context *context = support_context(o.model, 1, 0);
    assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(o.input)));
    compare_file(context, c->expected);
    nft_context_free(context);
    close_case(&o);
}

static void same_output(const char *what, const nft_model *model, const nft_weights *input,
                        const support_result *expected)
{
    nft_context *context = support_context(model, 1, 0);
    support_result result = support_forward(context, input);
    assert_int_equal(result.count, expected->count);
    support_identical(what, result.count, result.values, expected->values);
    free(result.values);
    nft_context_free(context);
}

/* A model that was saved and loaded, and one loaded from memory, are the model. */
static void the_same_again(void **state)
{
    const golden_case *c = *state;
    opened o = open_case(c);
    nft_context *context = support_context(o.model, 1, 0);
    support_result expected = support_forward(context, o.input);
    nft_model *saved = NULL, *in_memory = NULL;
    size_t size = 0;

    assert_ok(nft_model_save(o.model, temporary_path("saved.safetensors")));
    assert_ok(nft_model_load(&saved, temporary_path("saved.safetensors"), NULL));
    assert_string_equal(nft_model_describe(saved)->config, nft_model_describe(o.model)->config);
    support_same_tensors(saved, o.model);
    same_output("saved and loaded", saved, o.input, &expected);

    void *bytes = support_read(c->model, &size);
    assert_ok(nft_model_load(&in_memory, NULL, NFT_LOAD_BYTES(bytes, size)));
    memset(bytes, 0xff, size);
    free(bytes);
    support_same_tensors(in_memory, o.model);
    same_output("loaded from memory", in_memory, o.input, &expected);

    nft_model_free(in_memory);
    nft_model_free(saved);
    free(expected.values);
    nft_context_free(context);
    close_case(&o);
}

/* `count` networks: those of the set in turn. */
static nft_weights *repeat(const nft_weights *set, int64_t count)
{
    const nft_space *space = nft_weights_space(set);
    nft_weights *repeated = NULL;
    assert_ok(nft_weights_create(&repeated, space, count, nft_weights_channels(set), NULL));
    for (int64_t t = 0; t < nft_space_describe(space)->tensor_count; t++) {
        int64_t floats = nft_weights_data_count(set, t) / nft_weights_count(set);
        const float *from = nft_weights_data(set, t);
        float *to = nft_weights_edit(repeated, t);
        for (int64_t n = 0; n < count; n++)
            memcpy(to + n * floats, from + n % nft_weights_count(set) * floats, (size_t)floats * sizeof *to);
    }
    return repeated;
}

/* Arrays of `found`, network n, are those of `expected`, network (first + n) % expected_count. */
static void same_networks(const support_array *found, const support_array *expected, int64_t first)
{
    int64_t floats = expected->count / expected->shape[0], networks = expected->shape[0];
    for (int64_t n = 0; n < found->shape[0]; n++)
        support_identical(found->name, floats, found->values + n * floats,
                          expected->values + (first + n) % networks * floats);
}

static void same_bits(const nft_context *found, const nft_context *expected, int64_t first)
{
    for (int64_t i = 0; i < support_output_count(found); i++) {
        support_array a = support_output_at(found, i), b = support_output_at(expected, i);
        same_networks(&a, &b, first);
    }
}

/* The result for a network is bit-identical in every batch and on every number of threads. */
static void batches_and_threads(void **state)
{
    opened o = open_case(*state);
    nft_weights *repeated = repeat(o.input, REPEATED);
    nft_context *expected = support_context(o.model, 1, 0);
    assert_ok(nft_forward(expected, NFT_VIEW_WEIGHTS(o.input)));
    for (int32_t threads = 1; threads <= 3; threads++) {
        nft_context *context = support_context(o.model, threads, 2);
        for (int64_t n = 0; n < nft_weights_count(o.input); n++) {
            assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS_RANGE(o.input, n, 1)));
            same_bits(context, expected, n);
        }
        assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(o.input)));
        same_bits(context, expected, 0);
        assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(repeated)));
        same_bits(context, expected, 0);
        assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS_RANGE(repeated, 1, 5)));
        same_bits(context, expected, 1);
        nft_context_free(context);
    }
    nft_context_free(expected);
    nft_weights_free(repeated);
    close_case(&o);
}

/* The latents of a model with a decoder, without and with it. */
static void latents(void **state)
{
    opened o = open_case(*state);
    if (nft_model_describe(o.model)->has_decoder) {
        nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
        options.without_decoder = 1;
        options.precision = support_precision();
        nft_context *without = NULL, *with = support_context(o.model, 2, 0);
        assert_ok(nft_context_create(&without, o.model, &options));
        assert_ok(nft_forward(without, NFT_VIEW_WEIGHTS(o.input)));
        assert_ok(nft_forward(with, NFT_VIEW_WEIGHTS(o.input)));
        assert_ptr_equal(nft_context_output(without, NFT_OUTPUT_LATENTS)->array,
                         nft_context_output(without, NFT_OUTPUT)->array);
        assert_int_equal(nft_array_rank(nft_context_output(without, NFT_OUTPUT)->array), 3);
        assert_int_equal(nft_array_rank(nft_context_output(with, NFT_OUTPUT)->array), 2);
        support_array a = support_output_at(without, 0),
                      b = support_view("latents", nft_context_output(with, NFT_OUTPUT_LATENTS)->array);
        same_networks(&a, &b, 0);
        nft_context_free(with);
        nft_context_free(without);
    } else {
        nft_context *context = support_context(o.model, 1, 0);
        assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(o.input)));
        assert_null(nft_context_output(context, NFT_OUTPUT_LATENTS)->array);
        nft_context_free(context);
    }
    close_case(&o);
}

static void put_everywhere(nft_weights *set, int64_t network, float value)
{
    const nft_space *space = nft_weights_space(set);
    for (int64_t t = 0; t < nft_space_describe(space)->tensor_count; t++) {
        int64_t floats = nft_weights_data_count(set, t) / nft_weights_count(set);
        for (int64_t i = 0; i < floats; i++)
            nft_weights_edit(set, t)[network * floats + i] = value;
    }
}

static bool has_nan(const float *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (isnan(values[i]))
            return true;
    return false;
}

/* NaN goes through to the output of its network, and to that of no other; infinities harm nobody. */
static void not_finite(void **state)
{
    opened o = open_case(*state);
    nft_weights *repeated = repeat(o.input, 4);
    nft_context *expected = support_context(o.model, 1, 0), *context = support_context(o.model, 2, 0);
    assert_ok(nft_forward(expected, NFT_VIEW_WEIGHTS(o.input)));
    put_everywhere(repeated, 0, NAN);
    put_everywhere(repeated, 2, -INFINITY);
    assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(repeated)));
    for (int64_t i = 0; i < support_output_count(context); i++) {
        support_array found = support_output_at(context, i), clean = support_output_at(expected, i);
        int64_t floats = clean.count / clean.shape[0];
        assert_true(has_nan(found.values, floats));
        for (int64_t n = 1; n < 4; n += 2)
            support_identical(found.name, floats, found.values + n * floats,
                              clean.values + n % clean.shape[0] * floats);
    }
    nft_context_free(context);
    nft_context_free(expected);
    nft_weights_free(repeated);
    close_case(&o);
}

/* A fresh model of the same configuration has the same tensors, module by module. */
static void the_same_names(void **state)
{
    const golden_case *c = *state;
    nft_model *loaded = NULL, *fresh = NULL;
    nft_file *file = NULL;
    long module = 0;
    assert_ok(nft_model_load(&loaded, c->model, NULL));
    assert_ok(nft_file_open(&file, c->model, NULL));
    const char *config = nft_file_metadata(file, "nft.config");
    assert_ok(nft_model_create(&fresh, config, strlen(config), 0, NULL));
    assert_int_equal(nft_model_describe(fresh)->tensor_count, nft_file_tensor_count(file));
    for (int64_t i = 0; i < nft_model_describe(fresh)->tensor_count; i++) {
        nft_tensor_info a = NFT_TENSOR_INFO_INIT, b = NFT_TENSOR_INFO_INIT;
        nft_array *array = NULL;
        char *end;
        assert_ok(nft_model_tensor(&a, fresh, i));
        assert_ok(nft_model_tensor(&b, loaded, i));
        assert_string_equal(a.name, b.name);
        assert_int_equal(a.trained, b.trained);
        assert_ok(nft_file_read(&array, file, a.name, 0, NFT_ALL));
        assert_int_equal(nft_array_rank(array), a.rank);
        for (int64_t axis = 0; axis < a.rank; axis++)
            assert_int_equal(nft_array_size(array, axis), a.shape[axis]);
        support_identical(a.name, b.count, b.data, nft_array_f32(array));
        long index = strtol(a.name, &end, 10);
        index = end > a.name ? index : LONG_MAX; /* the decoder's come last */
        assert_true(index >= module);
        module = index;
        nft_array_free(array);
    }
    nft_file_free(file);
    nft_model_free(fresh);
    nft_model_free(loaded);
}

/* PyTorch's predictions of the same predictor for real networks are in their file. */
static void real_networks(void **state)
{
    (void)state;
    nft_model *model = NULL;
    nft_weights *networks = NULL;
    assert_ok(nft_model_load(&model, NFT_SOURCE_DIR "/examples/data/accuracy-predictor.safetensors", NULL));
    assert_ok(nft_weights_load(&networks, NFT_SOURCE_DIR "/examples/data/fashion-cnns.safetensors", NULL));
    const nft_array *prediction = nft_weights_extra(networks, "prediction");
    assert_non_null(prediction);
    nft_context *context = support_context(model, 2, 0);
    assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(networks)));
    const nft_array *output = nft_context_output(context, NFT_OUTPUT)->array;
    assert_int_equal(nft_array_count(output), nft_weights_count(networks));
    float most = support_precision() == NFT_PRECISION_BF16 ? 5e-3f : 1e-4f;
    for (int64_t n = 0; n < nft_array_count(output); n++)
        assert_float_equal(nft_array_f32(output)[n], nft_array_f32(prediction)[n], most);
    nft_context_free(context);
    nft_weights_free(networks);
    nft_model_free(model);
}

int main(int argc, char **argv)
{
    static const golden_kind kinds[] = {{"", agrees},
                                        {"saved, and from memory", the_same_again},
                                        {"batches and threads", batches_and_threads},
                                        {"latents", latents},
                                        {"not finite", not_finite},
                                        {"the same names", the_same_names}};
    return run_golden("golden", argc, argv, kinds, COUNT(kinds), real_networks, temporary_open,
                      temporary_close);
}
