/* Arguments that no call should be given: NULL, indices and sizes out of range, objects of the wrong kind.
 * Fallible calls refuse them with one line, getters give 0 or NULL, freeing nothing is fine, and outputs are
 * NULL after a failure. */
#define _XOPEN_SOURCE 700
#include "nft/dataset.h"
#include "nft/file.h"
#include "nft/train.h"
#include "unit/extras.h"
#include "unit/support.h"
#include "unit/temporary.h"

#define MODEL                                                                                                \
    "{'format_version': 1, 'space': {'layers': [{'type': 'linear', 'in': 2, 'out': 3}, {'type': 'linear', "  \
    "'in': 3, 'out': 1}]}, 'modules': [{'type': 'pointwise', 'out_channels': 2}, {'type': 'np_pool'}]}"
#define TOKENS_MODEL                                                                                         \
    "{'format_version': 1, 'input': {'type': 'tokens', 'tokens': 3, 'channels': 2}, 'modules': [{'type': "   \
    "'mean_tokens'}]}"

static int somewhere; /* the value of output handles before a call: it must be replaced */
#define WRONG(type) ((type *)(void *)&somewhere)

#define assert_status(call, status) support_status((call), (status), #call, __FILE__, __LINE__)
#define assert_refused(call) assert_status(call, NFT_ERROR_ARGUMENT)

static void support_status(nft_status found, nft_status expected, const char *call, const char *file,
                           int line)
{
    const char *message = nft_error_message();
    if (found == expected && *message && !strchr(message, '\n'))
        return;
    print_error("%s: %s, expected %s; \"%s\"\n", call, nft_status_name(found), nft_status_name(expected),
                message);
    _fail(file, line);
}

static void assert_said(const char *words)
{
    if (!strstr(nft_error_message(), words))
        fail_msg("the message is \"%s\", expected \"%s\" in it", nft_error_message(), words);
}

typedef struct fixture {
    nft_model *model, *tokens_model;
    nft_weights *weights;
    nft_context *context, *tokens_context;
    nft_space *other_space;
} fixture;

static int open_fixture(void **state)
{
    fixture *f = support_allocate(sizeof *f);
    const int64_t widths[] = {2, 4, 1};
    f->model = support_model(MODEL, 0);
    f->tokens_model = support_model(TOKENS_MODEL, 0);
    f->weights = support_weights(nft_model_describe(f->model)->space, 3, 1, 0);
    f->context = support_context(f->model, 1, 2);
    f->tokens_context = support_context(f->tokens_model, 1, 2);
    *state = f;
    return nft_space_create_mlp(&f->other_space, widths, 3) || temporary_open(NULL);
}

static int close_fixture(void **state)
{
    fixture *f = *state;
    nft_model_free(f->model);
    nft_model_free(f->tokens_model);
    nft_weights_free(f->weights);
    nft_context_free(f->context);
    nft_context_free(f->tokens_context);
    nft_space_free(f->other_space);
    free(f);
    return temporary_close(NULL);
}

static void base(void **state)
{
    (void)state;
    nft_allocator allocator = {0, NULL, NULL, NULL};
    for (nft_status status = -1; status < 20; status++)
        assert_true(*nft_status_name(status));
    assert_true(*nft_version() && *nft_build_info());
    assert_null(strchr(nft_build_info(), '\n'));
    assert_refused(nft_set_allocator(NULL)); /* objects are alive */
    assert_refused(nft_set_allocator(&allocator));
    nft_set_log(NULL, NULL);
    nft_array_free(NULL);
    nft_file_free(NULL);
    nft_space_free(NULL);
    nft_weights_free(NULL);
    nft_model_free(NULL);
    nft_context_free(NULL);
}

static void arrays(void **state)
{
    (void)state;
    const int64_t shape[] = {2, 3, 1, 1, 1, 1, 1, 1, 1}, negative[] = {2, -1},
                  huge[] = {INT64_MAX / 2, INT64_MAX / 2};
    const float data[6] = {0};
    nft_array *array = WRONG(nft_array);
    assert_refused(nft_array_create(NULL, NFT_ARRAY_F32, shape, 2, data));
    assert_refused(nft_array_create(&array, NFT_ARRAY_F32, NULL, 2, data));
    assert_null(array);
    assert_refused(nft_array_create(&array, 2, shape, 2, data));
    assert_refused(nft_array_create(&array, NFT_ARRAY_F32, shape, 9, data));
    assert_refused(nft_array_create(&array, NFT_ARRAY_F32, shape, -1, data));
    assert_refused(nft_array_create(&array, NFT_ARRAY_F32, negative, 2, data));
    assert_status(nft_array_create(&array, NFT_ARRAY_F32, huge, 2, NULL), NFT_ERROR_LIMIT);
    assert_refused(nft_array_borrow(NULL, NFT_ARRAY_F32, shape, 2, data));
    array = WRONG(nft_array);
    assert_refused(nft_array_borrow(&array, NFT_ARRAY_F32, NULL, 2, data));
    assert_null(array);
    assert_refused(nft_array_borrow(&array, NFT_ARRAY_F32, shape, 2, NULL));
    assert_refused(nft_array_borrow(&array, 7, shape, 2, data));
    assert_status(nft_array_borrow(&array, NFT_ARRAY_F32, huge, 2, data), NFT_ERROR_LIMIT);
    assert_null(array);

    assert_null(nft_array_f32(NULL));
    assert_null(nft_array_i64(NULL));
    assert_int_equal(nft_array_rank(NULL) + nft_array_size(NULL, 0) + nft_array_count(NULL), 0);
    assert_ok(nft_array_borrow(&array, NFT_ARRAY_F32, shape, 2, data));
    assert_int_equal(nft_array_size(array, -1) + nft_array_size(array, 2), 0);
    assert_null(nft_array_i64(array));
    nft_array_free(array);
}

static void files(void **state)
{
    fixture *f = *state;
    nft_file *file = WRONG(nft_file);
    nft_array *array = WRONG(nft_array);
    nft_tensor_info info = NFT_TENSOR_INFO_INIT;
    const char *const names[] = {"a", NULL};
    const nft_array *const none[] = {NULL, NULL};
    assert_refused(nft_array_save(NULL, names, none, 0, NULL));
    assert_refused(nft_array_save(temporary_path("x"), NULL, none, 1, NULL));
    assert_refused(nft_array_save(temporary_path("x"), names, NULL, 1, NULL));
    assert_refused(nft_array_save(temporary_path("x"), names, none, 1, NULL));
    assert_refused(nft_file_open(NULL, "x", NULL));
    assert_refused(nft_file_open(&file, NULL, NULL));
    assert_null(file);
    file = WRONG(nft_file);
    assert_status(nft_file_open(&file, temporary_path("missing"), NULL), NFT_ERROR_FILE);
    assert_null(file);
    assert_refused(nft_file_open(NULL, NULL, NFT_LOAD_BYTES("x", 1)));
    assert_refused(nft_file_open(&file, NULL, NFT_LOAD_BYTES(NULL, 1)));
    assert_status(nft_file_open(&file, NULL, NFT_LOAD_BYTES("", 0)), NFT_ERROR_FORMAT);

    assert_ok(nft_weights_save(f->weights, temporary_path("weights")));
    assert_ok(nft_file_open(&file, temporary_path("weights"), NULL));
    assert_refused(nft_file_tensor(&info, NULL, 0));
    assert_refused(nft_file_tensor(NULL, file, 0));
    assert_refused(nft_file_tensor(&info, file, -1));
    assert_refused(nft_file_tensor(&info, file, 4));
    info.size = 8;
    assert_refused(nft_file_tensor(&info, file, 0));
    assert_said("size is 8");
    assert_int_equal(nft_file_tensor_count(NULL), 0);
    assert_null(nft_file_metadata(NULL, "a"));
    assert_null(nft_file_metadata(file, NULL));
    assert_null(nft_file_metadata(file, "none"));
    assert_refused(nft_file_read(NULL, file, "0.weight", 0, NFT_ALL));
    assert_refused(nft_file_read(&array, NULL, "0.weight", 0, NFT_ALL));
    assert_null(array);
    assert_refused(nft_file_read(&array, file, NULL, 0, NFT_ALL));
    assert_refused(nft_file_read(&array, file, "2.weight", 0, NFT_ALL));
    assert_said("'2.weight'");
    assert_refused(nft_file_read(NULL, file, "0.weight", 0, 0));
    assert_refused(nft_file_read(&array, NULL, "0.weight", 0, 0));
    assert_refused(nft_file_read(&array, file, NULL, 0, 0));
    assert_refused(nft_file_read(&array, file, "2.weight", 0, 0));
    assert_refused(nft_file_read(&array, file, "0.weight", 0, INT64_MAX));
    assert_refused(nft_file_read(&array, file, "0.weight", -1, 1));
    nft_file_free(file);
}

static void spaces(void **state)
{
    fixture *f = *state;
    nft_space *space = WRONG(nft_space);
    nft_layer layer = NFT_LAYER_INIT_LINEAR(2, 3), small = layer, wrong = layer;
    const int64_t widths[] = {2, 3, 0};
    small.size = 8;
    wrong.type = 7;
    assert_refused(nft_space_create_chain(NULL, &layer, 1));
    assert_refused(nft_space_create_chain(&space, NULL, 1));
    assert_null(space);
    assert_refused(nft_space_create_chain(&space, &small, 1));
    assert_refused(nft_space_create_chain(&space, (nft_layer[]){layer, small}, 2));
    assert_status(nft_space_create_chain(&space, &layer, 0), NFT_ERROR_CONFIG);
    assert_status(nft_space_create_chain(&space, &layer, -1), NFT_ERROR_CONFIG);
    assert_status(nft_space_create_chain(&space, &wrong, 1), NFT_ERROR_CONFIG);
    assert_refused(nft_space_create_mlp(NULL, widths, 2));
    assert_refused(nft_space_create_mlp(&space, NULL, 2));
    assert_status(nft_space_create_mlp(&space, widths, 1), NFT_ERROR_CONFIG);
    assert_status(nft_space_create_mlp(&space, widths, 3), NFT_ERROR_CONFIG);
    assert_refused(nft_space_parse(NULL, "{}", 2));
    space = WRONG(nft_space);
    assert_refused(nft_space_parse(&space, NULL, 2));
    assert_null(space);
    assert_status(nft_space_parse(&space, "{}", 2), NFT_ERROR_CONFIG);
    assert_status(nft_space_parse(&space, "{", 1), NFT_ERROR_FORMAT);
    assert_refused(nft_space_load(&space, NULL, NULL));
    assert_refused(nft_space_load(&space, "x", NFT_LOAD_BYTES("{}", 2)));
    assert_status(nft_space_load(&space, NULL, NFT_LOAD_BYTES("{}", 2)), NFT_ERROR_CONFIG);
    assert_status(nft_space_load(&space, NULL, NFT_LOAD_BYTES("x", 1)), NFT_ERROR_FORMAT);
    assert_null(space);
    const char *json = nft_space_describe(f->other_space)->json;
    assert_ok(nft_space_load(&space, NULL, NFT_LOAD_BYTES(json, strlen(json))));
    assert_int_equal(nft_space_equal(space, f->other_space), 1);
    nft_space_free(space);
    nft_dataset *dataset = WRONG(nft_dataset);
    assert_refused(nft_dataset_open(&dataset, "x", NFT_LOAD_BYTES("x", 1)));
    assert_said("a data set is read from files");
    assert_null(dataset);

    assert_int_equal(nft_space_describe(NULL)->layer_count + nft_space_describe(NULL)->parameter_count, 0);
    assert_int_equal(nft_space_equal(f->other_space, NULL) + nft_space_equal(NULL, f->other_space), 0);
    assert_refused(nft_space_layer(&layer, NULL, 0));
    assert_refused(nft_space_layer(NULL, f->other_space, 0));
    assert_refused(nft_space_layer(&layer, f->other_space, -1));
    assert_refused(nft_space_layer(&layer, f->other_space, 2));
    assert_refused(nft_space_layer(&small, f->other_space, 0));
}

static void weights_made(void **state)
{
    fixture *f = *state;
    nft_weights *weights = WRONG(nft_weights);
    const float numbers[12] = {0};
    const float *const arrays_of[] = {numbers, numbers, numbers, NULL}, *const half[] = {numbers, numbers,
                                                                                         NULL, numbers};
    nft_load_options options = {.size = 1};
    assert_refused(nft_weights_create(NULL, f->other_space, 1, 1, NULL));
    assert_refused(nft_weights_create(&weights, NULL, 1, 1, NULL));
    assert_null(weights);
    assert_refused(nft_weights_create(&weights, f->other_space, -1, 1, NULL));
    assert_refused(nft_weights_create(&weights, f->other_space, 1, 0, NULL));
    assert_status(nft_weights_create(&weights, f->other_space, INT64_MAX / 8, 1, NULL), NFT_ERROR_LIMIT);
    assert_refused(nft_weights_create(NULL, f->other_space, 1, 1, arrays_of));
    assert_refused(nft_weights_create(&weights, NULL, 1, 1, arrays_of));
    assert_refused(nft_weights_create(&weights, f->other_space, 1, 1, half));
    assert_refused(nft_weights_borrow(NULL, f->other_space, 1, 1, arrays_of));
    weights = WRONG(nft_weights);
    assert_refused(nft_weights_borrow(&weights, NULL, 1, 1, arrays_of));
    assert_null(weights);
    assert_refused(nft_weights_borrow(&weights, f->other_space, 1, 1, NULL));
    assert_refused(nft_weights_borrow(&weights, f->other_space, 1, 1, half));
    assert_refused(nft_weights_load(NULL, "x", NULL));
    assert_refused(nft_weights_load(&weights, NULL, NULL));
    assert_said("nft_weights_load: argument 'path'");
    assert_status(nft_weights_load(&weights, temporary_path("missing"), NULL), NFT_ERROR_FILE);
    assert_said("missing");
    assert_refused(nft_weights_load(NULL, "x", NULL));
    assert_refused(nft_weights_load(NULL, NULL, NFT_LOAD_BYTES("x", 1)));
    assert_refused(nft_weights_load(&weights, NULL, NFT_LOAD_BYTES(NULL, 1)));
    assert_said("nft_weights_load: argument 'path'");
    assert_status(nft_weights_load(&weights, NULL, NFT_LOAD_BYTES("x", 1)), NFT_ERROR_FORMAT);
    assert_ok(nft_weights_save(f->weights, temporary_path("weights")));
    assert_refused(nft_weights_load(&weights, temporary_path("weights"), &options));
    assert_null(weights);
}

static void weights_used(void **state)
{
    fixture *f = *state;
    nft_array *label = NULL;
    const int64_t shape[] = {2};
    assert_null(nft_weights_space(NULL));
    assert_int_equal(nft_weights_count(NULL) + nft_weights_channels(NULL), 0);
    assert_null(nft_weights_extra_name(NULL, 0));
    assert_null(nft_weights_tensor_name(NULL, 0));
    assert_null(nft_weights_tensor_name(f->weights, -1));
    assert_null(nft_weights_tensor_name(f->weights, 4));
    assert_null(nft_weights_data(NULL, 0));
    assert_null(nft_weights_edit(NULL, 0));
    assert_int_equal(nft_weights_data_count(NULL, 0), 0);
    for (int64_t t = -1; t < 6; t++) {
        int there = t >= 0 && t < 4;
        assert_int_equal(nft_weights_data(f->weights, t) != NULL, there);
        assert_int_equal(nft_weights_edit(f->weights, t) != NULL, there);
        assert_int_equal(nft_weights_data_count(f->weights, t) != 0, there);
    }
    assert_refused(nft_weights_save(NULL, "x"));
    assert_refused(nft_weights_save(f->weights, NULL));
    assert_status(nft_weights_save(f->weights, ""), NFT_ERROR_FILE);
    assert_refused(nft_weights_permute(NULL, NULL));
    assert_refused(nft_weights_permute(f->weights, NULL));
    assert_refused(nft_weights_permute_random(NULL, 0, 0));
    assert_null(nft_weights_extra_name(NULL, 0));
    assert_null(nft_weights_extra_name(f->weights, 0));
    assert_null(nft_weights_extra(NULL, "label"));
    assert_null(nft_weights_extra(f->weights, NULL));
    assert_ok(nft_array_create(&label, NFT_ARRAY_I64, shape, 1, NULL));
    assert_refused(nft_weights_set_extra(NULL, "label", label));
    assert_refused(nft_weights_set_extra(f->weights, NULL, label));
    assert_refused(nft_weights_set_extra(f->weights, "label", label));
    assert_said("2");
    nft_array_free(label);
    const int64_t networks[] = {3};
    assert_ok(nft_array_create(&label, NFT_ARRAY_I64, networks, 1, NULL));
    assert_refused(nft_weights_set_extra(f->weights, "label\xff", label));
    assert_said("is not UTF-8");
    assert_int_equal(count_extras(f->weights), 0);
    nft_array_free(label);
}

static void models_made(void **state)
{
    fixture *f = *state;
    nft_model *model = WRONG(nft_model);
    nft_load_options options = {.size = 1};
    assert_refused(nft_model_create(NULL, "{}", 2, 0, NULL));
    assert_refused(nft_model_create(&model, NULL, 2, 0, NULL));
    assert_null(model);
    assert_refused(nft_model_load(NULL, "x", NULL));
    model = WRONG(nft_model);
    assert_refused(nft_model_load(&model, NULL, NULL));
    assert_null(model);
    assert_status(nft_model_load(&model, temporary_path("missing"), NULL), NFT_ERROR_FILE);
    assert_said("missing");
    assert_refused(nft_model_load(NULL, "x", NULL));
    assert_refused(nft_model_load(NULL, NULL, NFT_LOAD_BYTES("x", 1)));
    assert_refused(nft_model_load(&model, NULL, NFT_LOAD_BYTES(NULL, 1)));
    assert_refused(nft_model_load(&model, NULL, NULL));
    assert_said("nft_model_load: argument 'path'");
    options = (nft_load_options){.size = sizeof options, .bytes = "x", .byte_count = 1};
    assert_refused(nft_model_load(&model, "some.safetensors", &options));
    assert_said("both a path, some.safetensors, and options->bytes");
    options.byte_count = SIZE_MAX;
    assert_status(nft_model_load(&model, NULL, &options), NFT_ERROR_LIMIT);
    options = (nft_load_options){.size = 1};
    assert_status(nft_model_load(&model, "", NULL), NFT_ERROR_FILE);
    assert_said("the path is empty");
    assert_status(nft_model_load(&model, NULL, NFT_LOAD_BYTES("x", 1)), NFT_ERROR_FORMAT);
    assert_refused(nft_model_save(NULL, "x"));
    assert_refused(nft_model_save(f->model, NULL));
    assert_status(nft_model_save(f->model, temporary_path("no/such/folder")), NFT_ERROR_FILE);
    assert_ok(nft_model_save(f->model, temporary_path("model")));
    model = WRONG(nft_model);
    assert_refused(nft_model_load(&model, temporary_path("model"), &options));
    assert_null(model);
    options = (nft_load_options){.size = sizeof options, .memory_limit = 16};
    assert_status(nft_model_load(&model, temporary_path("model"), &options), NFT_ERROR_LIMIT);
    assert_null(model);
    options.memory_limit = INT64_MIN;
    assert_refused(nft_model_load(&model, temporary_path("model"), &options));
    assert_said("nft_model_load: memory_limit is -9223372036854775808");
}

static void broken_configuration(void **state)
{
    (void)state;
    static const char file[] = "\x2f\0\0\0\0\0\0\0{\"__metadata__\":{\"nft.config\":\"{\\\"modules\\\":\"}}";
    nft_model *model = WRONG(nft_model);
    assert_status(nft_model_load(&model, NULL, NFT_LOAD_BYTES(file, sizeof file - 1)), NFT_ERROR_FORMAT);
    assert_said("memory: its configuration, nft.config in the metadata: JSON, line 1");
    assert_null(model);
}

static void models_asked(void **state)
{
    fixture *f = *state;
    nft_module_info module = NFT_MODULE_INFO_INIT, small = {.size = 8};
    nft_tensor_info tensor = NFT_TENSOR_INFO_INIT, small_tensor = {.size = 8};
    assert_null(nft_model_describe(NULL)->config);
    assert_null(nft_model_metadata(NULL, "nft.loss"));
    assert_null(nft_model_metadata(f->model, NULL));
    assert_null(nft_model_metadata(f->model, "nft.loss"));
    assert_null(nft_model_describe(NULL)->space);
    assert_null(nft_model_describe(f->tokens_model)->space);
    const nft_model_description *none = nft_model_describe(NULL);
    assert_int_equal(none->module_count, 0);
    assert_int_equal(none->tensor_count, 0);
    assert_int_equal(none->has_decoder, 0);
    assert_int_equal(none->input->channels, 0);
    assert_int_equal(none->output->parameter_count, 0);
    assert_refused(nft_model_module(&module, NULL, 0));
    assert_refused(nft_model_module(NULL, f->model, 0));
    assert_refused(nft_model_module(&small, f->model, 0));
    assert_refused(nft_model_module(&module, f->model, -1));
    assert_refused(nft_model_module(&module, f->model, 2));
    assert_said("2");
    assert_refused(nft_model_tensor(&tensor, NULL, 0));
    assert_refused(nft_model_tensor(NULL, f->model, 0));
    assert_refused(nft_model_tensor(&small_tensor, f->model, 0));
    assert_refused(nft_model_tensor(&tensor, f->model, -1));
    assert_refused(nft_model_tensor(&tensor, f->model, nft_model_describe(f->model)->tensor_count));
}

static void contexts(void **state)
{
    fixture *f = *state;
    nft_context *context = WRONG(nft_context);
    nft_context_options options = {.size = 1};
    int64_t bytes = 1;
    assert_refused(nft_context_cost(&bytes, NULL, NULL, NULL, NULL));
    assert_refused(nft_context_cost(NULL, NULL, f->model, NULL, NULL));
    assert_refused(nft_context_cost(&bytes, NULL, f->model, NULL, &options));
    assert_refused(nft_context_create(NULL, f->model, NULL));
    assert_refused(nft_context_create(&context, NULL, NULL));
    assert_null(context);
    context = WRONG(nft_context);
    assert_refused(nft_context_create(&context, f->model, &options));
    assert_null(context);
    options = (nft_context_options)NFT_CONTEXT_OPTIONS_INIT;
    options.threads = -1;
    assert_refused(nft_context_create(&context, f->model, &options));
    options.threads = 1 << 30;
    assert_refused(nft_context_create(&context, f->model, &options));
    options.threads = 1;
    options.max_batch = -1;
    assert_refused(nft_context_create(&context, f->model, &options));
    options.max_batch = INT64_MAX;
    assert_status(nft_context_create(&context, f->model, &options), NFT_ERROR_LIMIT);
    options.max_batch = 1;
    options.memory_limit = 8;
    assert_status(nft_context_create(&context, f->model, &options), NFT_ERROR_LIMIT);
    assert_said("8 bytes");
    options.memory_limit = -1;
    assert_refused(nft_context_create(&context, f->model, &options));
    assert_said("memory_limit is -1");
    assert_null(context);
    nft_context_set_progress(NULL, NULL, NULL);
    assert_null(nft_context_output(NULL, NFT_OUTPUT)->array);
    assert_null(nft_context_output(NULL, NFT_OUTPUT)->weights);
    assert_null(nft_context_output(f->context, -1)->array);
    assert_null(nft_context_output(f->context, NFT_OUTPUT_INPUT_GRADIENT + 1)->array);
}

/* The options of older callers are shorter: missing fields have their defaults. */
static void older_options(void **state)
{
    fixture *f = *state;
    nft_context *context = NULL;
    nft_model *model = NULL;
    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    nft_load_options load = NFT_LOAD_OPTIONS_INIT;
    options.size = offsetof(nft_context_options, memory_limit);
    options.threads = 1;
    options.memory_limit = 1;
    assert_ok(nft_context_create(&context, f->model, &options));
    assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(f->weights)));
    nft_context_free(context);
    assert_ok(nft_model_save(f->model, temporary_path("older")));
    load.size = offsetof(nft_load_options, memory_limit);
    load.memory_limit = 1;
    assert_ok(nft_model_load(&model, temporary_path("older"), &load));
    nft_model_free(model);
}

static void forwards(void **state)
{
    fixture *f = *state;
    nft_weights *empty = NULL, *other = NULL, *channels = NULL;
    nft_space *longer = NULL;
    const int64_t widths[] = {2, 3, 1, 1};
    assert_refused(nft_forward(NULL, NFT_VIEW_WEIGHTS(f->weights)));
    assert_refused(nft_forward(f->context, NFT_VIEW_WEIGHTS(NULL)));
    assert_refused(nft_forward(f->context, NULL));
    assert_refused(nft_forward(f->context, NFT_VIEW_WEIGHTS_RANGE(f->weights, -1, 1)));
    assert_said("first is -1, expected 0 … 2");
    assert_refused(nft_forward(f->context, NFT_VIEW_WEIGHTS_RANGE(f->weights, 0, 4)));
    assert_said("3");
    assert_refused(nft_forward(f->context, NFT_VIEW_WEIGHTS_RANGE(f->weights, 3, 1)));
    assert_refused(nft_forward(f->context, NFT_VIEW_WEIGHTS_RANGE(f->weights, 2, INT64_MAX)));
    assert_said("reach past the 3");
    assert_refused(nft_forward(f->context, NFT_VIEW_WEIGHTS_RANGE(f->weights, INT64_MAX, 1)));
    assert_said("first is 9223372036854775807, expected 0 … 2");
    assert_refused(nft_forward(f->context, NFT_VIEW_WEIGHTS_RANGE(f->weights, 3, 0)));
    assert_refused(nft_forward(f->context, NFT_VIEW_WEIGHTS_RANGE(f->weights, 0, -1)));
    nft_view view = {.weights = f->weights};
    assert_refused(nft_forward(f->context, &view));
    assert_said("NFT_VIEW_INIT");
    assert_ok(nft_weights_create(&empty, nft_model_describe(f->model)->space, 0, 1, NULL));
    assert_refused(nft_forward(f->context, NFT_VIEW_WEIGHTS(empty)));
    assert_said("at least 1");
    assert_ok(nft_weights_create(&other, f->other_space, 1, 1, NULL));
    assert_status(nft_forward(f->context, NFT_VIEW_WEIGHTS(other)), NFT_ERROR_MISMATCH);
    assert_said("layer 0");
    nft_weights_free(other);
    assert_ok(nft_space_create_mlp(&longer, widths, 4));
    assert_ok(nft_weights_create(&other, longer, 1, 1, NULL));
    assert_status(nft_forward(f->context, NFT_VIEW_WEIGHTS(other)), NFT_ERROR_MISMATCH);
    assert_said("3 layers");
    assert_ok(nft_weights_create(&channels, nft_model_describe(f->model)->space, 1, 2, NULL));
    assert_status(nft_forward(f->context, NFT_VIEW_WEIGHTS(channels)), NFT_ERROR_MISMATCH);
    assert_said("2 channels");
    assert_status(nft_forward(f->tokens_context, NFT_VIEW_WEIGHTS(f->weights)), NFT_ERROR_MISMATCH);
    assert_said("tokens");
    assert_null(nft_context_output(f->context, NFT_OUTPUT)->array);
    assert_null(nft_context_output(f->context, NFT_OUTPUT_LATENTS)->array);
    nft_weights_free(channels);
    nft_weights_free(other);
    nft_weights_free(empty);
    nft_space_free(longer);
}

static void refuse_tokens(const fixture *f, int32_t type, int64_t rank, const int64_t *shape)
{
    nft_array *array = NULL;
    assert_ok(nft_array_create(&array, type, shape, rank, NULL));
    assert_status(nft_forward(f->tokens_context, NFT_VIEW_ARRAY_RANGE(array, 0, 1)), NFT_ERROR_MISMATCH);
    assert_said("(N, 3, 2)");
    nft_array_free(array);
}

static void token_forwards(void **state)
{
    fixture *f = *state;
    nft_array *tokens = NULL;
    const int64_t shape[] = {4, 3, 2}, fewer[] = {4, 2, 2}, wider[] = {4, 3, 3}, more[] = {4, 3, 2, 1};
    assert_ok(nft_array_create(&tokens, NFT_ARRAY_F32, shape, 3, NULL));
    assert_refused(nft_forward(NULL, NFT_VIEW_ARRAY_RANGE(tokens, 0, 1)));
    assert_refused(nft_forward(f->tokens_context, NFT_VIEW_ARRAY(NULL)));
    assert_said("neither weights nor an array");
    nft_view both = NFT_VIEW_INIT;
    both.weights = f->weights;
    both.array = tokens;
    assert_refused(nft_forward(f->tokens_context, &both));
    assert_said("weights and an array");
    assert_refused(nft_forward(f->tokens_context, NFT_VIEW_ARRAY_RANGE(tokens, -1, 1)));
    assert_refused(nft_forward(f->tokens_context, NFT_VIEW_ARRAY_RANGE(tokens, 1, 4)));
    assert_refused(nft_forward(f->tokens_context, NFT_VIEW_ARRAY_RANGE(tokens, 4, 0)));
    assert_status(nft_forward(f->context, NFT_VIEW_ARRAY_RANGE(tokens, 0, 4)), NFT_ERROR_MISMATCH);
    assert_said("weights");
    refuse_tokens(f, NFT_ARRAY_F32, 3, fewer);
    refuse_tokens(f, NFT_ARRAY_F32, 3, wider);
    refuse_tokens(f, NFT_ARRAY_F32, 2, shape);
    refuse_tokens(f, NFT_ARRAY_F32, 4, more);
    refuse_tokens(f, NFT_ARRAY_I64, 3, shape);
    assert_ok(nft_forward(f->tokens_context, NFT_VIEW_ARRAY_RANGE(tokens, 1, 3)));
    nft_array_free(tokens);
}

/* A message is the calling thread's own, and success leaves it. */
static void messages(void **state)
{
    fixture *f = *state;
    char kept[1024];
    assert_refused(nft_forward(f->context, NULL));
    assert_said("nft_forward: argument 'input' is NULL");
    snprintf(kept, sizeof kept, "%s", nft_error_message());
    assert_ok(nft_forward(f->context, NFT_VIEW_WEIGHTS(f->weights)));
    assert_string_equal(nft_error_message(), kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base),
        cmocka_unit_test(arrays),
        cmocka_unit_test(files),
        cmocka_unit_test(spaces),
        cmocka_unit_test(weights_made),
        cmocka_unit_test(weights_used),
        cmocka_unit_test(models_made),
        cmocka_unit_test(models_asked),
        cmocka_unit_test(broken_configuration),
        cmocka_unit_test(contexts),
        cmocka_unit_test(older_options),
        cmocka_unit_test(forwards),
        cmocka_unit_test(token_forwards),
        cmocka_unit_test(messages),
    };
    return cmocka_run_group_tests_name("arguments", tests, open_fixture, close_fixture);
}
