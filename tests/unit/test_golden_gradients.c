/* The gradients of tests/data/golden: the numbers of PyTorch's backward for every parameter and input. They
 * depend neither on threads nor on the division of the networks into calls. */
#define _XOPEN_SOURCE 700
#include "nft/file.h"
#include "nft/train.h"
#include "unit/golden_cases.h"

#define GRADIENT_RELATIVE (10 * RELATIVE)
#define GRADIENT_ABSOLUTE (10 * ABSOLUTE)

/* A case after backward from the output gradient that the file has. */
typedef struct backward_run {
    opened o;
    nft_context *context;
    nft_gradients *gradients;
    nft_file *file;
    nft_array *output_gradient;           /* or */
    nft_weights *output_gradient_weights; /* of features */
} backward_run;

static void read_features(backward_run *run, const nft_weights *like)
{
    const nft_space *space = nft_weights_space(like);
    assert_ok(nft_weights_create(&run->output_gradient_weights, space, nft_weights_count(like),
                                 nft_weights_channels(like), NULL));
    for (int64_t t = 0; t < nft_space_describe(space)->tensor_count; t++) {
        char name[300];
        nft_array *array = NULL;
        snprintf(name, sizeof name, "grad_output.%s", support_features_at(like, t).name);
        assert_ok(nft_file_read(&array, run->file, name, 0, NFT_ALL));
        int64_t count = nft_weights_data_count(run->output_gradient_weights, t);
        assert_int_equal(nft_array_count(array), count);
        memcpy(nft_weights_edit(run->output_gradient_weights, t), nft_array_f32(array),
               (size_t)count * sizeof(float));
        nft_array_free(array);
    }
}

static void run_backward(backward_run *run)
{
    assert_ok(nft_forward(run->context, NFT_VIEW_WEIGHTS(run->o.input)));
    if (run->output_gradient)
        assert_ok(nft_backward(run->context, NFT_VIEW_ARRAY(run->output_gradient), run->gradients));
    else
        assert_ok(nft_backward(run->context, NFT_VIEW_WEIGHTS(run->output_gradient_weights), run->gradients));
}

static backward_run open_backward(const golden_case *c, int32_t threads)
{
    backward_run run = {.o = open_case(c)};
    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    options.threads = threads;
    options.max_batch = nft_weights_count(run.o.input);
    options.keep_for_backward = 1;
    options.input_gradient = 1;
    options.precision = support_precision();
    assert_ok(nft_context_create(&run.context, run.o.model, &options));
    assert_ok(nft_gradients_create(&run.gradients, run.o.model));
    assert_ok(nft_file_open(&run.file, c->expected, NULL));
    assert_ok(nft_forward(run.context, NFT_VIEW_WEIGHTS(run.o.input)));
    if (nft_context_output(run.context, NFT_OUTPUT)->array)
        assert_ok(nft_file_read(&run.output_gradient, run.file, "grad_output.output", 0, NFT_ALL));
    else
        read_features(&run, nft_context_output(run.context, NFT_OUTPUT)->weights);
    run_backward(&run);
    return run;
}

static void close_backward(backward_run *run)
{
    nft_weights_free(run->output_gradient_weights);
    nft_array_free(run->output_gradient);
    nft_file_free(run->file);
    nft_gradients_free(run->gradients);
    nft_context_free(run->context);
    close_case(&run->o);
}

static void compare_gradient(const backward_run *run, const char *name, int64_t count, const float *found)
{
    nft_array *expected = NULL;
    assert_ok(nft_file_read(&expected, run->file, name, 0, NFT_ALL));
    assert_int_equal(nft_array_count(expected), count);
    support_close(name, count, found, nft_array_f32(expected), GRADIENT_RELATIVE, GRADIENT_ABSOLUTE);
    nft_array_free(expected);
}

/* Every gradient that the file has is compared. */
static void agrees(void **state)
{
    backward_run run = open_backward(*state, 1);
    int64_t compared = 0, in_file = 0;
    for (int64_t i = 0; i < nft_model_describe(run.o.model)->tensor_count; i++) {
        nft_tensor_info info = NFT_TENSOR_INFO_INIT;
        char name[300];
        assert_ok(nft_gradients_tensor(&info, run.gradients, i));
        snprintf(name, sizeof name, "grad.%s", info.name);
        if (info.trained) {
            compare_gradient(&run, name, info.count, info.data);
            compared++;
        }
    }
    const nft_weights *input = nft_context_output(run.context, NFT_OUTPUT_INPUT_GRADIENT)->weights;
    assert_non_null(input);
    for (int64_t t = 0; t < nft_space_describe(nft_weights_space(input))->tensor_count; t++) {
        char name[300];
        snprintf(name, sizeof name, "grad_input.%s", support_features_at(input, t).name);
        compare_gradient(&run, name, nft_weights_data_count(input, t), nft_weights_data(input, t));
        compared++;
    }
    for (int64_t i = 0; i < nft_file_tensor_count(run.file); i++) {
        nft_tensor_info info = NFT_TENSOR_INFO_INIT;
        assert_ok(nft_file_tensor(&info, run.file, i));
        in_file += !strncmp(info.name, "grad.", 5) || !strncmp(info.name, "grad_input.", 11);
    }
    assert_int_equal(compared, in_file);
    close_backward(&run);
}

static void same_gradients(const backward_run *a, const backward_run *b)
{
    for (int64_t i = 0; i < nft_model_describe(a->o.model)->tensor_count; i++) {
        nft_tensor_info x = NFT_TENSOR_INFO_INIT, y = NFT_TENSOR_INFO_INIT;
        assert_ok(nft_gradients_tensor(&x, a->gradients, i));
        assert_ok(nft_gradients_tensor(&y, b->gradients, i));
        support_identical(x.name, x.count, x.data, y.data);
    }
    const nft_weights *x = nft_context_output(a->context, NFT_OUTPUT_INPUT_GRADIENT)->weights,
                      *y = nft_context_output(b->context, NFT_OUTPUT_INPUT_GRADIENT)->weights;
    for (int64_t t = 0; t < nft_space_describe(nft_weights_space(x))->tensor_count; t++)
        support_identical("the input's", nft_weights_data_count(x, t), nft_weights_data(x, t),
                          nft_weights_data(y, t));
}

/* Threads that share samples, and that share one sample, leave every bit as it is. */
static void threads(void **state)
{
    backward_run expected = open_backward(*state, 1);
    for (int32_t count = 2; count <= 5; count += count == 3 ? 2 : 1) {
        backward_run run = open_backward(*state, count);
        same_gradients(&run, &expected);
        close_backward(&run);
    }
    close_backward(&expected);
}

/* Gradients of two calls add up. */
static void twice(void **state)
{
    backward_run once = open_backward(*state, 1), both = open_backward(*state, 1);
    run_backward(&both);
    for (int64_t i = 0; i < nft_model_describe(once.o.model)->tensor_count; i++) {
        nft_tensor_info x = NFT_TENSOR_INFO_INIT, y = NFT_TENSOR_INFO_INIT;
        assert_ok(nft_gradients_tensor(&x, once.gradients, i));
        assert_ok(nft_gradients_tensor(&y, both.gradients, i));
        double largest = support_largest(x.count, x.data);
        for (int64_t k = 0; k < x.count; k++)
            assert_float_equal(y.data[k], 2 * x.data[k], (float)(1e-5 * largest));
    }
    nft_gradients_clear(both.gradients);
    run_backward(&both);
    same_gradients(&both, &once);
    close_backward(&both);
    close_backward(&once);
}

int main(int argc, char **argv)
{
    static const golden_kind kinds[] = {{"gradients", agrees}, {"threads", threads}, {"twice", twice}};
    return run_golden("golden gradients", argc, argv, kinds, COUNT(kinds), NULL, NULL, NULL);
}
