/* Spaces of tensors and axes: descriptions, getters, refusals. */
#define _XOPEN_SOURCE 700
#include "space/space.h"
#include "unit/support.h"

static nft_space *parse(const char *text)
{
    char *json = support_json(text);
    nft_space *space = NULL;
    assert_ok(nft_space_parse(&space, json, strlen(json)));
    free(json);
    return space;
}

/* Two convolutions around a residual connection: both write to the axis c. */
#define RESIDUAL                                                                                             \
    "{'axes': [{'name': 'image', 'size': 2, 'symmetry': 'none'}, {'name': 'c', 'size': 4}, {'name': 'm', "   \
    "'size': 3}], 'tensors': [{'name': 'stem.weight', 'shape': ['c', 'image', 3, 3]}, {'name': "             \
    "'bn.running_var', 'shape': ['c']}, {'name': 'up.weight', 'shape': ['m', 'c']}, {'name': "               \
    "'down.weight', "                                                                                        \
    "'shape': ['c', 'm']}, {'name': 'scale', 'shape': []}]}"

static void a_tensor_knows_its_tokens(void **state)
{
    (void)state;
    nft_space *space = parse(RESIDUAL);
    const nft_tensor *stem = &space->tensors[0], *down = &space->tensors[3], *scale = &space->tensors[4];
    assert_int_equal(stem->rank, 2);
    assert_int_equal(stem->tokens, 8);
    assert_int_equal(stem->positions, 9);
    assert_int_equal(down->first_token, 8 + 4 + 12);
    assert_int_equal(down->offset, 72 + 4 + 12);
    assert_int_equal(scale->rank, 0);
    assert_int_equal(scale->tokens, 1);
    assert_int_equal(space->numbers, 72 + 4 + 12 + 12 + 1);
    assert_int_equal(nft_space_describe(space)->parameter_count, space->numbers);
    nft_space_free(space);
}

static void an_axis_knows_its_sides(void **state)
{
    (void)state;
    nft_space *space = parse(RESIDUAL);
    const nft_axis *c = &space->axes[1];
    assert_int_equal(c->side_count, 4);
    const int64_t expected[4][4] = {/* tensor, dimension, vectors, first */
                                    {0, 0, 2, 0},
                                    {1, 0, 1, 2},
                                    {2, 1, 3, 3},
                                    {3, 0, 3, 6}};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(c->sides[i].tensor, expected[i][0]);
        assert_int_equal(c->sides[i].dimension, expected[i][1]);
        assert_int_equal(c->sides[i].vectors, expected[i][2]);
        assert_int_equal(c->sides[i].first, expected[i][3]);
    }
    assert_int_equal(c->vectors, 9);
    assert_true(c->permutable && !space->axes[0].permutable);
    nft_space_free(space);
}

/* Axes of one colour share no tensor; every axis has a colour; the first side of each tensor sets its tokens.
 */
static void check_colours(const nft_space *space)
{
    int64_t *writer = support_allocate((size_t)space->tensor_count * sizeof *writer);
    bool *set = support_allocate((size_t)space->tensor_count * sizeof *set);
    int64_t axes = 0;
    for (int64_t colour = 0; colour < space->colour_count; colour++) {
        for (int64_t t = 0; t < space->tensor_count; t++)
            writer[t] = -1;
        for (int64_t i = space->colour_starts[colour]; i < space->colour_starts[colour + 1]; i++, axes++) {
            const nft_axis *axis = &space->axes[space->colour_axes[i]];
            for (int64_t k = 0; k < axis->side_count; k++) {
                const nft_axis_side *side = &axis->sides[k];
                assert_true(writer[side->tensor] < 0 || writer[side->tensor] == space->colour_axes[i]);
                writer[side->tensor] = space->colour_axes[i];
                assert_int_equal(side->sets, !set[side->tensor]);
                set[side->tensor] = true;
            }
        }
    }
    assert_int_equal(axes, space->axis_count);
    free(set);
    free(writer);
}

static void axes_of_one_colour_share_no_tensor(void **state)
{
    (void)state;
    static const char *const texts[] = {
        RESIDUAL,
        "{'layers': [{'type': 'linear', 'in': 2, 'out': 3}, {'type': 'linear', 'in': 3, 'out': 4}, {'type': "
        "'linear', 'in': 4, 'out': 1}]}",
        /* every pair of four axes, an axis twice, and a tensor of four axes */
        "{'axes': [{'name': 'a', 'size': 2}, {'name': 'b', 'size': 2}, {'name': 'c', 'size': 2}, {'name': "
        "'d', "
        "'size': 2}, {'name': 'e', 'size': 2}], 'tensors': [{'name': 'w', 'shape': ['a', 'b', 'c', 'd']}, "
        "{'name': 'x', 'shape': ['e', 'e']}, {'name': 'y', 'shape': ['e', 'd']}]}"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        nft_space *space = parse(texts[i]);
        check_colours(space);
        nft_space_free(space);
    }
}

/* Neighbours in a chain take turns. */
static void a_chain_has_two_colours(void **state)
{
    (void)state;
    nft_space *space = SUPPORT_MLP(2, 3, 4, 5, 1);
    assert_int_equal(space->colour_count, 2);
    const int64_t expected[] = {0, 2, 4, 1, 3};
    for (int i = 0; i < 5; i++)
        assert_int_equal(space->colour_axes[i], expected[i]);
    nft_space_free(space);
}

static void text_gives_the_same_space_again(void **state)
{
    (void)state;
    static const char *const texts[] = {
        RESIDUAL,
        "{'axes': [{'name': 'a\\\"\\\\\\u0001ü', 'size': 2}], 'tensors': [{'name': 'q', 'shape': [[4, "
        "'a\\\"\\\\\\u0001ü'], 1], 'from': 'qk', 'slice': [0, 0, 8], 'role': 'gain'}, {'name': 'k', 'shape': "
        "[['a\\\"\\\\\\u0001ü', 2], 1], 'from': 'qk', 'slice': [0, 8, 4]}]}",
        ("{'layers': [{'type': 'conv2d', 'in': 2, 'out': 3, 'kernel': [2, 1]}, {'type': 'linear', 'in': 3, "
         "'out': 4, 'positions': 5}]}")};
    for (size_t i = 0; i < COUNT(texts); i++) {
        nft_space *space = parse(texts[i]), *again = NULL;
        const char *json = nft_space_describe(space)->json;
        assert_ok(nft_space_parse(&again, json, strlen(json)));
        assert_true(nft_space_equal(space, again));
        assert_string_equal(json, nft_space_describe(again)->json);
        assert_true(space->hash == again->hash);
        nft_space_free(again);
        nft_space_free(space);
    }
}

/* Sizes, symmetries, shapes and slices count; names and roles do not. */
static void spaces_are_equal_by_structure(void **state)
{
    (void)state;
#define ONE_TENSOR(axis, size, symmetry, shape)                                                              \
    "{'axes': [{'name': '" axis "', 'size': " size ", 'symmetry': '" symmetry                                \
    "'}], 'tensors': [{'name': 'x." axis "', 'shape': " shape "}]}"
    nft_space *space = parse(ONE_TENSOR("a", "4", "permutation", "['a', 3]"));
    nft_space *renamed = parse(ONE_TENSOR("b", "4", "permutation", "['b', 3]"));
    static const char *const others[] = {
        ONE_TENSOR("a", "5", "permutation", "['a', 3]"),    ONE_TENSOR("a", "4", "none", "['a', 3]"),
        ONE_TENSOR("a", "4", "permutation", "[3, 'a']"),    ONE_TENSOR("a", "4", "permutation", "[['a', 3]]"),
        ONE_TENSOR("a", "4", "permutation", "['a', 3, 1]"), ONE_TENSOR("a", "4", "permutation", "['a', 4]")};
    assert_true(nft_space_equal(space, renamed));
    assert_ok(nft_space_check_equal(space, renamed));
    for (size_t i = 0; i < COUNT(others); i++) {
        nft_space *other = parse(others[i]);
        assert_false(nft_space_equal(space, other));
        assert_int_equal(nft_space_check_equal(space, other), NFT_ERROR_MISMATCH);
        nft_space_free(other);
    }
    nft_space_free(renamed);
    nft_space_free(space);
}

/* Each pair differs in one thing. Spaces whose hashes happen to be the same are compared by it. */
static void every_difference_counts(void **state)
{
    (void)state;
#define TWO "{'axes': [{'name': 'a', 'size': 2}, {'name': 'b', 'size': 2}], 'tensors': ["
#define ONE "{'axes': [{'name': 'a', 'size': 2}], 'tensors': ["
#define SLICE(name, dimension, start)                                                                        \
    "{'name': '" name "', 'shape': ['a', 2], 'from': 'y', 'slice': [" dimension ", " start ", 2]}"
    static const char *const pairs[][2] = {
        {ONE_TENSOR("a", "4", "permutation", "['a', 3]"), ONE_TENSOR("a", "5", "permutation", "['a', 3]")},
        {ONE_TENSOR("a", "4", "permutation", "['a', 3]"), ONE_TENSOR("a", "4", "none", "['a', 3]")},
        {ONE_TENSOR("a", "4", "permutation", "['a', 4]"), ONE_TENSOR("a", "4", "permutation", "['a', 9]")},
        {ONE_TENSOR("a", "4", "permutation", "['a', 3]"), ONE_TENSOR("a", "4", "permutation", "[['a', 3]]")},
        {ONE_TENSOR("a", "4", "permutation", "['a', 3]"), ONE_TENSOR("a", "4", "permutation", "['a', 3, 1]")},
        {ONE "{'name': 'x', 'shape': ['a']}]}",
         ONE "{'name': 'x', 'shape': ['a']}, {'name': 'y', 'shape': ['a']}]}"},
        {TWO "{'name': 'x', 'shape': ['a', 'b']}]}", TWO "{'name': 'x', 'shape': ['b', 'a']}]}"},
        {ONE "{'name': 'x', 'shape': ['a', 2]}]}", ONE SLICE("x", "0", "0") "]}"},
        {ONE SLICE("x", "0", "0") "]}", ONE SLICE("x", "1", "0") "]}"},
        {ONE SLICE("x", "0", "0") ", " SLICE("z", "0", "2") "]}",
         ONE SLICE("x", "0", "2") ", " SLICE("z", "0", "0") "]}"},
    };
    for (size_t i = 0; i < COUNT(pairs); i++) {
        nft_space *a = parse(pairs[i][0]), *b = parse(pairs[i][1]);
        b->hash = a->hash;
        assert_false(nft_space_equal(a, b));
        assert_int_equal(nft_space_check_equal(a, b), NFT_ERROR_MISMATCH);
        nft_space_free(b);
        nft_space_free(a);
    }
}

/* The message about two chains names the first layer in which they differ. */
static void a_message_names_the_layer_that_differs(void **state)
{
    (void)state;
#define CHAIN(layer) "{'layers': [{'type': 'linear', 'in': 4, 'out': 2}, " layer "]}"
#define KERNEL(in, out, height, width)                                                                       \
    CHAIN("{'type': 'conv2d', 'in': " in ", 'out': " out ", 'kernel': [" height ", " width "]}")
    nft_space *space = parse(KERNEL("2", "3", "3", "5"));
    static const char *const others[] = {KERNEL("2", "3", "1", "5"), KERNEL("2", "3", "3", "4"),
                                         KERNEL("2", "7", "3", "5"),
                                         CHAIN("{'type': 'linear', 'in': 2, 'out': 3}")};
    for (size_t i = 0; i < COUNT(others); i++) {
        nft_space *other = parse(others[i]);
        assert_int_equal(nft_space_check_equal(space, other), NFT_ERROR_MISMATCH);
        assert_non_null(strstr(nft_error_message(), "layer 1 of the networks"));
        nft_space_free(other);
    }
    nft_space_free(space);
}

/* A chain by layers and by tensors is one space. */
static void both_forms_of_a_chain_are_equal(void **state)
{
    (void)state;
    nft_space *layers = parse("{'layers': [{'type': 'conv2d', 'in': 2, 'out': 3, 'kernel': [3, 3]}, {'type': "
                              "'linear', 'in': 3, 'out': 4, 'positions': 5}]}");
    nft_space *tensors = parse(
        "{'axes': [{'name': 'x', 'size': 2, 'symmetry': 'none'}, {'name': 'h', 'size': 3}, {'name': 'y', "
        "'size': 4, 'symmetry': 'none'}], 'tensors': [{'name': 'a', 'shape': ['h', 'x', 3, 3]}, {'name': "
        "'b', "
        "'shape': ['h']}, {'name': 'c', 'shape': ['y', ['h', 5]]}, {'name': 'd', 'shape': ['y']}]}");
    assert_true(nft_space_equal(layers, tensors));
    assert_int_equal(nft_space_describe(layers)->layer_count, 2);
    assert_int_equal(nft_space_describe(tensors)->layer_count, 0);
    nft_space *chain = NULL, *none = NULL, *residual = parse(RESIDUAL);
    assert_ok(nft_space_as_chain(&chain, tensors));
    assert_string_equal(nft_space_describe(chain)->json, nft_space_describe(layers)->json);
    assert_ok(nft_space_as_chain(&none, residual));
    assert_null(none);
    nft_space_free(residual);
    nft_space_free(chain);
    nft_space_free(tensors);
    nft_space_free(layers);
}

static void roles_come_from_names_and_shapes(void **state)
{
    (void)state;
    nft_space *space = parse(
        "{'axes': [{'name': 'a', 'size': 2}, {'name': 'b', 'size': 2}], 'tensors': [{'name': 'l.weight', "
        "'shape': ['a', 'b', 1, 1]}, {'name': 'c.weight', 'shape': ['a', 'b', 3]}, {'name': 'd.weight', "
        "'shape': ['a', 1, 3]}, {'name': 'n.weight', 'shape': ['a']}, {'name': 'n.bias', 'shape': ['a']}, "
        "{'name': 'n.running_mean', 'shape': ['a']}, {'name': 'n.running_var', 'shape': ['a']}, {'name': "
        "'bias.x', 'shape': []}, {'name': 'bias_hh_l0', 'shape': [[4, 'a']]}, {'name': 'given', 'shape': "
        "['a'], 'role': 'conv'}, {'name': 'bias.gamma', 'shape': ['a']}]}");
    const int32_t expected[] = {NFT_ROLE_LINEAR, NFT_ROLE_CONV,         NFT_ROLE_DEPTHWISE,   NFT_ROLE_GAIN,
                                NFT_ROLE_BIAS,   NFT_ROLE_RUNNING_MEAN, NFT_ROLE_RUNNING_VAR, NFT_ROLE_SCALAR,
                                NFT_ROLE_BIAS,   NFT_ROLE_CONV,         NFT_ROLE_GAIN};
    for (int64_t t = 0; t < space->tensor_count; t++) {
        nft_space_tensor tensor = {.size = sizeof tensor};
        assert_ok(nft_space_get_tensor(&tensor, space, t));
        assert_int_equal(tensor.role, expected[t]);
    }
    nft_space_free(space);
}

/* Tokens and roles stay, positions go from the shapes. */
static void a_lifted_space_has_one_position(void **state)
{
    (void)state;
    nft_space *space = parse(RESIDUAL);
    const nft_space *lifted = nft_space_lifted(space);
    assert_true(lifted != space && lifted->one_position && nft_space_lifted(lifted) == lifted);
    assert_int_equal(lifted->tokens, space->tokens);
    assert_int_equal(lifted->numbers, space->tokens);
    assert_int_equal(lifted->tensors[0].own_positions, 9);
    assert_int_equal(lifted->tensors[0].shape_rank, 2);
    for (int64_t t = 0; t < space->tensor_count; t++) {
        assert_int_equal(lifted->tensors[t].role, space->tensors[t].role);
        assert_int_equal(lifted->tensors[t].first_token, space->tensors[t].first_token);
    }
    nft_space_free(space);
}

/* ---- refused spaces, by name ---- */

typedef struct wrong_space {
    const char *json, *words;
} wrong_space;

#define AXES(axes, tensors) "{'axes': [" axes "], 'tensors': [" tensors "]}"
#define A "{'name': 'a', 'size': 2}"

static const wrong_space wrong_spaces[] = {
    {AXES(A ", {'name': 'a', 'size': 3}", "{'name': 'x', 'shape': ['a']}"),
     "axis 'a' is described twice, with sizes 2 and 3"},
    {AXES(A ", {'name': 'b', 'size': 3}", "{'name': 'x', 'shape': ['a']}"), "no tensor names the axis 'b'"},
    {AXES(A, "{'name': 'x', 'shape': ['b']}"), "tensor 'x' names 'b', which is no axis"},
    {AXES("{'name': 'a', 'size': 0}", "{'name': 'x', 'shape': ['a']}"), "'size' is 0"},
    {AXES("{'name': 'a', 'size': 2, 'symmetry': 'sign'}", "{'name': 'x', 'shape': ['a']}"), "symmetry"},
    {AXES("{'name': '', 'size': 2}", "{'name': 'x', 'shape': ['']}"), "axis 0 has no name"},
    {AXES(A, "{'name': '', 'shape': ['a']}"), "tensor 0 has no name"},
    {AXES(A, "{'name': 'x', 'shape': ['a']}, {'name': 'x', 'shape': ['a', 'a']}"),
     "two tensors are named 'x'"},
    {AXES(A, "{'name': 'x', 'shape': ['a', 'a', 'a', 'a', 'a']}"), "tensor 'x' names more than 4 axes"},
    {AXES(A, "{'name': 'x', 'shape': ['a', 0]}"), "tensor 'x' is 0 positions"},
    {AXES(A, "{'name': 'x', 'shape': ['a', -3]}"), "-3 positions"},
    {AXES(A, "{'name': 'x', 'shape': ['a', 2.5]}"), "tensor 'x' has a dimension that is neither"},
    {AXES(A, "{'name': 'x', 'shape': ['a', []]}"), "dimension 1 of tensor 'x' is an empty list"},
    {AXES(A, "{'name': 'x', 'shape': 'a'}"), "'shape' of tensor 'x' is not a list"},
    {AXES(A, "{'name': 'x', 'shape': ['a', 1, 1, 1, 1, 1, 1]}"), "tensor 'x' has more than 6 dimensions"},
    {AXES(A, "{'name': 'x', 'shape': ['a'], 'role': 'norm'}"), "role"},
    {AXES(A, "{'name': 'x', 'shape': ['a'], 'slice': [0, 0, 2]}"), "no 'from' to cut it out of"},
    {AXES(A, "{'name': 'x', 'shape': ['a'], 'from': 'y'}"), "slice"},
    {AXES(A, "{'name': 'x', 'shape': ['a'], 'from': 'y', 'slice': [1, 0, 2]}"), "along dimension 1"},
    {AXES(A, "{'name': 'x', 'shape': ['a'], 'from': 'y', 'slice': [0, 0, 3]}"),
     "counts 3, but its shape has 2"},
    {AXES(A, "{'name': 'x', 'shape': ['a'], 'from': 'y', 'slice': [0, 0, 2]}, {'name': 'z', 'shape': ['a'], "
             "'from': 'y', 'slice': [0, 1, 2]}"),
     "'x' and 'z' overlap in 'y'"},
    {AXES(A, "{'name': 'x', 'shape': ['a'], 'from': 'y', 'slice': [0, 0, 2]}, {'name': 'z', 'shape': ['a'], "
             "'from': 'y', 'slice': [0, 3, 2]}"),
     "no tensor covers 'y' from 2 to 3"},
    {AXES(A, "{'name': 'x', 'shape': ['a'], 'from': 'y', 'slice': [0, 1, 2]}"),
     "no tensor covers 'y' from 0 to 1"},
    {AXES(A, "{'name': 'y', 'shape': ['a']}, {'name': 'z', 'shape': ['a'], 'from': 'y', 'slice': [0, 0, 2]}"),
     "tensor 'y' is whole"},
    {AXES(A,
          "{'name': 'x', 'shape': ['a', 2], 'from': 'y', 'slice': [0, 0, 2]}, {'name': 'z', 'shape': ['a', "
          "3], 'from': 'y', 'slice': [0, 2, 2]}"),
     "not along one dimension of equal others"},
    {AXES(A, ""), "'tensors' is an empty list"},
    {"{'axes': []}", "lacks 'tensors'"},
    {"{'layers': [{'type': 'linear', 'in': 2, 'out': 1}], 'axes': []}", "both 'layers' and 'tensors'"},
    {AXES(A, "{'name': 'x', 'shape': ['a'], 'colour': 1}"), "colour"},
};

static void wrong_descriptions_are_refused_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(wrong_spaces); i++) {
        char *json = support_json(wrong_spaces[i].json);
        nft_space *space = (nft_space *)json;
        assert_int_equal(nft_space_parse(&space, json, strlen(json)), NFT_ERROR_CONFIG);
        assert_null(space);
        if (!strstr(nft_error_message(), wrong_spaces[i].words))
            fail_msg("%s: the message is \"%s\", expected \"%s\" in it", json, nft_error_message(),
                     wrong_spaces[i].words);
        free(json);
    }
}

static void wrong_arrays_are_refused(void **state)
{
    (void)state;
    nft_space *space = NULL;
    const nft_space_axis axes[] = {NFT_SPACE_AXIS("a", 2, NFT_SYMMETRY_PERMUTATION)};
    const nft_factor good[] = {NFT_AXIS(0)}, far[] = {NFT_AXIS(1)}, joined[] = {NFT_AXIS_JOINED(0)};
    const nft_space_tensor tensors[] = {NFT_SPACE_TENSOR("x", good, 1)};
    nft_space_tensor wrong = tensors[0];
    assert_ok(nft_space_create(&space, axes, 1, tensors, 1));
    nft_space_free(space);
    assert_int_equal(nft_space_create(NULL, axes, 1, tensors, 1), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_space_create(&space, NULL, 1, tensors, 1), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_space_create(&space, axes, 1, NULL, 1), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_space_create(&space, axes, -1, tensors, 1), NFT_ERROR_CONFIG);
    assert_int_equal(nft_space_create(&space, axes, 1, tensors, 0), NFT_ERROR_CONFIG);
    wrong.factors = far;
    assert_int_equal(nft_space_create(&space, axes, 1, &wrong, 1), NFT_ERROR_CONFIG);
    wrong.factors = joined;
    assert_int_equal(nft_space_create(&space, axes, 1, &wrong, 1), NFT_ERROR_CONFIG);
    wrong.factors = NULL;
    assert_int_equal(nft_space_create(&space, axes, 1, &wrong, 1), NFT_ERROR_ARGUMENT);
    wrong = tensors[0];
    wrong.role = 9;
    assert_int_equal(nft_space_create(&space, axes, 1, &wrong, 1), NFT_ERROR_CONFIG);
    wrong = tensors[0];
    wrong.size = 8;
    assert_int_equal(nft_space_create(&space, axes, 1, &wrong, 1), NFT_ERROR_ARGUMENT);
    wrong = tensors[0];
    wrong.name = "\xff";
    assert_int_equal(nft_space_create(&space, axes, 1, &wrong, 1), NFT_ERROR_CONFIG);
    assert_null(space);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tensor_knows_its_tokens),
        cmocka_unit_test(an_axis_knows_its_sides),
        cmocka_unit_test(axes_of_one_colour_share_no_tensor),
        cmocka_unit_test(a_chain_has_two_colours),
        cmocka_unit_test(text_gives_the_same_space_again),
        cmocka_unit_test(spaces_are_equal_by_structure),
        cmocka_unit_test(every_difference_counts),
        cmocka_unit_test(a_message_names_the_layer_that_differs),
        cmocka_unit_test(both_forms_of_a_chain_are_equal),
        cmocka_unit_test(roles_come_from_names_and_shapes),
        cmocka_unit_test(a_lifted_space_has_one_position),
        cmocka_unit_test(wrong_descriptions_are_refused_by_name),
        cmocka_unit_test(wrong_arrays_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
