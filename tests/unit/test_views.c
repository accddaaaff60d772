/* Margins and views of tensors against loops over every index: tensors of up to four axes, with positions
 * before, between and behind them. */
#include "modules/weights/views.h"
#include "unit/support.h"

#define CHANNELS 3
#define ARENA 65536
#define TOLERANCE 1e-6

static const char space_text[] =
    "{'axes': [{'name': 'a', 'size': 3}, {'name': 'b', 'size': 2, 'symmetry': 'none'}, {'name': 'c', 'size': "
    "5}, {'name': 'd', 'size': 4, 'symmetry': 'none'}, {'name': 'one', 'size': 1}, {'name': 'long', 'size': "
    "70}],"
    "'tensors': [{'name': 'scalar', 'shape': [2]}, {'name': 'vector', 'shape': [2, 'b']},"
    "{'name': 'matrix', 'shape': ['long', 'a', 3]}, {'name': 'cube', 'shape': ['a', ['d', 2], 3, 'c']},"
    "{'name': 'all', 'shape': [['b', 2], 'a', 'one', 'd']}, {'name': 'twice', 'shape': ['c', 'b', 'c']}]}";

typedef struct fixture {
    nft_space *space;
    nft_memory memory;
    int64_t frame, backward;
    nft_builder builder;
    nft_exec exec;
} fixture;

static int open_fixture(void **state)
{
    fixture *f = support_allocate(sizeof *f);
    char *json = support_json(space_text);
    assert_ok(nft_space_parse(&f->space, json, strlen(json)));
    free(json);
    f->builder = (nft_builder){.space = f->space,
                               .whole = f->space,
                               .memory = &f->memory,
                               .frame = &f->frame,
                               .backward = &f->backward};
    f->exec.call = support_allocate(ARENA * sizeof(float));
    *state = f;
    return 0;
}

static int close_fixture(void **state)
{
    fixture *f = *state;
    nft_space_free(f->space);
    free(f->exec.call);
    free(f);
    return 0;
}

static void draw(int64_t count, float *values, uint64_t seed)
{
    nft_random random = {seed, 1};
    for (int64_t i = 0; i < count; i++)
        values[i] = (float)nft_random_normal(&random, (uint64_t)i);
}

/* The token of the margin `kept` that a token of the tensor belongs to. */
static int64_t margin_token(const nft_tensor *tensor, nft_dims kept, int64_t token)
{
    int64_t index = 0, stride = 1;
    for (int64_t d = tensor->rank; d-- > 0; token /= tensor->sizes[d])
        if (kept & NFT_DIM(d)) {
            index += token % tensor->sizes[d] * stride;
            stride *= tensor->sizes[d];
        }
    return index;
}

/* Margins of the sets of dimensions whose bits are set in `needed`. */
static nft_margins open_margins(fixture *f, int64_t t, unsigned needed, bool pair)
{
    nft_margins margins;
    const nft_tensor *tensor = &f->space->tensors[t];
    f->memory = (nft_memory){0};
    nft_margins_open(&margins, tensor, CHANNELS * tensor->positions);
    for (nft_dims kept = 0; kept <= nft_all_dims(tensor); kept++)
        if (needed >> kept & 1)
            nft_margins_need(&margins, kept);
    nft_margins_reserve(&margins, &f->builder, NFT_ARENA_CALL, NFT_ARENA_CALL);
    if (pair)
        nft_margins_pair(&margins, &f->builder);
    assert_true(f->memory.call <= ARENA);
    for (int64_t i = 0; i < ARENA; i++)
        f->exec.call[i] = NAN;
    return margins;
}

static void compare_sum(const nft_margins *margins, const nft_exec *exec, nft_dims kept, const float *x,
                        bool mean)
{
    const nft_tensor *tensor = margins->tensor;
    int64_t width = margins->width, tokens = nft_dims_tokens(tensor, kept);
    double *sums = support_allocate((size_t)(tokens * width) * sizeof *sums);
    for (int64_t token = 0; token < tensor->tokens; token++)
        for (int64_t i = 0; i < width; i++)
            sums[margin_token(tensor, kept, token) * width + i] += (double)x[token * width + i];
    double entries = mean ? (double)(tensor->tokens / tokens) : 1;
    const float *found = nft_margin_at(margins, exec, kept);
    for (int64_t i = 0; i < tokens * width; i++)
        assert_true(fabs((double)found[i] - sums[i] / entries) <= TOLERANCE * (1 + fabs(sums[i])));
    free(sums);
}

/* `margins` are those that `needed` says, one by one or all together. */
static void check_reductions(fixture *f, int64_t t, unsigned needed, bool pair)
{
    const nft_tensor *tensor = &f->space->tensors[t];
    nft_margins margins = open_margins(f, t, needed, pair);
    float *x = support_allocate((size_t)(tensor->tokens * margins.width) * sizeof *x);
    draw(tensor->tokens * margins.width, x, 3);
    for (int reduction = NFT_MEANS; reduction <= NFT_SUMS; reduction++) {
        nft_margins_reduce(&margins, &f->exec, (nft_reduction)reduction, x);
        for (nft_dims kept = 0; kept <= margins.all; kept++)
            if (needed >> kept & 1)
                compare_sum(&margins, &f->exec, kept, x, reduction == NFT_MEANS);
    }
    free(x);
}

static void each_margin_alone_is_the_mean_or_sum_over_the_other_dimensions(void **state)
{
    fixture *f = *state;
    for (int64_t t = 0; t < f->space->tensor_count; t++)
        for (nft_dims kept = 0; kept <= nft_all_dims(&f->space->tensors[t]); kept++)
            check_reductions(f, t, 1u << kept, false);
}

static void margins_that_share_their_way_are_the_same(void **state)
{
    fixture *f = *state;
    for (int64_t t = 0; t < f->space->tensor_count; t++)
        check_reductions(f, t, (1u << (nft_all_dims(&f->space->tensors[t]) + 1)) - 1, false);
}

/* The matrix has more rows than a block. */
static void means_over_rows_and_columns_in_one_pass_are_the_same(void **state)
{
    fixture *f = *state;
    unsigned both = 1u << NFT_DIM(0) | 1u << NFT_DIM(1);
    nft_margins margins = open_margins(f, 2, both, true);
    assert_true(margins.paired);
    check_reductions(f, 2, both, true);
}

static void spreading_adds_each_margin_to_all_tokens_that_belong_to_it(void **state)
{
    fixture *f = *state;
    for (int64_t t = 0; t < f->space->tensor_count; t++) {
        const nft_tensor *tensor = &f->space->tensors[t];
        for (nft_dims kept = 0; kept <= nft_all_dims(tensor); kept++) {
            nft_margins margins = open_margins(f, t, 1u << kept | 1u, false);
            int64_t width = margins.width, floats = tensor->tokens * width;
            float *y = support_allocate((size_t)floats * sizeof *y);
            float *values = nft_margin_at(&margins, &f->exec, kept);
            const float *whole = nft_margin_at(&margins, &f->exec, 0);
            draw(width, nft_margin_at(&margins, &f->exec, 0), 4);
            draw(nft_dims_tokens(tensor, kept) * width, values, 5);
            float *expected = support_allocate((size_t)floats * sizeof *expected);
            for (int64_t i = 0; i < floats; i++)
                expected[i] = values[margin_token(tensor, kept, i / width) * width + i % width] +
                              (kept ? whole[i % width] : 0);
            nft_margins_clear_others(&margins, &f->exec);
            nft_margins_join(&margins, &f->exec);
            nft_margins_spread(&margins, &f->exec, y);
            support_close("spread", floats, y, expected, TOLERANCE, TOLERANCE);
            free(y);
            free(expected);
        }
    }
}

static void a_mean_gives_each_entry_its_share(void **state)
{
    fixture *f = *state;
    const nft_tensor *tensor = &f->space->tensors[3];
    nft_margins margins = open_margins(f, 3, 1u | 1u << NFT_DIM(1), false);
    for (nft_dims kept = 0; kept <= NFT_DIM(1); kept += NFT_DIM(1)) {
        int64_t tokens = nft_dims_tokens(tensor, kept), floats = tokens * margins.width;
        float *values = nft_margin_at(&margins, &f->exec, kept);
        for (int64_t i = 0; i < floats; i++)
            values[i] = (float)(tensor->tokens / tokens);
    }
    nft_margins_clear_others(&margins, &f->exec);
    nft_margins_share(&margins, &f->exec);
    assert_float_equal(*nft_margin_at(&margins, &f->exec, 0), 1, TOLERANCE);
    assert_float_equal(*nft_margin_at(&margins, &f->exec, NFT_DIM(1)), 1, TOLERANCE);
}

/* Entry (c, P) of a row, by the file's array: P counts the factors that are not rows, in the order of the
 * shape, or positions first. */
static double entry_of(const nft_tensor *tensor, const float *array, const nft_tensor_view *view, int64_t row,
                       int64_t c, int64_t P, bool positions_first)
{
    int64_t place = 0, size = 1;
    for (int64_t i = 0; i < tensor->factor_count; i++)
        size *= tensor->factor_sizes[i];
    for (int pass = 0; pass < 2; pass++) {
        int64_t d = tensor->rank;
        for (int64_t i = tensor->factor_count; i-- > 0;) {
            bool axis = tensor->declared[i].axis >= 0;
            d -= axis;
            bool rows = axis && (view->rows & NFT_DIM(d));
            int64_t *index = rows ? &row : &P;
            if (pass != (positions_first && !rows && !axis))
                continue;
            place += *index % tensor->factor_sizes[i] * tensor->factor_strides[i];
            *index /= tensor->factor_sizes[i];
        }
    }
    return (double)array[c * size + place];
}

static void check_view(fixture *f, int64_t t, nft_dims rows, bool positions_first)
{
    const nft_tensor *tensor = &f->space->tensors[t];
    nft_tensor_view view = {.tensor = t, .rows = rows, .channels = nft_all_dims(tensor) & ~rows};
    nft_view_layout layout = nft_view_layout_of(f->space, &view, CHANNELS, positions_first);
    int64_t numbers = layout.entries / CHANNELS, floats = CHANNELS * tensor->positions * tensor->tokens;
    assert_int_equal(layout.rows * layout.entries, floats);
    float *array = support_allocate((size_t)floats * sizeof *array),
          *features = support_allocate((size_t)floats * sizeof *features),
          *entries = support_allocate((size_t)floats * sizeof *entries),
          *back = support_allocate((size_t)floats * sizeof *back);
    draw(floats, array, 6);
    nft_tensor_gather(tensor, CHANNELS, array, features);
    for (int64_t row = 0; row < layout.rows; row++) {
        nft_view_get(&layout, row, 1, features, entries, layout.entries);
        for (int64_t i = 0; i < layout.entries; i++)
            assert_true((double)entries[i] ==
                        entry_of(tensor, array, &view, row, i / numbers, i % numbers, positions_first));
        nft_view_put(&layout, row, 1, entries, layout.entries, back);
    }
    support_identical("put", floats, back, features);
    for (int64_t row = 0; row < layout.rows; row++) {
        nft_view_get(&layout, row, 1, features, entries, layout.entries);
        nft_view_add(&layout, row, 1, entries, layout.entries, back);
    }
    for (int64_t i = 0; i < floats; i++)
        assert_true(back[i] == 2 * features[i]);
    free(array);
    free(features);
    free(entries);
    free(back);
}

static void entries_of_a_view_are_in_the_order_of_the_shape(void **state)
{
    fixture *f = *state;
    for (int64_t t = 0; t < f->space->tensor_count; t++)
        for (nft_dims rows = 0; rows <= nft_all_dims(&f->space->tensors[t]); rows++)
            check_view(f, t, rows, false);
}

static void entries_of_the_published_layers_have_positions_first(void **state)
{
    fixture *f = *state;
    for (int64_t t = 0; t < f->space->tensor_count; t++)
        for (nft_dims rows = 0; rows <= nft_all_dims(&f->space->tensors[t]); rows++)
            check_view(f, t, rows, true);
}

static void ordered_dimensions_are_those_of_axes_without_symmetry(void **state)
{
    fixture *f = *state;
    assert_int_equal(nft_ordered_dims(f->space, &f->space->tensors[0]), 0);
    assert_int_equal(nft_ordered_dims(f->space, &f->space->tensors[3]), NFT_DIM(1));
    assert_int_equal(nft_ordered_dims(f->space, &f->space->tensors[4]), NFT_DIM(0) | NFT_DIM(3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_margin_alone_is_the_mean_or_sum_over_the_other_dimensions),
        cmocka_unit_test(margins_that_share_their_way_are_the_same),
        cmocka_unit_test(means_over_rows_and_columns_in_one_pass_are_the_same),
        cmocka_unit_test(spreading_adds_each_margin_to_all_tokens_that_belong_to_it),
        cmocka_unit_test(a_mean_gives_each_entry_its_share),
        cmocka_unit_test(entries_of_a_view_are_in_the_order_of_the_shape),
        cmocka_unit_test(entries_of_the_published_layers_have_positions_first),
        cmocka_unit_test(ordered_dimensions_are_those_of_axes_without_symmetry),
    };
    return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}
