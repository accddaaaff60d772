/* The kernels on two arrays and on rows, of every instruction set that this machine has, against double. */
#include "kernel_sets.h"

#include <fenv.h>

static void check_pairs(const nft_kernels *set, int64_t n, const float *x, const float *old)
{
    float scaled[LENGTH], sum[LENGTH], product[LENGTH], both[LENGTH];
    memcpy(sum, old, sizeof sum);
    memcpy(product, old, sizeof sum);
    memcpy(scaled, old, sizeof sum);
    memcpy(both, old, sizeof sum);
    set->copy_scaled(n, -2.5f, x, scaled);
    set->add(n, x, sum);
    set->multiply(n, x, product);
    set->add_two(n, x, both, both);
    for (int64_t i = 0; i < n; i++)
        assert_true(scaled[i] == -2.5f * x[i] && sum[i] == old[i] + x[i] && product[i] == old[i] * x[i]);
    int64_t rest = LENGTH - n;
    assert_true(same_bits(scaled + n, old + n, rest) && same_bits(sum + n, old + n, rest));
    assert_true(same_bits(product + n, old + n, rest));
    assert_true(same_bits(both, sum, LENGTH));
    set->add_two(n, old, x, both);
    assert_true(same_bits(both, sum, LENGTH));
}

static void pairs_of_arrays_are_combined(void **state)
{
    (void)state;
    float x[2 * LENGTH + 1];
    fill_random(COUNT(x), x);
    for (int k = 0; k < set_count; k++)
        for (int64_t n = 0; n <= LENGTH; n++)
            check_pairs(sets[k]->vector, n, x + LENGTH + 1, x);
}

static void sums_are_right_and_fixed(void **state)
{
    (void)state;
    static float x[3003], z[3003], moved[3003 + 3];
    fill_random(3003, x);
    for (int64_t i = 0; i < 3003; i++)
        z[i] = x[3002 - i] + 0.5f;
    for (int k = 0; k < set_count; k++)
        for (int64_t n = 0; n <= 3003; n += n < 150 ? 1 : 317) {
            double sum = 0, dot = 0;
            for (int64_t i = 0; i < n; i++) {
                sum += (double)x[i];
                dot += (double)x[i] * (double)z[i];
            }
            float got = sets[k]->vector->sum(n, x), got_dot = sets[k]->vector->dot(n, x, z);
            assert_true(fabs((double)got - sum) <= 1e-7 * (double)n);
            assert_true(fabs((double)got_dot - dot) <= 1e-7 * (double)n);
            for (int64_t offset = 0; offset < 4; offset++) {
                memcpy(moved + offset, x, (size_t)n * sizeof *x);
                assert_true(sets[k]->vector->sum(n, moved + offset) == got);
                assert_true(sets[k]->vector->dot(n, moved + offset, z) == got_dot);
            }
        }
}

/* --- rows --- */

#define ROWS 3
#define MANY_ROWS 35 /* two vectors' lanes and a part */
#define GAP 5        /* floats between rows; they must stay */

static void check_gaps(int64_t n, const float *y)
{
    for (int64_t r = 0; r < ROWS; r++)
        for (int64_t i = n; i < n + GAP; i++)
            assert_true(y[r * (n + GAP) + i] == 77);
}

static void fill_rows(int64_t n, float *y)
{
    fill_random(ROWS * (n + GAP), y);
    for (int64_t r = 0; r < ROWS; r++)
        for (int64_t i = n; i < n + GAP; i++)
            y[r * (n + GAP) + i] = 77;
}

static void check_bias(const nft_kernels *set, int64_t n)
{
    float bias[LENGTH], x[ROWS * (LENGTH + GAP)], y[COUNT(x)], row[LENGTH];
    int64_t stride = n + GAP;
    fill_random(n, bias);
    fill_rows(n, x);
    memcpy(y, x, sizeof y);
    set->add_bias(ROWS, n, bias, y, stride);
    check_gaps(n, y);
    for (int64_t r = 0; r < ROWS; r++) {
        for (int64_t i = 0; i < n; i++)
            row[i] = x[r * stride + i] + bias[i];
        assert_true(same_bits(row, y + r * stride, n));
    }
    memcpy(y, x, sizeof y);
    for (int64_t r = 0; r < ROWS; r++)
        memset(y + r * stride, 0, (size_t)n * sizeof *y);
    set->copy_rows(ROWS, n, x, stride, y, stride);
    check_gaps(n, y);
    set->add_rows(ROWS, n, x, stride, y, stride);
    check_gaps(n, y);
    for (int64_t r = 0; r < ROWS; r++)
        for (int64_t i = 0; i < n; i++)
            assert_true(y[r * stride + i] == x[r * stride + i] + x[r * stride + i]);
    for (int64_t i = 0; i < n; i++) {
        row[i] = 0;
        for (int64_t r = 0; r < ROWS; r++)
            row[i] += x[r * stride + i];
        row[i] += bias[i];
    }
    set->sum_rows(ROWS, n, x, stride, bias);
    assert_true(same_bits(row, bias, n));
}

static void biases_are_added_and_rows_summed(void **state)
{
    (void)state;
    for (int k = 0; k < set_count; k++)
        for (int64_t n = 0; n <= LENGTH; n++)
            check_bias(sets[k]->vector, n);
    static float x[7 * 300], y[300];
    for (int k = 0; k < set_count; k++) {
        memset(y, 0, sizeof y);
        fill_random(COUNT(x), x);
        sets[k]->vector->sum_rows(7, 300, x, 300, y);
        for (int64_t i = 0; i < 300; i++)
            assert_true(y[i] == (((((((0 + x[i]) + x[300 + i]) + x[600 + i]) + x[900 + i]) + x[1200 + i]) +
                                  x[1500 + i]) +
                                 x[1800 + i]));
    }
}

/* A bias is the sum of as many rows as a layer has tokens: of a hundred thousand the error is still that of a
 * few roundings, whatever the number of columns, and numbers that are not finite come through. */
static void many_rows_are_summed(void **state)
{
    (void)state;
    static float x[100003 * 37];
    const int64_t rows = 100003;
    const int widths[] = {1, 3, 8, 37};
    double worst = 0;
    for (int k = 0; k < set_count; k++)
        for (size_t w = 0; w < COUNT(widths); w++) {
            int64_t n = widths[w];
            float y[37] = {0};
            fill_random(rows * n, x);
            for (int64_t i = 0; i < rows * n; i++)
                x[i] = fabsf(x[i]);
            sets[k]->vector->sum_rows(rows, n, x, n, y);
            for (int64_t i = 0; i < n; i++) {
                double sum = 0;
                for (int64_t r = 0; r < rows; r++)
                    sum += (double)x[r * n + i];
                worst = fmax(worst, fabs((double)y[i] - sum) / sum);
            }
            x[70 * n] = INFINITY;
            x[99999 * n + n - 1] = NAN;
            sets[k]->vector->sum_rows(rows, n, x, n, y);
            assert_true(n == 1 ? isnan(y[0]) : isinf(y[0]) && isnan(y[n - 1]));
        }
    print_message("the largest relative error of a sum is %.1e\n", worst);
    assert_true(worst < 2e-7);
}

static void check_softmax(const nft_kernels *set, int64_t n, float scale)
{
    float x[ROWS * (LENGTH + GAP)], y[COUNT(x)];
    fill_rows(n, x);
    memcpy(y, x, sizeof y);
    set->softmax(ROWS, n, scale, y, n + GAP);
    check_gaps(n, y);
    for (int64_t r = 0; r < ROWS; r++) {
        double largest = -INFINITY, total = 0, scaled[LENGTH];
        for (int64_t i = 0; i < n; i++) {
            scaled[i] = (double)(scale * x[r * (n + GAP) + i]);
            largest = scaled[i] > largest ? scaled[i] : largest;
        }
        for (int64_t i = 0; i < n; i++)
            total += exp(scaled[i] - largest);
        for (int64_t i = 0; i < n; i++) {
            double expected = exp(scaled[i] - largest) / total;
            double allowed = (6e-7 + 6e-8 * (largest - scaled[i])) * expected + 1e-44;
            assert_true(fabs((double)y[r * (n + GAP) + i] - expected) <= allowed);
        }
    }
}

static void softmax_is_right(void **state)
{
    (void)state;
    for (int k = 0; k < set_count; k++)
        for (int64_t n = 0; n <= LENGTH; n++)
            for (int s = 0; s < 4; s++)
                check_softmax(sets[k]->vector, n, (float[]){1, -0.1f, 0, 95}[s]);
}

/* -∞ has no share next to other numbers. NaN and ∞ leave nothing of the row. */
static void check_special_softmax(const nft_kernels *set, int64_t n, int64_t place)
{
    float row[LENGTH];
    for (int s = 0; s < 3; s++) {
        fill_random(n, row);
        row[place] = (float[]){-INFINITY, INFINITY, NAN}[s];
        set->softmax(1, n, 0.5f, row, n);
        if (s == 0 && n > 1)
            assert_true(row[place] == 0 && fabsf(set->sum(n, row) - 1) < 1e-6f);
        else
            for (int64_t i = 0; i < n; i++)
                assert_true(isnan(row[i]));
    }
}

static void softmax_of_special_values(void **state)
{
    (void)state;
    for (int k = 0; k < set_count; k++) {
        for (int64_t n = 1; n <= LENGTH; n++)
            for (int64_t place = 0; place < n; place += 7)
                check_special_softmax(sets[k]->vector, n, place);
        float alone = -3e38f;
        sets[k]->vector->softmax(1, 1, 2, &alone, 1);
        assert_true(isnan(alone)); /* 2 (-3e38) is -∞ */
        alone = -3e38f;
        sets[k]->vector->softmax(1, 1, 1, &alone, 1);
        assert_true(alone == 1);
    }
}

typedef void norm(int64_t rows, int64_t n, const float *gamma, const float *beta, const float *x,
                  int64_t x_stride, float *y, int64_t y_stride);

/* `offset` moves the mean far from 0: the squares must be those of the differences. */
static void check_norm(const char *set, norm *f, bool simple, int64_t n, float offset)
{
    static float gamma[700], beta[700], x[ROWS * (700 + GAP)], y[COUNT(x)], z[ROWS * 700];
    int64_t stride = n + GAP;
    fill_random(n, gamma);
    fill_random(n, beta);
    fill_rows(n, x);
    for (int64_t r = 0; r < ROWS; r++)
        for (int64_t i = 0; i < n; i++)
            x[r * stride + i] += offset;
    memcpy(y, x, sizeof y);
    f(ROWS, n, gamma, beta, y, stride, y, stride);
    f(ROWS, n, gamma, beta, x, stride, z, n);
    check_gaps(n, y);
    for (int64_t r = 0; r < ROWS; r++) {
        const float *row = x + r * stride;
        double mean = 0, squares = 0;
        for (int64_t i = 0; i < n; i++)
            mean += (double)row[i] / (double)n;
        for (int64_t i = 0; i < n; i++)
            squares += ((double)row[i] - mean) * ((double)row[i] - mean);
        double divisor = simple ? sqrt(squares / (double)(n - 1)) + 1e-5 : sqrt(squares / (double)n + 1e-5);
        for (int64_t i = 0; i < n; i++) {
            double expected = ((double)row[i] - mean) / divisor * (double)gamma[i] + (double)beta[i];
            if (fabs((double)z[r * n + i] - expected) > (1 + fabs((double)offset)) * 2e-6)
                fail_msg("%s, norm of %" PRId64 ": %a, expected %a", set, n, (double)z[r * n + i], expected);
        }
        assert_true(same_bits(z + r * n, y + r * stride, n));
    }
}

/* Rows of n numbers, LENGTH + 3 and LENGTH + 1 apart. */
static void check_copies(const nft_kernels *set, int64_t n, const float *x, const float *old)
{
    float copied[ROWS * (LENGTH + 1)], sum[ROWS * (LENGTH + 1)];
    memcpy(copied, old, sizeof copied);
    memcpy(sum, old, sizeof sum);
    set->copy_rows(ROWS, n, x, LENGTH + 3, copied, LENGTH + 1);
    set->add_rows(ROWS, n, x, LENGTH + 3, sum, LENGTH + 1);
    for (int64_t r = 0; r < ROWS; r++)
        for (int64_t i = 0; i <= LENGTH; i++) {
            int64_t place = r * (LENGTH + 1) + i;
            float from = x[r * (LENGTH + 3) + i];
            assert_true(copied[place] == (i < n ? from : old[place]));
            assert_true(sum[place] == (i < n ? old[place] + from : old[place]));
        }
}

/* Three groups of n numbers in each row, one behind the other in x and far apart in the result. */
static void check_groups(const nft_kernels *set, int64_t n, const float *x)
{
    enum { GROUPS = 3, APART = ROWS * (LENGTH + 2) };
    float copied[GROUPS * APART], sum[GROUPS * APART], back[ROWS * GROUPS * LENGTH];
    for (int64_t i = 0; i < GROUPS * APART; i++)
        copied[i] = sum[i] = (float)i;
    set->copy_groups(ROWS, n, GROUPS, x, GROUPS * n, n, copied, LENGTH + 2, APART);
    set->add_groups(ROWS, n, GROUPS, x, GROUPS * n, n, sum, LENGTH + 2, APART);
    set->copy_groups(ROWS, n, GROUPS, copied, LENGTH + 2, APART, back, GROUPS * n, n);
    assert_true(same_bits(back, x, ROWS * GROUPS * n));
    for (int64_t i = 0; i < GROUPS * APART; i++) {
        int64_t row = i % APART / (LENGTH + 2), at = i % (LENGTH + 2);
        float from = at < n ? x[(row * GROUPS + i / APART) * n + at] : 0;
        assert_true(copied[i] == (at < n ? from : (float)i));
        assert_true(sum[i] == (float)i + from);
    }
}

static void rows_are_copied_and_added(void **state)
{
    (void)state;
    float x[3 * ROWS * (LENGTH + 3)]; /* enough for three groups */
    fill_random(COUNT(x), x);
    for (int k = 0; k < set_count; k++)
        for (int64_t n = 0; n <= LENGTH; n++)
            check_copies(sets[k]->vector, n, x, x + ROWS * (LENGTH + 3));
    for (int k = 0; k < set_count; k++)
        for (int64_t n = 0; n <= LENGTH; n++)
            check_groups(sets[k]->vector, n, x);
}

#define MOST_ROWS 10

/* Every row with every other. Each product is bit-identical to the product of its two rows by themselves. */
static void check_row_products(const nft_kernels *set, int64_t m, int64_t n, int64_t k, const float *a,
                               const float *b)
{
    float c[MOST_ROWS * (MOST_ROWS + 2)];
    const float gap = 77;
    for (int64_t i = 0; i < COUNT(c); i++)
        c[i] = gap;
    set->row_products(m, n, k, a, LENGTH, b, LENGTH + 1, false, c, MOST_ROWS + 2);
    for (int64_t i = 0; i < MOST_ROWS; i++)
        for (int64_t j = 0; j < MOST_ROWS + 2; j++) {
            float got = c[i * (MOST_ROWS + 2) + j], alone;
            if (i >= m || j >= n) {
                assert_true(same_bits(&got, &gap, 1));
                continue;
            }
            double sum = 0;
            for (int64_t l = 0; l < k; l++)
                sum += (double)a[i * LENGTH + l] * (double)b[j * (LENGTH + 1) + l];
            assert_true(fabs((double)got - sum) <= 1e-7 * (double)k);
            set->row_products(1, 1, k, a + i * LENGTH, 1, b + j * (LENGTH + 1), 1, false, &alone, 1);
            assert_true(same_bits(&got, &alone, 1));
        }
}

static void products_of_rows_are_right(void **state)
{
    (void)state;
    float x[2 * MOST_ROWS * (LENGTH + 1)];
    fill_random(COUNT(x), x);
    for (int set = 0; set < set_count; set++)
        for (int64_t m = 0; m <= MOST_ROWS; m++)
            for (int64_t n = 0; n <= MOST_ROWS; n++)
                for (int64_t k = 0; k <= LENGTH; k += k < 20 ? 1 : 6)
                    check_row_products(sets[set]->vector, m, n, k, x, x + MOST_ROWS * LENGTH);
}

static void norms_are_right(void **state)
{
    (void)state;
    for (int k = 0; k < set_count; k++)
        for (int64_t n = 1; n <= 700; n += n < 70 ? 1 : 90)
            for (int o = 0; o < 2; o++) {
                float offset = o ? 100.0f : 0.0f;
                check_norm(sets[k]->name, sets[k]->vector->layer_norm, false, n, offset);
                if (n > 1)
                    check_norm(sets[k]->name, sets[k]->vector->simple_layer_norm, true, n, offset);
            }
}

/* Each of these rows is reduced together with others, in another place among them. */
static void check_rows_alone(const nft_kernels *set, int64_t rows, int64_t n)
{
    static float x[MANY_ROWS * LENGTH], y[3][MANY_ROWS * LENGTH], alone[LENGTH];
    float gamma[LENGTH], beta[LENGTH];
    fill_random(rows * n, x);
    fill_random(n, gamma);
    fill_random(n, beta);
    memcpy(y[0], x, sizeof x);
    set->softmax(rows, n, 1.5f, y[0], n);
    set->simple_layer_norm(rows, n, gamma, beta, x, n, y[1], n);
    set->layer_norm(rows, n, gamma, beta, x, n, y[2], n);
    for (int64_t r = 0; r < rows; r++) {
        memcpy(alone, x + r * n, (size_t)n * sizeof *x);
        set->softmax(1, n, 1.5f, alone, n);
        assert_true(same_bits(alone, y[0] + r * n, n));
        set->simple_layer_norm(1, n, gamma, beta, x + r * n, n, alone, n);
        assert_true(same_bits(alone, y[1] + r * n, n));
        set->layer_norm(1, n, gamma, beta, x + r * n, n, alone, n);
        assert_true(same_bits(alone, y[2] + r * n, n));
    }
}

/* A host may have made these floating-point exceptions fatal. */
static void rows_do_not_depend_on_others(void **state)
{
    (void)state;
    feclearexcept(FE_ALL_EXCEPT);
    for (int k = 0; k < set_count; k++)
        for (int64_t rows = 1; rows <= MANY_ROWS; rows++)
            for (int64_t n = 2; n <= LENGTH; n += 9)
                check_rows_alone(sets[k]->vector, rows, n);
    assert_false(fetestexcept(FE_DIVBYZERO | FE_INVALID));
}

int main(void)
{
    find_sets();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_of_arrays_are_combined),
        cmocka_unit_test(sums_are_right_and_fixed),
        cmocka_unit_test(biases_are_added_and_rows_summed),
        cmocka_unit_test(many_rows_are_summed),
        cmocka_unit_test(softmax_is_right),
        cmocka_unit_test(softmax_of_special_values),
        cmocka_unit_test(norms_are_right),
        cmocka_unit_test(rows_do_not_depend_on_others),
        cmocka_unit_test(rows_are_copied_and_added),
        cmocka_unit_test(products_of_rows_are_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
