/* Weight sets in files: read, refused, saved. */
#define _XOPEN_SOURCE 700
#include "io/file.h"
#include "nft/permute.h"
#include "space/array.h"
#include "space/weights.h"

#include "unit/extras.h"
#include "unit/failing_allocator.h"
#include "unit/temporary.h"

#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "unit/checks.h"
#include "unit/numbered_weights.h"

/* One tensor of a file that a test makes up; its numbers count on from the tensor before. */
typedef struct piece {
    const char *name, *type;
    int rank;
    int shape[6];
} piece;

static size_t type_size(const char *type)
{
    return strstr(type, "64") ? 8 : strstr(type, "32") ? 4 : strstr(type, "16") ? 2 : 1;
}

/* Bytes of a file with these tensors, in the order given; F32 and I64 count 0, 1, 2 …, others are zeros. */
static unsigned char *file_bytes(const piece *pieces, size_t count, size_t *size)
{
    static unsigned char data[65536];
    char header[4096] = "{";
    size_t used = 0, next = 0;
    memset(data, 0, sizeof data);
    for (size_t i = 0; i < count; i++) {
        size_t elements = 1, length = strlen(header), begin = used;
        length += (size_t)sprintf(header + length, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[", i ? "," : "",
                                  pieces[i].name, pieces[i].type);
        for (int axis = 0; axis < pieces[i].rank; axis++) {
            elements *= (size_t)pieces[i].shape[axis];
            length += (size_t)sprintf(header + length, "%s%d", axis ? "," : "", pieces[i].shape[axis]);
        }
        for (size_t k = 0; k < elements; k++, next++, used += type_size(pieces[i].type)) {
            float number = (float)next;
            int64_t integer = (int64_t)next;
            if (!strcmp(pieces[i].type, "F32"))
                memcpy(data + used, &number, 4);
            else if (!strcmp(pieces[i].type, "I64"))
                memcpy(data + used, &integer, 8);
        }
        sprintf(header + length, "],\"data_offsets\":[%zu,%zu]}", begin, used);
    }
    strcat(header, "}");
    return safetensors_bytes(header, data, used, size);
}

static nft_status load_pieces(nft_weights **weights, const piece *pieces, size_t count,
                              const nft_load_options *options)
{
    size_t size;
    unsigned char *bytes = file_bytes(pieces, count, &size);
    nft_load_options filled = NFT_LOAD_OPTIONS_INIT;
    if (options)
        filled = *options;
    filled.bytes = bytes;
    filled.byte_count = size;
    nft_status status = nft_weights_load(weights, NULL, &filled);
    free(bytes);
    return status;
}

/* Sorted as the writers of other libraries do; net.10 comes after net.9. */
static const piece one_network[] = {{"net.10.bias", "F32", 1, {2}}, {"net.10.weight", "F32", 2, {2, 12}},
                                    {"net.9.bias", "F32", 1, {3}},  {"net.9.weight", "F32", 4, {3, 1, 2, 2}},
                                    {"num_batches", "I64", 0, {0}}, {"net.11.weight", "F16", 2, {1, 2}}};

static void one_network_is_read(void **state)
{
    (void)state;
    nft_weights *weights = NULL;
    assert_ok(load_pieces(&weights, one_network, COUNT(one_network), NULL));
    assert_int_equal(nft_weights_count(weights), 1);
    assert_int_equal(nft_weights_channels(weights), 1);
    assert_string_equal(nft_weights_tensor_name(weights, 0), "net.9.weight");
    assert_string_equal(nft_weights_tensor_name(weights, 3), "net.10.bias");
    nft_layer layer = {.size = sizeof layer};
    assert_ok(nft_space_layer(&layer, nft_weights_space(weights), 0));
    assert_true(layer.type == NFT_LAYER_CONV2D && layer.in == 1 && layer.out == 3 &&
                layer.kernel_height == 2);
    assert_ok(nft_space_layer(&layer, nft_weights_space(weights), 1));
    assert_true(layer.type == NFT_LAYER_LINEAR && layer.in == 3 && layer.out == 2 && layer.positions == 4);
    assert_true(nft_weights_data(weights, 1)[1] == 27);
    assert_true(nft_weights_data(weights, 0)[0] == 29);
    assert_true(nft_weights_data(weights, 2)[23] == 25);
    assert_true(nft_weights_data(weights, 5)[0] == 0);
    assert_int_equal(count_extras(weights), 0);
    nft_weights_free(weights);
}

static const piece stack[] = {{"a.weight", "F32", 3, {2, 3, 1}}, {"a.bias", "F32", 2, {2, 3}},
                              {"b.weight", "F32", 3, {2, 2, 3}}, {"b.bias", "F32", 2, {2, 2}},
                              {"label", "I64", 1, {2}},          {"target", "BF16", 2, {2, 4}},
                              {"lonely.bias", "F32", 2, {2, 9}}, {"mask", "U64", 1, {3}},
                              {"other", "F32", 1, {3}},          {"scalar", "F32", 0, {0}}};

static int log_lines;
static char last_line[256];

static void count_lines(int32_t level, const char *line, void *user)
{
    (void)user;
    (void)level;
    log_lines++;
    snprintf(last_line, sizeof last_line, "%s", line);
}

/* Tensors that cannot be carried along are reported. */
static void unreadable_extras_are_told(void **state)
{
    (void)state;
    const piece pieces[] = {{"a.weight", "F32", 3, {2, 3, 1}},
                            {"a.bias", "F32", 2, {2, 3}},
                            {"index", "U64", 1, {2}},
                            {"phase", "C64", 1, {2}}};
    nft_weights *weights = NULL;
    nft_set_log(count_lines, NULL);
    assert_int_equal(load_pieces(&weights, pieces, COUNT(pieces), NULL), NFT_OK);
    nft_set_log(NULL, NULL);
    assert_non_null(nft_array_i64(nft_weights_extra(weights, "index")));
    assert_string_equal(
        last_line, "memory: 1 of its parts are not read; the first is 'phase': it is C64, complex numbers");
    nft_weights_free(weights);
}

static void stacks_keep_their_extras(void **state)
{
    (void)state;
    nft_weights *weights = NULL;
    log_lines = 0;
    nft_set_log(count_lines, NULL);
    assert_ok(load_pieces(&weights, stack, COUNT(stack), NULL));
    nft_set_log(NULL, NULL);
    assert_int_equal(log_lines, 1);
    assert_non_null(
        strstr(last_line, "memory: 3 tensors are of no network and not read: 'mask', 'other', 'scalar'"));
    assert_int_equal(nft_weights_count(weights), 2);
    assert_int_equal(count_extras(weights), 3);
    assert_int_equal(nft_array_i64(nft_weights_extra(weights, "label"))[1], 29);
    assert_int_equal(nft_array_size(nft_weights_extra(weights, "target"), 1), 4);
    assert_non_null(nft_weights_extra(weights, "lonely.bias"));
    assert_null(nft_weights_extra(weights, "mask"));
    nft_weights_free(weights);
}

static void features_are_read(void **state)
{
    (void)state;
    static const piece features[] = {{"0.weight", "F32", 6, {2, 3, 4, 1, 2, 1}},
                                     {"0.bias", "F32", 3, {2, 3, 4}},
                                     {"1.weight", "F32", 4, {2, 3, 5, 4}},
                                     {"1.bias", "F32", 3, {2, 3, 5}}};
    nft_weights *weights = NULL;
    assert_ok(load_pieces(&weights, features, 4, NULL));
    assert_int_equal(nft_weights_count(weights), 2);
    assert_int_equal(nft_weights_channels(weights), 3);
    assert_true(nft_weights_data(weights, 3)[29] == 48 + 24 + 120 + 29);
    nft_weights_free(weights);
}

static void networks_without_biases_are_read(void **state)
{
    (void)state;
    static const piece stacked[] = {{"0.weight", "F32", 5, {2, 3, 1, 1, 1}},
                                    {"1.weight", "F32", 3, {2, 5, 3}}};
    static const piece single[] = {{"0.weight", "F32", 4, {3, 1, 1, 1}}, {"1.weight", "F32", 2, {5, 3}}};
    static const piece mixed[] = {{"0.weight", "F32", 2, {3, 1}}, {"1.weight", "F32", 3, {2, 5, 3}}};
    nft_weights *weights = NULL;
    assert_ok(load_pieces(&weights, stacked, 2, NULL));
    assert_int_equal(nft_weights_count(weights), 2);
    nft_weights_free(weights);
    assert_ok(load_pieces(&weights, single, 2, NULL));
    assert_int_equal(nft_weights_count(weights), 1);
    assert_int_equal(weights->rank, 1);
    nft_weights_free(weights);
    assert_int_equal(load_pieces(&weights, mixed, 2, NULL), NFT_ERROR_FORMAT);
    assert_message("there is no bias");
}

/* Files that are well-formed but hold no network that can be read. */
static const struct {
    piece pieces[5];
    size_t count;
    const char *message;
} wrong_networks[] = {
    {{{"x", "F32", 1, {1}}}, 1, "memory: holds no layer: none of its 1 tensors is named NAME.weight"},
    {{{"x.bias", "F32", 1, {1}}}, 1, "holds no layer"},
    {{{"conv3.weight", "F32", 4, {16, 1, 1, 1}},
      {"conv3.bias", "F32", 1, {16}},
      {"fc.weight", "F32", 2, {2, 40}},
      {"fc.bias", "F32", 1, {2}}},
     4,
     "memory: layer 'fc' takes 40 inputs, but 'conv3' before it gives 16 outputs; in natural order the "
     "layers are conv3 "
     "(16, 1, 1, 1), fc (2, 40); if that is not their order, give it in nft_load_options.layers"},
    {{{"0.weight", "F32", 2, {3, 1}}, {"1.weight", "F32", 4, {1, 6, 1, 1}}, {"1.bias", "F32", 1, {1}}},
     3,
     "layer '1' takes 6 inputs, but '0' before it gives 3 outputs"},
    {{{"0.weight", "F32", 2, {0, 1}}, {"1.weight", "F32", 2, {1, 2}}},
     2,
     "but '0' before it gives 0 outputs"},
    {{{"0.weight", "F32", 2, {0, 0}}}, 1, "memory: space: layers[0]."},
    {{{"bn.weight", "F32", 1, {3}},
      {"bn.bias", "F32", 1, {3}},
      {"fc.weight", "F32", 2, {1, 3}},
      {"fc.bias", "F32", 1, {1}},
      {"bn.running_mean", "F32", 1, {3}}},
     5,
     "'bn' is a batch norm, so this is no chain of layers: 'nftool collect --fold-norms' folds it"},
    {{{"bn.weight", "F32", 1, {3}},
      {"bn.bias", "F32", 1, {3}},
      {"fc.weight", "F32", 2, {1, 3}},
      {"fc.bias", "F32", 1, {1}}},
     4,
     "tensor 'bn.weight' has shape (3): with biases of 1 axis a linear layer's weight has 2 and a conv2d's "
     "4"},
    {{{"a.weight", "F32", 3, {3, 1, 1}}, {"a.bias", "F32", 1, {3}}},
     2,
     "tensor 'a.weight' has shape (3, 1, 1)"},
    {{{"a.weight", "F32", 2, {3, 1}}, {"a.bias", "F32", 0, {0}}},
     2,
     "tensor 'a.bias' has shape (), expected (out)"},
    {{{"a.weight", "F32", 2, {3, 1}}, {"a.bias", "F32", 4, {1, 1, 1, 3}}},
     2,
     "tensor 'a.bias' has shape (1, 1, 1, 3)"},
    {{{"a.weight", "F32", 2, {3, 1}}, {"a.bias", "F32", 1, {4}}},
     2,
     "tensor 'a.bias' has shape (4), but 'a.weight' (3, 1) has 3 outputs"},
    {{{"a.weight", "F32", 2, {3, 1}},
      {"a.bias", "F32", 1, {3}},
      {"b.weight", "F32", 3, {2, 1, 3}},
      {"b.bias", "F32", 2, {2, 1}}},
     4,
     "tensor 'b.bias' has shape (2, 1), but 'a.bias' (3); all biases have the same number of axes"},
    {{{"a.weight", "F32", 3, {2, 3, 1}}, {"a.bias", "F32", 2, {3, 3}}},
     2,
     "tensor 'a.bias' has shape (3, 3), but 'a.weight' (2, 3, 1) says 2 networks"},
    {{{"a.weight", "F32", 4, {1, 2, 3, 1}}, {"a.bias", "F32", 3, {1, 4, 3}}}, 2, "says 2 channels"},
    {{{"a.weight", "F32", 4, {0, 0, 3, 1}}, {"a.bias", "F32", 3, {0, 0, 3}}},
     2,
     "memory: tensor 'a.weight' has 0 channels, expected 1"},
    {{{"a.weight", "I64", 2, {3, 1}}, {"a.bias", "F32", 1, {3}}},
     2,
     "tensor 'a.weight' is I64, expected F32"},
    {{{"a.weight", "F32", 2, {3, 1}}, {"a.bias", "U8", 1, {3}}}, 2, "tensor 'a.bias' is U8, expected F32"},
};

static void wrong_networks_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(wrong_networks); i++) {
        nft_weights *weights = NULL;
        assert_int_not_equal(load_pieces(&weights, wrong_networks[i].pieces, wrong_networks[i].count, NULL),
                             NFT_OK);
        assert_null(weights);
        assert_message(wrong_networks[i].message);
    }
}

/* Names whose natural order is not the network's, and a norm that is left out. */
static const piece shuffled[] = {{"in.weight", "F32", 2, {3, 2}},  {"in.bias", "F32", 1, {3}},
                                 {"end.weight", "F32", 2, {4, 3}}, {"end.bias", "F32", 1, {4}},
                                 {"norm.weight", "F32", 1, {3}},   {"norm.bias", "F32", 1, {3}}};

static void layers_are_ordered_by_hand(void **state)
{
    (void)state;
    const char *names[] = {"in", "end", NULL};
    nft_load_options options = NFT_LOAD_OPTIONS_INIT;
    options.layers = names;
    options.layer_count = 2;
    nft_weights *weights = NULL;
    log_lines = 0;
    nft_set_log(count_lines, NULL);
    assert_ok(load_pieces(&weights, shuffled, COUNT(shuffled), &options));
    nft_set_log(NULL, NULL);
    assert_int_equal(log_lines, 1);
    assert_string_equal(nft_weights_tensor_name(weights, 2), "end.weight");
    assert_true(nft_weights_data(weights, 3)[0] == 21);
    nft_weights_free(weights);

    names[1] = "ent";
    assert_int_equal(load_pieces(&weights, shuffled, COUNT(shuffled), &options), NFT_ERROR_ARGUMENT);
    assert_message("memory: there is no layer 'ent' (tensor 'ent.weight'); did you mean 'end'?");
    names[1] = "else";
    assert_int_equal(load_pieces(&weights, shuffled, COUNT(shuffled), &options), NFT_ERROR_ARGUMENT);
    assert_message("memory: there is no layer 'else' (tensor 'else.weight')");
    names[1] = "in";
    assert_int_equal(load_pieces(&weights, shuffled, COUNT(shuffled), &options), NFT_ERROR_ARGUMENT);
    assert_message("layer 'in' is named twice");
    names[0] = "end";
    assert_int_equal(load_pieces(&weights, shuffled, COUNT(shuffled), &options), NFT_ERROR_FORMAT);
    assert_message("in the order given the layers are end (4, 3), in (3, 2)");
    options.layer_count = 3;
    assert_int_equal(load_pieces(&weights, shuffled, COUNT(shuffled), &options), NFT_ERROR_ARGUMENT);
    assert_message("the name of layer 2 is NULL");
    options.layer_count = 0;
    assert_int_equal(load_pieces(&weights, shuffled, COUNT(shuffled), &options), NFT_ERROR_ARGUMENT);
    options.layer_count = INT64_MAX;
    assert_int_equal(load_pieces(&weights, shuffled, COUNT(shuffled), &options), NFT_ERROR_ARGUMENT);
    assert_null(weights);
}

static void options_may_be_older(void **state)
{
    (void)state;
    nft_load_options options = NFT_LOAD_OPTIONS_INIT;
    nft_weights *weights = NULL;
    size_t size;
    unsigned char *bytes = file_bytes(stack, COUNT(stack), &size);
    const char *path = temporary_path("older.safetensors");
    temporary_write(path, bytes, size);
    options.layer_count = 77;
    assert_ok(nft_weights_load(&weights, path, &options));
    nft_weights_free(weights);
    options.size = sizeof options.size;
    options.memory_limit = 1;
    assert_ok(nft_weights_load(&weights, path, &options));
    nft_weights_free(weights);
    free(bytes);
    remove(path);
    options.size = 0;
    assert_int_equal(load_pieces(&weights, stack, COUNT(stack), &options), NFT_ERROR_ARGUMENT);
}

static void memory_is_limited(void **state)
{
    (void)state;
    nft_load_options options = NFT_LOAD_OPTIONS_INIT;
    nft_weights *weights = NULL;
    int64_t needed = 2 * (6 + 8) * 4 + 2 * 8 + 2 * 4 * 4 + 18 * 4;
    options.memory_limit = needed;
    assert_ok(load_pieces(&weights, stack, COUNT(stack), &options));
    nft_weights_free(weights);
    options.memory_limit = needed - 1;
    assert_int_equal(load_pieces(&weights, stack, COUNT(stack), &options), NFT_ERROR_LIMIT);
    char text[64];
    snprintf(text, sizeof text, "memory: a weight set: %" PRId64 " bytes are needed", needed);
    assert_message(text);

    options.memory_limit = -1;
    assert_int_equal(load_pieces(&weights, stack, COUNT(stack), &options), NFT_ERROR_ARGUMENT);
    assert_message("nft_weights_load: memory_limit is -1");

    /* Sizes that only a file without data can claim. */
    static const piece huge[] = {{"0.weight", "F32", 3, {0, 2000000000, 2000000000}}};
    options.memory_limit = 0;
    assert_int_equal(load_pieces(&weights, huge, 1, &options), NFT_ERROR_LIMIT);
    static const piece several[] = {{"0.weight", "F32", 4, {0, 2000000000, 3, 2}},
                                    {"0.bias", "F32", 3, {0, 2000000000, 3}}};
    assert_ok(load_pieces(&weights, several, 2, &options));
    assert_int_equal(nft_weights_count(weights), 0);
    nft_weights_free(weights);
}

static void check_round_trip(nft_weights *weights)
{
    const char *path = temporary_path("w.safetensors");
    nft_weights *back = NULL;
    assert_ok(nft_weights_save(weights, path));
    assert_ok(nft_weights_load(&back, path, NULL));
    assert_same_data(weights, back);
    assert_int_equal(back->rank, weights->rank);
    for (int64_t t = 0; t < weights->space->tensor_count; t++)
        assert_string_equal(nft_weights_tensor_name(back, t), nft_weights_tensor_name(weights, t));
    assert_int_equal(count_extras(back), count_extras(weights));
    for (int64_t i = 0; i < count_extras(weights); i++) {
        const char *name = nft_weights_extra_name(weights, i);
        const nft_array *a = nft_weights_extra(weights, name), *b = nft_weights_extra(back, name);
        assert_non_null(b);
        assert_int_equal(a->type, b->type);
        assert_int_equal(a->count, b->count);
        assert_memory_equal(a->data, b->data, (size_t)a->count * (a->type == NFT_ARRAY_I64 ? 8 : 4));
    }
    nft_weights_free(back);
    nft_weights_free(weights);
    assert_int_equal(temporary_entries(1), 1);
}

static void sets_are_saved(void **state)
{
    (void)state;
    nft_weights *weights = NULL;
    check_round_trip(numbered(3, 1));
    check_round_trip(numbered(2, 4));
    check_round_trip(numbered(0, 1));
    assert_ok(load_pieces(&weights, one_network, COUNT(one_network), NULL));
    assert_int_equal(weights->rank, 1);
    check_round_trip(weights);
    assert_ok(load_pieces(&weights, stack, COUNT(stack), NULL));
    check_round_trip(weights);
    weights = numbered(1, 1);
    assert_int_equal(nft_weights_save(weights, NULL), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_weights_save(NULL, "x"), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_weights_save(weights, temporary_path("absent/x")), NFT_ERROR_FILE);
    nft_weights_free(weights);
    assert_int_equal(nft_weights_load(&weights, temporary_path("absent"), NULL), NFT_ERROR_FILE);
    assert_int_equal(nft_weights_load(NULL, "x", NULL), NFT_ERROR_ARGUMENT);
    assert_int_equal(
        nft_weights_load(&weights, NFT_TEST_DATA "/golden/model_nft_editor/model.safetensors", NULL),
        NFT_ERROR_FORMAT);
    assert_string_equal(
        nft_error_message() + strlen(nft_error_message()) -
            strlen("model_nft_editor/model.safetensors: this is a model file, expected networks"),
        "model_nft_editor/model.safetensors: this is a model file, expected networks");
    assert_int_equal(nft_weights_load(&weights, NULL, NFT_LOAD_BYTES(NULL, 8)), NFT_ERROR_ARGUMENT);
}

/* One network has no leading axis for a label to share, so with one it is saved as a stack. */
static void a_label_makes_a_stack_of_one(void **state)
{
    (void)state;
    const int64_t one = 1;
    nft_weights *weights = NULL, *back = NULL;
    nft_array *label = NULL;
    const char *path = temporary_path("one.safetensors");
    assert_ok(load_pieces(&weights, one_network, COUNT(one_network), NULL));
    assert_ok(nft_array_create(&label, NFT_ARRAY_I64, &one, 1, &one));
    assert_ok(nft_weights_set_extra(weights, "label", label));
    assert_ok(nft_weights_save(weights, path));
    assert_ok(nft_weights_load(&back, path, NULL));
    assert_int_equal(back->rank, 2);
    assert_int_equal(nft_array_i64(nft_weights_extra(back, "label"))[0], 1);
    assert_same_data(weights, back);
    nft_array_free(label);
    nft_weights_free(weights);
    nft_weights_free(back);
    temporary_entries(1);
}

static nft_status load_and_save(void)
{
    const char *path = temporary_path("f.safetensors");
    const char *const names[] = {"a", "b"};
    nft_load_options options = NFT_LOAD_OPTIONS_INIT;
    options.layers = names;
    options.layer_count = 2;
    nft_weights *weights = NULL;
    nft_status status = nft_weights_load(&weights, path, &options);
    if (!status)
        status = nft_weights_permute_random(weights, 1, 0);
    if (!status)
        status = nft_weights_set_extra(weights, "more", nft_weights_extra(weights, "label"));
    if (!status)
        status = nft_weights_save(weights, temporary_path("g.safetensors"));
    nft_weights_free(weights);
    return status;
}

static nft_status copy_and_borrow(void)
{
    const float values[60] = {0}, *const arrays[] = {values, NULL, values, NULL};
    const nft_layer layers[] = {NFT_LAYER_INIT_LINEAR(1, 2), NFT_LAYER_INIT_LINEAR(2, 3)};
    nft_space *space = NULL;
    nft_weights *copy = NULL, *borrowed = NULL;
    nft_status status = nft_space_create_chain(&space, layers, 2);
    if (!status)
        status = nft_weights_create(&copy, space, 1, 1, arrays);
    if (!status)
        status = nft_weights_borrow(&borrowed, space, 1, 1, arrays);
    nft_weights_free(copy);
    nft_weights_free(borrowed);
    nft_space_free(space);
    return status;
}

static void allocations_may_fail(void **state)
{
    (void)state;
    size_t size;
    unsigned char *bytes = file_bytes(stack, COUNT(stack), &size);
    temporary_write(temporary_path("f.safetensors"), bytes, size);
    free(bytes);
    assert_in_range(fail_every_allocation(load_and_save), 40, 400);
    assert_int_equal(temporary_entries(0), 2);
    assert_in_range(fail_every_allocation(copy_and_borrow), 10, 100);
    temporary_entries(1);
}
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_network_is_read),
        cmocka_unit_test(stacks_keep_their_extras),
        cmocka_unit_test(unreadable_extras_are_told),
        cmocka_unit_test(features_are_read),
        cmocka_unit_test(networks_without_biases_are_read),
        cmocka_unit_test(wrong_networks_are_refused),
        cmocka_unit_test(layers_are_ordered_by_hand),
        cmocka_unit_test(options_may_be_older),
        cmocka_unit_test(memory_is_limited),
        cmocka_unit_test(sets_are_saved),
        cmocka_unit_test(a_label_makes_a_stack_of_one),
        cmocka_unit_test(allocations_may_fail),
    };
    return cmocka_run_group_tests(tests, temporary_open, temporary_close);
}
