/* The kernels of SIRENs with products of bf16, those of this machine's processor and the portable ones,
 * against sums in double of rounded numbers. */
#include "unit/kernel_sets.h"

#include "math/bf16.h"
#include "math/siren_bf16.h"

#include <stdio.h>

#define ROWS 19
#define PAIRS ((ROWS + 1) / 2)
#define COLUMNS 96
#define PI 3.14159265358979323846

typedef struct numbers {
    float x[ROWS * COLUMNS], factor[ROWS * COLUMNS], y[ROWS * COLUMNS], before[ROWS * COLUMNS];
    float sine[ROWS * COLUMNS], cosine[ROWS * COLUMNS], weight[COLUMNS * COLUMNS];
    float bias[COLUMNS], sums[COLUMNS], sums_before[COLUMNS], places[2 * ROWS];
    uint32_t across[ROWS * COLUMNS / 2], down[PAIRS * COLUMNS], weight_pairs[COLUMNS / 2 * COLUMNS];
    uint32_t kept_across[ROWS * COLUMNS / 2], kept_down[PAIRS * COLUMNS];
} numbers;

static void close_to(const char *what, double found, double expected, double slack)
{
    if (!(fabs(found - expected) <= slack))
        fail_msg("%s: %.9g, expected %.9g", what, found, expected);
}

static float rounded(float x)
{
    return nft_bf16_float(nft_bf16_round(x));
}

static float half(const uint32_t *pairs, int64_t pair, int64_t upper)
{
    return nft_bf16_float((uint16_t)(pairs[pair] >> (upper ? 16 : 0)));
}

/* Both orders of `pairs` hold x (rows, columns) but for `slack` of each number, and zeros after the last row.
 */
static void check_pairs(const char *what, const nft_pairs *pairs, int64_t rows, int64_t columns,
                        const float *x, double slack)
{
    for (int64_t c = 0; c < columns; c++) {
        for (int64_t r = 0; r < rows; r++) {
            double expected = (double)x[r * columns + c], most = slack * fabs(expected) + 1e-6;
            close_to(what, (double)half(pairs->across, (r * columns + c) / 2, c % 2), expected, most);
            close_to(what, (double)half(pairs->down, r / 2 * columns + c, r % 2), expected, most);
        }
        if (rows % 2)
            assert_true(half(pairs->down, rows / 2 * columns + c, 1) == 0);
    }
}

/* x (ROWS, columns), packed in both orders, and weight (columns, columns). */
static void fill(const nft_siren_bf16 *k, numbers *n, int64_t rows, int64_t columns)
{
    const nft_pairs x = {n->across, n->down, columns}, weight = {NULL, n->weight_pairs, columns};
    fill_random((int64_t)(offsetof(numbers, across) / sizeof(float)), n->x);
    memcpy(n->before, n->y, sizeof n->y);
    memcpy(n->sums_before, n->sums, sizeof n->sums);
    k->pack(rows, columns, n->x, columns, &x);
    k->pack(columns, columns, n->weight, columns, &weight);
}

/* Row r of x times column c of the weight, of `inner` pairs. */
static double entry(const numbers *n, int64_t columns, int64_t inner, int64_t r, int64_t c)
{
    double sum = 0;
    for (int64_t i = 0; i < 2 * inner; i++)
        sum += (double)rounded(n->x[r * columns + i]) * (double)rounded(n->weight[i * columns + c]);
    return sum;
}

static nft_pair_product product_of(const numbers *n, int64_t rows, int64_t columns, int64_t inner)
{
    return (nft_pair_product){rows, columns, inner, n->across, columns / 2, 1, n->weight_pairs, columns};
}

static void check_pack(const nft_siren_bf16 *k, numbers *n, int64_t rows, int64_t columns)
{
    const nft_pairs pairs = {n->across, n->down, columns};
    const float special[] = {INFINITY, -INFINITY, NAN, 1e-39f, -0.0f, 3.4e38f, 1.00390625f, 1.01171875f};
    fill(k, n, rows, columns);
    memcpy(n->x, special, sizeof special);
    k->pack(rows, columns, n->x, columns, &pairs);
    for (int64_t c = 0; c < columns; c++) {
        for (int64_t r = 0; r < rows; r++) {
            uint16_t expected = nft_bf16_round(n->x[r * columns + c]);
            assert_int_equal(n->across[(r * columns + c) / 2] >> (c % 2 ? 16 : 0) & 0xffff, expected);
            assert_int_equal(n->down[r / 2 * columns + c] >> (r % 2 ? 16 : 0) & 0xffff, expected);
        }
        if (rows % 2)
            assert_int_equal(n->down[rows / 2 * columns + c] >> 16, 0);
    }
}

static void check_forward(const nft_siren_bf16 *k, numbers *n, int64_t rows, int64_t columns, int64_t inner)
{
    const nft_pairs kept = {n->kept_across, n->kept_down, columns};
    fill(k, n, rows, columns);
    const nft_pair_product product = product_of(n, rows, columns, inner);
    k->forward(&product, n->bias, n->sine, NULL, n->cosine);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++) {
            double angle = 2 * PI * (entry(n, columns, inner, r, c) + (double)n->bias[c]);
            close_to("a sine", (double)n->sine[r * columns + c], sin(angle), 3e-5);
            close_to("a cosine", (double)n->cosine[r * columns + c], cos(angle), 3e-5);
        }
    k->forward(&product, n->bias, NULL, &kept, n->cosine);
    check_pairs("a sine in pairs", &kept, rows, columns, n->sine, 0x1p-8);
}

static void check_backward(const nft_siren_bf16 *k, numbers *n, int64_t rows, int64_t columns, int64_t inner)
{
    const nft_pairs kept = {n->kept_across, n->kept_down, columns};
    float expected[ROWS * COLUMNS];
    fill(k, n, rows, columns);
    const nft_pair_product product = product_of(n, rows, columns, inner);
    k->backward(&product, n->factor, &kept);
    for (int64_t i = 0; i < rows * columns; i++)
        expected[i] = (float)(entry(n, columns, inner, i / columns, i % columns) * (double)n->factor[i]);
    check_pairs("backward", &kept, rows, columns, expected, 0x1p-7);
    k->backward_first(&product, n->factor, n->places, 2, n->y, n->sums);
    for (int64_t c = 0; c < columns; c++) {
        double y = (double)n->before[c], x = (double)n->before[columns + c], sum = (double)n->sums_before[c];
        for (int64_t r = 0; r < rows; r++) {
            y += (double)n->places[2 * r] * (double)expected[r * columns + c];
            x += (double)n->places[2 * r + 1] * (double)expected[r * columns + c];
            sum += (double)expected[r * columns + c];
        }
        close_to("the gradient of y", (double)n->y[c], y, 1e-4);
        close_to("the gradient of x", (double)n->y[columns + c], x, 1e-4);
        close_to("the gradient of a bias", (double)n->sums[c], sum, 1e-4);
    }
}

/* The gradient of `rows` weights for each column, from all ROWS rows of x and of the factors. */
static void check_gradient(const nft_siren_bf16 *k, numbers *n, int64_t rows, int64_t columns)
{
    const nft_pairs kept = {n->kept_across, n->kept_down, columns};
    fill(k, n, ROWS, columns);
    k->pack(ROWS, columns, n->factor, columns, &kept);
    const nft_pair_product product = {rows, columns, PAIRS, n->down, 1, columns, n->kept_down, columns};
    k->gradient(&product, n->y, n->sums);
    for (int64_t c = 0; c < columns; c++) {
        double sum = (double)n->sums_before[c];
        for (int64_t i = 0; i < ROWS; i++)
            sum += (double)rounded(n->factor[i * columns + c]);
        close_to("a sum", (double)n->sums[c], sum, 1e-5);
        for (int64_t r = 0; r < rows; r++) {
            double expected = (double)n->before[r * columns + c];
            for (int64_t i = 0; i < ROWS; i++)
                expected +=
                    (double)rounded(n->x[i * columns + r]) * (double)rounded(n->factor[i * columns + c]);
            close_to("a gradient", (double)n->y[r * columns + c], expected, 1e-5);
        }
    }
}

static void check_last(const nft_siren_bf16 *k, numbers *n, int64_t rows, int64_t columns)
{
    const nft_pairs kept = {n->kept_across, n->kept_down, columns};
    float bias_gradient = 0.25f, angles[ROWS * COLUMNS];
    double errors[ROWS], sum = 0.25;
    fill(k, n, rows, columns);
    const nft_last_layer layer = {.rows = rows,
                                  .columns = columns,
                                  .sine = n->x,
                                  .cosine = n->factor,
                                  .weight = n->weight,
                                  .bias = 0.3f,
                                  .factor = 0.7f,
                                  .target = n->places,
                                  .weight_gradient = n->sums,
                                  .bias_gradient = &bias_gradient};
    k->last(&layer, &kept);
    for (int64_t r = 0; r < rows; r++) {
        errors[r] = 0.3 - (double)n->places[r];
        for (int64_t c = 0; c < columns; c++)
            errors[r] += (double)n->x[r * columns + c] * (double)n->weight[c];
        errors[r] *= 0.7;
        sum += errors[r];
        for (int64_t c = 0; c < columns; c++)
            angles[r * columns + c] =
                (float)(errors[r] * (double)n->weight[c] * (double)n->factor[r * columns + c]);
    }
    check_pairs("an angle", &kept, rows, columns, angles, 0x1p-7);
    close_to("the last bias", (double)bias_gradient, sum, 1e-4);
    for (int64_t c = 0; c < columns; c++) {
        double gradient = (double)n->sums_before[c];
        for (int64_t r = 0; r < rows; r++)
            gradient += errors[r] * (double)n->x[r * columns + c];
        close_to("a last weight", (double)n->sums[c], gradient, 1e-4);
    }
}

/* Pixels 5 … of an image of 7 columns, which change their row within a pair. */
static void check_waves(const nft_siren_bf16 *k, numbers *n, int64_t rows, int64_t columns)
{
    enum { FIRST = 5, WIDE = 7, HIGH = 4 };
    static float angles[2][WIDE * COLUMNS], waves[4][WIDE * COLUMNS], sine[ROWS * COLUMNS];
    fill(k, n, rows, columns);
    fill_random(COUNT(angles[0]), angles[0]);
    memcpy(angles[1], angles[0] + 5, sizeof angles[0] - 5 * sizeof(float));
    for (int64_t i = 0; i < WIDE * columns; i++)
        for (int part = 0; part < 2; part++) {
            waves[2 * part][i] = (float)sin((double)angles[part][i]);
            waves[2 * part + 1][i] = (float)cos((double)angles[part][i]);
        }
    const nft_pixel_waves pixels = {.first = FIRST,
                                    .rows = rows,
                                    .width = WIDE,
                                    .columns = columns,
                                    .row_sine = waves[0],
                                    .row_cosine = waves[1],
                                    .column_sine = waves[2],
                                    .column_cosine = waves[3],
                                    .cosine = n->cosine,
                                    .sine = {n->kept_across, n->kept_down, columns}};
    k->waves(&pixels);
    for (int64_t i = 0; i < rows * columns; i++) {
        int64_t pixel = FIRST + i / columns, c = i % columns;
        double angle =
            (double)angles[0][pixel / WIDE * columns + c] + (double)angles[1][pixel % WIDE * columns + c];
        sine[i] = (float)sin(angle);
        close_to("a cosine of a pixel", (double)n->cosine[i], cos(angle), 1e-6);
    }
    for (int64_t i = 0; i < rows * columns; i++)
        close_to("a sine of a pixel", (double)half(n->kept_across, i / 2, i % 2), (double)sine[i], 3e-3);
    assert_true(FIRST + rows <= HIGH * WIDE);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++)
            assert_true(half(n->kept_down, r / 2 * columns + c, r % 2) ==
                        half(n->kept_across, (r * columns + c) / 2, c % 2));
}

static void check_kernels(const nft_siren_bf16 *k)
{
    static numbers n;
    for (int64_t rows = 1; rows <= ROWS; rows += rows < 4 ? 1 : 5)
        for (int64_t columns = k->width; columns <= 3 * k->width; columns += k->width) {
            check_pack(k, &n, rows, columns);
            check_waves(k, &n, rows, columns);
            for (int64_t inner = 1; inner <= columns / 2; inner += columns / 2 - 1)
                check_forward(k, &n, rows, columns, inner);
            check_backward(k, &n, rows, columns, columns / 2);
            check_gradient(k, &n, rows < columns ? rows : columns, columns);
            check_last(k, &n, rows, columns);
        }
}

static void kernels(void **state)
{
    (void)state;
    const nft_siren_bf16 *done = NULL;
    const nft_kernel_set *set;
    for (int i = 0; (set = nft_kernel_set_at(i)); i++) {
        if (!set->usable() || !set->siren_bf16 || set->siren_bf16 == done)
            continue;
        check_kernels(set->siren_bf16);
        done = set->siren_bf16;
        printf("checked the kernels of %s\n", set->name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(kernels)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
