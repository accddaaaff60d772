/* Modules that tell tensors apart by role, and sums over many entries. */
#include "nft/train.h"
#include "unit/support.h"

#define AXES "'axes': [{'name': 'image', 'size': 2, 'symmetry': 'none'}, {'name': 'c', 'size': 3}], "
/* A conv of 2 positions, a gain, two running statistics and a single number. */
#define SPACE                                                                                                \
    "{" AXES "'tensors': [{'name': 'conv.weight', 'shape': ['c', 'image', 2]}, {'name': 'bn.weight', "       \
    "'shape': ['c']}, {'name': 'bn.running_mean', 'shape': ['c']}, {'name': 'bn.running_var', 'shape': "     \
    "['c']}, {'name': 'scale', 'shape': []}]}"
#define MODEL(modules) "{'format_version': 1, 'space': " SPACE ", 'modules': [" modules "]}"
enum { CONV, GAIN, RUNNING_MEAN, RUNNING_VAR, SCALE, TENSORS };
enum {
    ROLE_LINEAR,
    ROLE_CONV,
    ROLE_DEPTHWISE,
    ROLE_GAIN,
    ROLE_BIAS,
    ROLE_MEAN,
    ROLE_VAR,
    ROLE_SCALAR,
    ROLES
};

typedef struct run {
    nft_model *model;
    nft_weights *input;
    nft_context *context;
    nft_gradients *gradients;
} run;

static run open_run(const char *modules)
{
    run r = {.model = support_model(modules, 3)};
    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    options.threads = 1;
    options.max_batch = 1;
    options.keep_for_backward = 1;
    options.input_gradient = 1;
    assert_ok(nft_context_create(&r.context, r.model, &options));
    assert_ok(nft_gradients_create(&r.gradients, r.model));
    r.input = support_weights(nft_model_describe(r.model)->space, 1, 1, 5);
    return r;
}

static void close_run(run *r)
{
    nft_gradients_free(r->gradients);
    nft_context_free(r->context);
    nft_weights_free(r->input);
    nft_model_free(r->model);
}

static void fill(run *r, int64_t tensor, const float *values)
{
    memcpy(nft_weights_edit(r->input, tensor), values,
           (size_t)nft_weights_data_count(r->input, tensor) * sizeof *values);
}

/* Forward of a model whose output is a vector. */
static const float *vector(run *r)
{
    assert_ok(nft_forward(r->context, NFT_VIEW_WEIGHTS(r->input)));
    return nft_array_f32(nft_context_output(r->context, NFT_OUTPUT)->array);
}

/* Backward from the gradient 1 of number `index` of the vector and 0 of the others. */
static const nft_weights *backward_of(run *r, int64_t index)
{
    int64_t shape[2] = {1, nft_array_size(nft_context_output(r->context, NFT_OUTPUT)->array, 1)};
    float *values = support_allocate((size_t)shape[1] * sizeof *values);
    nft_array *gradient = NULL;
    values[index] = 1;
    assert_ok(nft_array_borrow(&gradient, NFT_ARRAY_F32, shape, 2, values));
    assert_ok(nft_backward(r->context, NFT_VIEW_ARRAY(gradient), r->gradients));
    nft_array_free(gradient);
    free(values);
    return nft_context_output(r->context, NFT_OUTPUT_INPUT_GRADIENT)->weights;
}

/* Backward from features that are all `value`. */
static const nft_weights *backward_from(run *r, float value)
{
    const nft_weights *output = nft_context_output(r->context, NFT_OUTPUT)->weights;
    nft_weights *gradient = NULL;
    assert_ok(
        nft_weights_create(&gradient, nft_weights_space(output), 1, nft_weights_channels(output), NULL));
    for (int64_t t = 0; t < nft_space_describe(nft_weights_space(output))->tensor_count; t++)
        for (int64_t i = 0; i < nft_weights_data_count(gradient, t); i++)
            nft_weights_edit(gradient, t)[i] = value;
    assert_ok(nft_backward(r->context, NFT_VIEW_WEIGHTS(gradient), r->gradients));
    nft_weights_free(gradient);
    return nft_context_output(r->context, NFT_OUTPUT_INPUT_GRADIENT)->weights;
}

static void check(const char *what, double found, double expected)
{
    if (!(fabs(found - expected) <= 1e-6 * fabs(expected) + 1e-7))
        fail_msg("%s is %.9g, expected %.9g", what, found, expected);
}

static void signed_log_changes_running_statistics_alone_by_default(void **state)
{
    (void)state;
    run r = open_run(MODEL("{'type': 'signed_log'}"));
    fill(&r, RUNNING_MEAN, (const float[]){-3, 0, 1e6f});
    assert_ok(nft_forward(r.context, NFT_VIEW_WEIGHTS(r.input)));
    const nft_weights *out = nft_context_output(r.context, NFT_OUTPUT)->weights;
    for (int64_t t = 0; t < TENSORS; t++)
        for (int64_t i = 0; i < nft_weights_data_count(out, t); i++) {
            double x = (double)nft_weights_data(r.input, t)[i];
            bool changes = t == RUNNING_MEAN || t == RUNNING_VAR;
            check("an entry", (double)nft_weights_data(out, t)[i], changes ? copysign(log1p(fabs(x)), x) : x);
        }
    const nft_weights *gradient = backward_from(&r, 2);
    for (int64_t t = 0; t < TENSORS; t++)
        for (int64_t i = 0; i < nft_weights_data_count(out, t); i++) {
            double x = (double)nft_weights_data(r.input, t)[i];
            bool changes = t == RUNNING_MEAN || t == RUNNING_VAR;
            check("a gradient", (double)nft_weights_data(gradient, t)[i], changes ? 2 / (1 + fabs(x)) : 2);
        }
    close_run(&r);
}

static void signed_log_changes_the_roles_that_are_named(void **state)
{
    (void)state;
    run r = open_run(MODEL("{'type': 'signed_log', 'roles': ['conv', 'scalar']}"));
    assert_ok(nft_forward(r.context, NFT_VIEW_WEIGHTS(r.input)));
    const nft_weights *out = nft_context_output(r.context, NFT_OUTPUT)->weights;
    for (int64_t t = 0; t < TENSORS; t++) {
        double x = (double)nft_weights_data(r.input, t)[0];
        check("an entry", (double)nft_weights_data(out, t)[0],
              t == CONV || t == SCALE ? copysign(log1p(fabs(x)), x) : x);
    }
    close_run(&r);
}

static void refuse(const char *text, const char *word)
{
    nft_model *model = NULL;
    char *json = support_json(text);
    assert_int_equal(nft_model_create(&model, json, strlen(json), 0, NULL), NFT_ERROR_CONFIG);
    free(json);
    assert_null(model);
    if (!strstr(nft_error_message(), word))
        fail_msg("the message is \"%s\", expected \"%s\" in it", nft_error_message(), word);
}

static void signed_log_refuses_roles_that_are_none(void **state)
{
    (void)state;
    refuse(MODEL("{'type': 'signed_log', 'roles': ['convolution']}"), "convolution");
    refuse(MODEL("{'type': 'signed_log', 'roles': 'conv'}"), "a list of");
    refuse(MODEL("{'type': 'signed_log', 'roles': [3]}"), "running_mean");
}

static void add_input_is_refused_between_lift_and_unlift(void **state)
{
    (void)state;
    refuse(MODEL("{'type': 'lift', 'out_channels': 1}, {'type': 'add_input'}"), "unlift");
}

#define STATISTICS MODEL("{'type': 'role_statistics'}")
#define STATISTIC(role, index) ((role)*8 + 1 + (index))

static void role_statistics_have_seven_numbers_for_each_role(void **state)
{
    (void)state;
    run r = open_run(STATISTICS);
    fill(&r, CONV, (const float[]){5, 1, 4, 2, 3, 6, 12, 11, 10, 9, 8, 7});
    const float *out = vector(&r);
    const double conv[] = {6.5, 13, 1, 3.75, 6.5, 9.25, 12};
    check("the count", (double)out[ROLE_CONV * 8], log2(13) / 10);
    for (int i = 0; i < 7; i++)
        check("a statistic", (double)out[STATISTIC(ROLE_CONV, i)], conv[i]);
    for (int i = 0; i < 8; i++)
        check("a statistic of a role without tensors", (double)out[ROLE_LINEAR * 8 + i], 0);
    check("the variance of a single entry", (double)out[STATISTIC(ROLE_SCALAR, 1)], 0);
    close_run(&r);
}

/* Of 3 entries the first quartile lies halfway between the lower two. */
static void quantiles_of_equal_entries_belong_to_the_first_ones(void **state)
{
    (void)state;
    run r = open_run(STATISTICS);
    fill(&r, GAIN, (const float[]){7, -2, -2});
    vector(&r);
    const float *gradient = nft_weights_data(backward_of(&r, STATISTIC(ROLE_GAIN, 3)), GAIN);
    check("the gradient of the largest", (double)gradient[0], 0);
    check("the gradient of the first", (double)gradient[1], 0.5);
    check("the gradient of the second", (double)gradient[2], 0.5);
    vector(&r);
    gradient = nft_weights_data(backward_of(&r, STATISTIC(ROLE_GAIN, 2)), GAIN);
    check("the gradient of the minimum", (double)gradient[1], 1);
    check("the gradient of its equal", (double)gradient[2], 0);
    close_run(&r);
}

static void both_zeros_are_equal_in_quantiles(void **state)
{
    (void)state;
    run r = open_run(STATISTICS);
    fill(&r, GAIN, (const float[]){0.0f, -0.0f, -0.0f});
    vector(&r);
    const float *gradient = nft_weights_data(backward_of(&r, STATISTIC(ROLE_GAIN, 2)), GAIN);
    check("the gradient of the first zero", (double)gradient[0], 1);
    check("the gradient of the second zero", (double)gradient[1], 0);
    close_run(&r);
}

static void a_single_entry_has_no_gradient_of_its_variance(void **state)
{
    (void)state;
    run r = open_run(STATISTICS);
    vector(&r);
    const nft_weights *gradient = backward_of(&r, STATISTIC(ROLE_SCALAR, 1));
    check("the gradient", (double)nft_weights_data(gradient, SCALE)[0], 0);
    close_run(&r);
}

#define POOL MODEL("{'type': 'role_pool'}")

static void role_pool_has_mean_and_deviation_of_each_role(void **state)
{
    (void)state;
    run r = open_run(POOL);
    fill(&r, GAIN, (const float[]){1000, 1001, 1002});
    fill(&r, SCALE, (const float[]){4});
    const float *out = vector(&r);
    check("the mean", (double)out[2 * ROLE_GAIN], 1001);
    check("the deviation", (double)out[2 * ROLE_GAIN + 1], sqrt(2.0 / 3 + 1e-5));
    check("the mean of one entry", (double)out[2 * ROLE_SCALAR], 4);
    check("the deviation of one entry", (double)out[2 * ROLE_SCALAR + 1], sqrt(1e-5));
    check("the mean of none", (double)out[2 * ROLE_LINEAR], 0);
    check("the deviation of none", (double)out[2 * ROLE_LINEAR + 1], 0);
    const float *gain = nft_weights_data(backward_of(&r, 2 * ROLE_GAIN + 1), GAIN);
    check("the gradient below the mean", (double)gain[0], -1 / (3 * sqrt(2.0 / 3 + 1e-5)));
    check("the gradient at the mean", (double)gain[1], 0);
    vector(&r);
    const float *scale = nft_weights_data(backward_of(&r, 2 * ROLE_SCALAR + 1), SCALE);
    check("the gradient of one entry", (double)scale[0], 0);
    close_run(&r);
}

static int64_t find_tensor(const nft_model *model, const char *name, int64_t rank)
{
    for (int64_t i = 0; i < nft_model_describe(model)->tensor_count; i++) {
        nft_tensor_info info = NFT_TENSOR_INFO_INIT;
        assert_ok(nft_model_tensor(&info, model, i));
        if (!strcmp(info.name, name) && info.rank == rank)
            return i;
    }
    fail_msg("the model has no '%s' of rank %" PRId64, name, rank);
    return -1;
}

static void embeddings_have_a_table_of_tensors_and_one_for_each_ordered_axis(void **state)
{
    (void)state;
    nft_model *model = support_model(MODEL("{'type': 'learned_pos_embedding'}"), 1);
    assert_int_equal(nft_model_describe(model)->tensor_count, 2);
    find_tensor(model, "0.tensor_emb.weight", 2);
    find_tensor(model, "0.axis_emb.0.weight", 2);
    nft_model_free(model);
}

/* A million entries of one tensor, all near 1000. */
#define LARGE(modules)                                                                                       \
    "{'format_version': 1, 'space': {'axes': [{'name': 'a', 'size': 1024}, {'name': 'b', 'size': 1024, "     \
    "'symmetry': 'none'}], 'tensors': [{'name': 'w', 'shape': ['a', 'b']}]}, 'modules': [" modules "]}"

static double fill_large(run *r)
{
    float *values = nft_weights_edit(r->input, 0);
    double sum = 0;
    for (int64_t i = 0; i < nft_weights_data_count(r->input, 0); i++) {
        values[i] += 1000;
        sum += (double)values[i];
    }
    return sum;
}

static double gradient_of(const run *r, const char *name, int64_t rank)
{
    nft_tensor_info info = NFT_TENSOR_INFO_INIT;
    assert_ok(nft_gradients_tensor(&info, r->gradients, find_tensor(r->model, name, rank)));
    return (double)info.data[0];
}

static void check_large_sum(double found, double expected)
{
    if (!(fabs(found - expected) <= 1e-5 * fabs(expected)))
        fail_msg("the sum is %.9g, expected %.9g", found, expected);
}

static void a_scale_sums_a_million_entries_accurately(void **state)
{
    (void)state;
    run r = open_run(LARGE("{'type': 'learned_scale', 'init_scale': 1}"));
    double sum = fill_large(&r);
    assert_ok(nft_forward(r.context, NFT_VIEW_WEIGHTS(r.input)));
    backward_from(&r, 1);
    check_large_sum(gradient_of(&r, "0.scales.0", 0), sum);
    close_run(&r);
}

static void an_embedding_sums_a_million_tokens_accurately(void **state)
{
    (void)state;
    run r = open_run(LARGE("{'type': 'learned_pos_embedding'}"));
    assert_ok(nft_forward(r.context, NFT_VIEW_WEIGHTS(r.input)));
    backward_from(&r, 1000.7f);
    check_large_sum(gradient_of(&r, "0.tensor_emb.weight", 2), (double)1000.7f * 1024 * 1024);
    check_large_sum(gradient_of(&r, "0.axis_emb.1.weight", 2), (double)1000.7f * 1024);
    close_run(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signed_log_changes_running_statistics_alone_by_default),
        cmocka_unit_test(signed_log_changes_the_roles_that_are_named),
        cmocka_unit_test(signed_log_refuses_roles_that_are_none),
        cmocka_unit_test(add_input_is_refused_between_lift_and_unlift),
        cmocka_unit_test(role_statistics_have_seven_numbers_for_each_role),
        cmocka_unit_test(quantiles_of_equal_entries_belong_to_the_first_ones),
        cmocka_unit_test(both_zeros_are_equal_in_quantiles),
        cmocka_unit_test(a_single_entry_has_no_gradient_of_its_variance),
        cmocka_unit_test(role_pool_has_mean_and_deviation_of_each_role),
        cmocka_unit_test(embeddings_have_a_table_of_tensors_and_one_for_each_ordered_axis),
        cmocka_unit_test(a_scale_sums_a_million_entries_accurately),
        cmocka_unit_test(an_embedding_sums_a_million_tokens_accurately),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
