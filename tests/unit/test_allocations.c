/* Each allocation of a call is refused once. The call then fails, gives nothing, leaks nothing and leaves no
 * file behind, and its inputs still work. And a forward allocates nothing after its first. */
#define _GNU_SOURCE
#include "nft/file.h"
#include "nft/inr.h"
#include "nft/permute.h"
#include "unit/extras.h"
#include "unit/refusals.h"
#include "unit/support.h"
#include "unit/temporary.h"

#define FEW 2
#define MORE 5

static const char *const cases[] = {
    "model_cnn_predictor",
    "model_inr_classifier",
    "model_inr2array",
    "model_inr2array_additive",
    "model_nft_editor",
    "model_nfn_hnp",
    "model_statnet",
    "residual_np_cnn",
    "perceiver",
    "cross_attn",
    "normalize_cnn",
    "hnp_linear_2layer",
    "param_layer_norm_mlp",
};

/* One model and networks for it, in memory and in files. */
typedef struct fixture {
    char model_path[512], networks_path[512];
    void *model_bytes, *networks_bytes;
    size_t model_size, networks_size;
    nft_model *model;
    nft_weights *networks; /* MORE */
    support_result expected;
} fixture;

static fixture f;

static void open_fixture(const char *name)
{
    nft_module_info input = NFT_MODULE_INFO_INIT;
    int64_t labels[MORE] = {1, 2, 3, 4, 5}, five = MORE;
    nft_array *label = NULL;
    snprintf(f.model_path, sizeof f.model_path, NFT_TEST_DATA "/golden/%s/model.safetensors", name);
    snprintf(f.networks_path, sizeof f.networks_path, "%s", temporary_path("networks"));
    f.model_bytes = support_read(f.model_path, &f.model_size);
    assert_ok(nft_model_load(&f.model, f.model_path, NULL));
    input = *nft_model_describe(f.model)->input;
    f.networks = support_weights(nft_model_describe(f.model)->space, MORE, input.channels, 3);
    assert_ok(nft_array_create(&label, NFT_ARRAY_I64, &five, 1, labels));
    assert_ok(nft_weights_set_extra(f.networks, "label", label));
    nft_array_free(label);
    assert_ok(nft_weights_save(f.networks, f.networks_path));
    f.networks_bytes = support_read(f.networks_path, &f.networks_size);
    nft_context *context = support_context(f.model, 2, MORE);
    f.expected = support_forward(context, f.networks);
    nft_context_free(context);
}

static void close_fixture(void)
{
    free(f.expected.values);
    free(f.networks_bytes);
    free(f.model_bytes);
    nft_weights_free(f.networks);
    nft_model_free(f.model);
    f = (fixture){.model = NULL};
    temporary_entries(1);
}

/* A failed call gives nothing, a successful one something. */
#define CHECK_HANDLE(status, handle) assert_true(((status) == NFT_OK) == ((handle) != NULL))

/* --- models --- */

static nft_status keep_model(nft_status status, nft_model *model)
{
    CHECK_HANDLE(status, model);
    nft_model_free(model);
    return status;
}

static nft_status load_model(void)
{
    nft_model *model = f.model;
    nft_status status = INTERPOSE(nft_model_load(&model, f.model_path, NULL));
    return keep_model(status, model);
}

static nft_status load_model_from_memory(void)
{
    nft_model *model = f.model;
    nft_status status = INTERPOSE(nft_model_load(&model, NULL, NFT_LOAD_BYTES(f.model_bytes, f.model_size)));
    return keep_model(status, model);
}

static nft_status create_model(void)
{
    nft_model *model = f.model;
    const char *config = nft_model_describe(f.model)->config;
    nft_status status = INTERPOSE(nft_model_create(&model, config, strlen(config), 1, NULL));
    return keep_model(status, model);
}

/* The target keeps its old bytes unless all of the new ones arrived; nothing else is left in the folder. */
static nft_status check_saved(nft_status status, const char *path)
{
    size_t size = 0;
    char *bytes = support_read(path, &size);
    assert_true((size == 3 && !memcmp(bytes, "old", 3)) == (status != NFT_OK));
    free(bytes);
    assert_int_equal(remove(path), 0);
    assert_int_equal(temporary_entries(0), 1);
    return status;
}

static nft_status save_model(void)
{
    const char *path = temporary_path("saved");
    temporary_write(path, "old", 3);
    return check_saved(INTERPOSE(nft_model_save(f.model, path)), path);
}

/* --- weights --- */

static nft_status keep_weights(nft_status status, nft_weights *weights)
{
    CHECK_HANDLE(status, weights);
    nft_weights_free(weights);
    return status;
}

static nft_status load_weights(void)
{
    nft_weights *weights = f.networks;
    nft_status status = INTERPOSE(nft_weights_load(&weights, f.networks_path, NULL));
    return keep_weights(status, weights);
}

static nft_status load_weights_from_memory(void)
{
    nft_weights *weights = f.networks;
    nft_status status =
        INTERPOSE(nft_weights_load(&weights, NULL, NFT_LOAD_BYTES(f.networks_bytes, f.networks_size)));
    return keep_weights(status, weights);
}

static nft_status create_weights(void)
{
    nft_weights *weights = f.networks;
    nft_status status =
        INTERPOSE(nft_weights_create(&weights, nft_model_describe(f.model)->space, 3, 2, NULL));
    return keep_weights(status, weights);
}

static nft_status take_weights(nft_status (*take)(nft_weights **, const nft_space *, int64_t, int64_t,
                                                  const float *const *))
{
    const float *tensors[32];
    const nft_space *space = nft_model_describe(f.model)->space;
    assert_in_range(nft_space_describe(space)->tensor_count, 1, COUNT(tensors));
    for (int64_t t = 0; t < nft_space_describe(space)->tensor_count; t++)
        tensors[t] = t == 1 ? NULL : nft_weights_data(f.networks, t);
    nft_weights *weights = f.networks;
    nft_status status = INTERPOSE(take(&weights, space, MORE, nft_weights_channels(f.networks), tensors));
    return keep_weights(status, weights);
}

static nft_status copy_weights(void)
{
    return take_weights(nft_weights_create);
}

static nft_status borrow_weights(void)
{
    return take_weights(nft_weights_borrow);
}

static nft_status save_weights(void)
{
    const char *path = temporary_path("saved");
    temporary_write(path, "old", 3);
    return check_saved(INTERPOSE(nft_weights_save(f.networks, path)), path);
}

/* All layers are permuted, or none: a failed call leaves the same bits. */
static nft_status permute_weights(void)
{
    nft_weights *weights = NULL;
    assert_ok(nft_weights_load(&weights, f.networks_path, NULL));
    nft_status status = INTERPOSE(nft_weights_permute_random(weights, 1, 0));
    for (int64_t t = 0; status && t < nft_space_describe(nft_weights_space(weights))->tensor_count; t++)
        support_identical("a tensor after a failed permutation", nft_weights_data_count(weights, t),
                          nft_weights_data(weights, t), nft_weights_data(f.networks, t));
    nft_weights_free(weights);
    return status;
}

static nft_status set_extra(void)
{
    const float values[MORE] = {1, 2, 3, 4, 5};
    const int64_t shape[] = {MORE};
    nft_weights *weights = NULL;
    nft_array *array = NULL;
    assert_ok(nft_weights_load(&weights, f.networks_path, NULL));
    assert_ok(nft_array_create(&array, NFT_ARRAY_F32, shape, 1, values));
    nft_status status = INTERPOSE(nft_weights_set_extra(weights, "more", array));
    assert_int_equal(count_extras(weights), status ? 1 : 2);
    assert_true((nft_weights_extra(weights, "more") != NULL) == (status == NFT_OK));
    assert_non_null(nft_weights_extra(weights, "label"));
    if (!status) {
        status = INTERPOSE(nft_weights_set_extra(weights, "label", array));
        assert_true((nft_array_f32(nft_weights_extra(weights, "label")) != NULL) == (status == NFT_OK));
    }
    nft_array_free(array);
    nft_weights_free(weights);
    return status;
}

/* --- contexts --- */

static nft_status context_memory(void)
{
    int64_t bytes = 0;
    return INTERPOSE(nft_context_cost(&bytes, NULL, f.model, NULL, NULL));
}

static nft_status create_context(void)
{
    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    nft_context *context = (void *)f.model;
    options.threads = 3;
    options.max_batch = FEW;
    nft_status status = INTERPOSE(nft_context_create(&context, f.model, &options));
    CHECK_HANDLE(status, context);
    if (!status)
        assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(f.networks)));
    nft_context_free(context);
    return status;
}

/* The first forward, of `first` networks. Then, whether it failed or not, all give the right numbers. */
static nft_status run_forward(int64_t first)
{
    nft_context *context = support_context(f.model, 2, FEW);
    nft_status status = INTERPOSE(nft_forward(context, NFT_VIEW_WEIGHTS_RANGE(f.networks, 0, first)));
    if (status)
        assert_true(!nft_context_output(context, NFT_OUTPUT)->array &&
                    !nft_context_output(context, NFT_OUTPUT)->weights);
    support_result result = support_forward(context, f.networks);
    assert_int_equal(result.count, f.expected.count);
    support_identical("the output after a refused allocation", result.count, result.values,
                      f.expected.values);
    free(result.values);
    nft_context_free(context);
    return status;
}

static nft_status forward_few(void)
{
    return run_forward(FEW);
}

static nft_status forward_more(void)
{
    return run_forward(MORE);
}

/* --- spaces, arrays and files --- */

static nft_status create_space(void)
{
    const nft_layer layers[] = {NFT_LAYER_INIT_CONV2D(1, 3, 3, 3), NFT_LAYER_INIT_FLATTENED(3, 2, 4)};
    nft_space *space = (void *)f.model;
    nft_status status = INTERPOSE(nft_space_create_chain(&space, layers, 2));
    CHECK_HANDLE(status, space);
    nft_space_free(space);
    return status;
}

static nft_status create_mlp(void)
{
    const int64_t widths[] = {2, 3, 1};
    nft_space *space = (void *)f.model;
    nft_status status = INTERPOSE(nft_space_create_mlp(&space, widths, 3));
    CHECK_HANDLE(status, space);
    nft_space_free(space);
    return status;
}

static nft_status parse_space(void)
{
    static const char json[] = "{\"layers\": [{\"type\": \"linear\", \"in\": 2, \"out\": 1}]}";
    nft_space *space = (void *)f.model;
    nft_status status = INTERPOSE(nft_space_parse(&space, json, sizeof json - 1));
    CHECK_HANDLE(status, space);
    nft_space_free(space);
    return status;
}

static nft_status make_arrays(void)
{
    const int64_t shape[] = {2, 3};
    const float values[6] = {0};
    nft_array *array = (void *)f.model, *borrowed = array;
    nft_status status = INTERPOSE(nft_array_create(&array, NFT_ARRAY_F32, shape, 2, values));
    CHECK_HANDLE(status, array);
    nft_array_free(array);
    if (status)
        return status;
    status = INTERPOSE(nft_array_borrow(&borrowed, NFT_ARRAY_F32, shape, 2, values));
    CHECK_HANDLE(status, borrowed);
    nft_array_free(borrowed);
    return status;
}

static nft_status save_arrays(void)
{
    const nft_array *label = nft_weights_extra(f.networks, "label");
    const char *const names[] = {"one", "two"}, *const metadata[] = {"key", "text", NULL};
    const nft_array *const arrays[] = {label, label};
    const char *path = temporary_path("saved");
    temporary_write(path, "old", 3);
    return check_saved(INTERPOSE(nft_array_save(path, names, arrays, 2, metadata)), path);
}

static nft_status open_file(void)
{
    nft_file *file = (void *)f.model;
    nft_status status = INTERPOSE(nft_file_open(&file, f.networks_path, NULL));
    CHECK_HANDLE(status, file);
    nft_file_free(file);
    return status;
}

static nft_status open_memory(void)
{
    nft_file *file = (void *)f.model;
    nft_status status =
        INTERPOSE(nft_file_open(&file, NULL, NFT_LOAD_BYTES(f.networks_bytes, f.networks_size)));
    CHECK_HANDLE(status, file);
    nft_file_free(file);
    return status;
}

static nft_status read_tensor(void)
{
    nft_file *file = NULL;
    nft_array *array = (void *)f.model;
    assert_ok(nft_file_open(&file, f.networks_path, NULL));
    nft_status status = INTERPOSE(nft_file_read(&array, file, "label", 0, NFT_ALL));
    CHECK_HANDLE(status, array);
    nft_array_free(array);
    nft_file_free(file);
    return status;
}

/* --- SIRENs --- */

static nft_status fit_and_render(void)
{
    const int64_t widths[] = {2, 3, 1}, shape[] = {3, 2, 2, 1};
    nft_inr_fit_options options = NFT_INR_FIT_OPTIONS_INIT;
    nft_space *space = NULL;
    nft_weights *sirens = NULL;
    nft_array *images = NULL, *rendered = (void *)f.model;
    float losses[3];
    options.threads = 2;
    options.steps = 2;
    options.shared_init = 1;
    assert_ok(nft_space_create_mlp(&space, widths, 3));
    assert_ok(nft_weights_create(&sirens, space, 3, 1, NULL));
    assert_ok(nft_array_create(&images, NFT_ARRAY_F32, shape, 4, NULL));
    nft_status status = INTERPOSE(nft_inr_init(sirens, 1, 0, 0));
    if (!status)
        status = INTERPOSE(nft_inr_fit(sirens, losses, images, &options));
    if (!status) {
        status = INTERPOSE(nft_inr_render(&rendered, sirens, 0, 3, 4, 5, NULL));
        CHECK_HANDLE(status, rendered);
        nft_array_free(rendered);
    }
    nft_array_free(images);
    nft_weights_free(sirens);
    nft_space_free(space);
    return status;
}

/* --- every allocation, one after the other --- */

static const operation operations[] = {
    {"load a model", load_model, 20},
    {"load a model from memory", load_model_from_memory, 20},
    {"create a model", create_model, 20},
    {"save a model", save_model, 3},
    {"load weights", load_weights, 5},
    {"load weights from memory", load_weights_from_memory, 5},
    {"create weights", create_weights, 3},
    {"copy weights", copy_weights, 3},
    {"borrow weights", borrow_weights, 3},
    {"save weights", save_weights, 3},
    {"permute weights", permute_weights, 1},
    {"set an extra tensor", set_extra, 1},
    {"ask for a context's memory", context_memory, 0},
    {"create a context", create_context, 3},
    {"forward", forward_few, 0},
    {"forward a larger batch", forward_more, 1},
    {"create a space", create_space, 1},
    {"create an MLP's space", create_mlp, 1},
    {"parse a space", parse_space, 5},
    {"make arrays", make_arrays, 1},
    {"save arrays", save_arrays, 3},
    {"open a file", open_file, 3},
    {"open a file in memory", open_memory, 3},
    {"read a tensor", read_tensor, 1},
    {"fit and render SIRENs", fit_and_render, 3},
};

static void allocations_may_fail(void **state)
{
    (void)state;
    for (size_t c = 0; c < COUNT(cases); c++) {
        open_fixture(cases[c]);
        for (size_t o = 0; o < COUNT(operations); o++)
            refuse_each(cases[c], &operations[o]);
        close_fixture();
    }
}

static void forwards_allocate_nothing(void **state)
{
    (void)state;
    for (size_t c = 0; c < COUNT(cases); c++) {
        open_fixture(cases[c]);
        for (int32_t threads = 1; threads <= 2; threads++) {
            nft_context *context = support_context(f.model, threads, FEW);
            for (int64_t count = 1; count <= MORE; count += MORE - 1) {
                assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS_RANGE(f.networks, 0, count)));
                for (int i = 0; i < 20; i++) {
                    assert_ok(INTERPOSE(nft_forward(context, NFT_VIEW_WEIGHTS_RANGE(f.networks, 0, count))));
                    assert_int_equal(interposed_calls, 0);
                }
            }
            nft_context_free(context);
        }
        close_fixture();
    }
}

static int setup(void **state)
{
    return interposed_install() || temporary_open(state) ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations_may_fail),
        cmocka_unit_test(forwards_allocate_nothing),
    };
    return cmocka_run_group_tests_name("allocations", tests, setup, temporary_close);
}
