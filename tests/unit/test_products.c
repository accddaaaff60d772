/* Products of matrices as they lie, of the set of kernels in use, against double. */
#include "math/products.h"

#include "kernel_sets.h"

#define GAP 3 /* numbers between the end of a row and the next */

static float *make(int64_t count)
{
    float *values = malloc((size_t)(count + 1) * sizeof *values);
    assert_non_null(values);
    fill_random(count + 1, values);
    return values;
}

static const char *const names[] = {"nn", "nt", "tn"};

/* Every number of c against the sum of its products; the gaps between its rows stay as they are. */
static void check_product(nft_layout layout, int64_t m, int64_t n, int64_t k, bool add)
{
    bool a_transposed = layout == NFT_TN, b_transposed = layout == NFT_NT;
    int64_t a_stride = (a_transposed ? m : k) + GAP, b_stride = (b_transposed ? k : n) + GAP,
            c_stride = n + GAP;
    float *a = make((a_transposed ? k : m) * a_stride), *b = make((b_transposed ? n : k) * b_stride),
          *before = make(m * c_stride), *c = make(m * c_stride);
    memcpy(c, before, (size_t)(m * c_stride) * sizeof *c);
    nft_multiply(layout, m, n, k, a, a_stride, b, b_stride, add, c, c_stride);
    for (int64_t place = 0; place < m * c_stride; place++) {
        int64_t row = place / c_stride, column = place % c_stride;
        double sum = column >= n || add ? (double)before[place] : 0;
        for (int64_t i = 0; i < k && column < n; i++)
            sum += (double)a[a_transposed ? i * a_stride + row : row * a_stride + i] *
                   (double)b[b_transposed ? column * b_stride + i : i * b_stride + column];
        if (!(fabs((double)c[place] - sum) <= 2e-7 * (double)(k + 2)))
            fail_msg("%s %" PRId64 "×%" PRId64 "×%" PRId64 ": %g, expected %g", names[layout], m, n, k,
                     (double)c[place], sum);
    }
    free(a);
    free(b);
    free(before);
    free(c);
}

static void check_products(int64_t m, int64_t n, int64_t k)
{
    for (int layout = 0; layout < COUNT(names); layout++)
        for (int add = 0; add < 2; add++)
            check_product((nft_layout)layout, m, n, k, add);
}

static void products_are_right(void **state)
{
    (void)state;
    static const int64_t sizes[] = {0, 1, 2, 7, 15, 16, 29, 32, 33, 70};
    for (int64_t i = 0; i < COUNT(sizes); i++)
        for (int64_t j = 0; j < COUNT(sizes); j++)
            for (int64_t l = 0; l < COUNT(sizes); l++)
                check_products(sizes[i], sizes[j], sizes[l]);
}

static void long_products_are_summed_in_blocks(void **state)
{
    (void)state;
    check_products(3, 35, 1100);
    check_products(3, 16, 512);
    check_products(15, 48, 513);
}

/* A row is bit-identical whatever the other rows are. */
static void rows_do_not_depend_on_each_other(void **state)
{
    (void)state;
    enum { ROWS = 31, INNER = 40, COLUMNS = 37 };
    float *a = make(ROWS * INNER), *b = make(INNER * COLUMNS), *c = make(ROWS * COLUMNS),
          *alone = make(COLUMNS);
    nft_multiply(NFT_NN, ROWS, COLUMNS / 16 * 16, INNER, a, INNER, b, COLUMNS, false, c, COLUMNS);
    for (int64_t row = 0; row < ROWS; row++) {
        nft_multiply(NFT_NN, 1, COLUMNS / 16 * 16, INNER, a + row * INNER, INNER, b, COLUMNS, false, alone,
                     COLUMNS);
        assert_memory_equal(alone, c + row * COLUMNS, COLUMNS / 16 * 16 * sizeof *alone);
    }
    free(a);
    free(b);
    free(c);
    free(alone);
}

static void check_weight_gradient(int64_t rows, int64_t inputs, int64_t outputs, bool add)
{
    int64_t weights = outputs * inputs, x_stride = inputs + GAP, dy_stride = outputs + GAP;
    float *x = make(rows * x_stride), *dy = make(rows * dy_stride), *before = make(weights),
          *gradient = make(weights);
    memcpy(gradient, before, (size_t)weights * sizeof *gradient);
    nft_weight_gradient(rows, inputs, outputs, dy, dy_stride, x, x_stride, add, gradient);
    for (int64_t w = 0; w < weights; w++) {
        double sum = add ? (double)before[w] : 0;
        for (int64_t r = 0; r < rows; r++)
            sum += (double)dy[r * dy_stride + w / inputs] * (double)x[r * x_stride + w % inputs];
        if (!(fabs((double)gradient[w] - sum) <= 2e-7 * (double)(rows + 2)))
            fail_msg("%" PRId64 " rows, weight %" PRId64 ": %g, expected %g", rows, w, (double)gradient[w],
                     sum);
    }
    free(x);
    free(dy);
    free(before);
    free(gradient);
}

static void weight_gradients_are_right(void **state)
{
    (void)state;
    static const int64_t rows[] = {0, 1, 5, 29, 32, 33, 64, 65, 150}, sizes[] = {1, 2, 7, 16, 31, 32, 33, 70};
    for (int64_t r = 0; r < COUNT(rows); r++)
        for (int64_t i = 0; i < COUNT(sizes); i++)
            for (int64_t o = 0; o < COUNT(sizes); o++)
                for (int add = 0; add < 2; add++)
                    check_weight_gradient(rows[r], sizes[i], sizes[o], add);
    check_weight_gradient(3, 1100, 35, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_right),
        cmocka_unit_test(long_products_are_summed_in_blocks),
        cmocka_unit_test(rows_do_not_depend_on_each_other),
        cmocka_unit_test(weight_gradients_are_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
