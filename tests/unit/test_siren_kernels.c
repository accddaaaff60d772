/* The kernels of SIRENs, of every instruction set that this machine has, against the same sums in double. */
#include "unit/kernel_sets.h"

#include "math/siren_kernels.h"

#include <stdio.h>

#define ROWS 19
#define INNER 9
#define COLUMNS 80
#define PI 3.14159265358979323846

static void close_to(const char *what, const char *set, double found, double expected, double slack)
{
    if (!(fabs(found - expected) <= slack))
        fail_msg("%s, %s: %.9g, expected %.9g", set, what, found, expected);
}

/* Numbers of a size, which need not be whole vectors: a kernel reads the rest as padding. */
typedef struct numbers {
    float a[ROWS * COLUMNS], b[ROWS * COLUMNS], y[ROWS * COLUMNS], before[ROWS * COLUMNS];
    float more[ROWS * COLUMNS], sums[COLUMNS], sums_before[COLUMNS], places[2 * ROWS];
} numbers;

static void fill(numbers *n)
{
    float *all = (float *)n;
    fill_random((int64_t)(sizeof *n / sizeof *all), all);
    memcpy(n->before, n->y, sizeof n->y);
    memcpy(n->sums_before, n->sums, sizeof n->sums);
}

/* Σ over the inner axis for one entry: a (rows, inner), or (inner, rows) if transposed. */
static double entry(const nft_product *p, int64_t row, int64_t column, bool transposed)
{
    double sum = 0;
    for (int64_t k = 0; k < p->inner; k++)
        sum += (double)(transposed ? p->a[k * p->a_stride + row] : p->a[row * p->a_stride + k]) *
               (double)p->b[k * p->b_stride + column];
    return sum;
}

static void check_forward(const nft_siren_kernels *k, const char *set, nft_product p, numbers *n)
{
    k->forward(&p, n->sums, n->more);
    for (int64_t r = 0; r < p.rows; r++)
        for (int64_t c = 0; c < p.columns; c++) {
            double angle = 2 * PI * (entry(&p, r, c, false) + (double)n->sums[c]);
            close_to("a sine", set, (double)n->y[r * COLUMNS + c], sin(angle), 5e-6);
            close_to("a cosine", set, (double)n->more[r * COLUMNS + c], cos(angle), 5e-6);
        }
}

static void check_backward(const nft_siren_kernels *k, const char *set, nft_product p, numbers *n)
{
    k->backward(&p, n->more);
    for (int64_t r = 0; r < p.rows; r++)
        for (int64_t c = 0; c < p.columns; c++)
            close_to("backward", set, (double)n->y[r * COLUMNS + c],
                     entry(&p, r, c, false) * (double)n->more[r * COLUMNS + c], 2e-6);
}

static void check_backward_first(const nft_siren_kernels *k, const char *set, nft_product p, numbers *n)
{
    k->backward_first(&p, n->more, n->places, 2, n->sums);
    for (int64_t c = 0; c < p.columns; c++) {
        double y = (double)n->before[c], x = (double)n->before[COLUMNS + c], sum = (double)n->sums_before[c];
        for (int64_t r = 0; r < p.rows; r++) {
            double angle = entry(&p, r, c, false) * (double)n->more[r * COLUMNS + c];
            y += (double)n->places[2 * r] * angle;
            x += (double)n->places[2 * r + 1] * angle;
            sum += angle;
        }
        close_to("the gradient of y", set, (double)n->y[c], y, 1e-5);
        close_to("the gradient of x", set, (double)n->y[COLUMNS + c], x, 1e-5);
        close_to("the gradient of a bias", set, (double)n->sums[c], sum, 1e-5);
    }
}

static void check_gradient(const nft_siren_kernels *k, const char *set, nft_product p, numbers *n, bool sums)
{
    k->gradient(&p, sums ? n->sums : NULL);
    for (int64_t c = 0; c < p.columns; c++) {
        double sum = (double)n->sums_before[c];
        for (int64_t i = 0; i < p.inner && sums; i++)
            sum += (double)p.b[i * p.b_stride + c];
        close_to("a sum", set, (double)n->sums[c], sum, 1e-5);
        for (int64_t r = 0; r < p.rows; r++)
            close_to("a gradient", set, (double)n->y[r * COLUMNS + c],
                     entry(&p, r, c, true) + (double)n->before[r * COLUMNS + c], 1e-5);
    }
}

static void check_outputs(const nft_siren_kernels *k, const char *set, nft_product p, numbers *n)
{
    p.a_stride = p.b_stride = COLUMNS;
    k->outputs(&p, 3, n->sums);
    for (int64_t r = 0; r < p.rows; r++)
        for (int64_t o = 0; o < 3; o++) {
            double sum = (double)n->sums[o];
            for (int64_t c = 0; c < p.columns; c++)
                sum += (double)p.a[r * COLUMNS + c] * (double)p.b[o * COLUMNS + c];
            close_to("an output", set, (double)n->y[r * COLUMNS + o], sum, 1e-5);
        }
}

static void check_last(const nft_siren_kernels *k, const char *set, int64_t rows, int64_t columns, numbers *n)
{
    float bias_gradient = 0.25f;
    const nft_last_layer layer = {.rows = rows,
                                  .columns = columns,
                                  .sine = n->a,
                                  .cosine = n->b,
                                  .weight = n->more,
                                  .bias = 0.3f,
                                  .factor = 0.7f,
                                  .target = n->places,
                                  .weight_gradient = n->sums,
                                  .bias_gradient = &bias_gradient,
                                  .angle_gradient = n->y};
    k->last(&layer);
    double errors[ROWS], sum = 0.25;
    for (int64_t r = 0; r < rows; r++) {
        double out = (double)layer.bias - (double)n->places[r];
        for (int64_t c = 0; c < columns; c++)
            out += (double)n->a[r * columns + c] * (double)n->more[c];
        errors[r] = (double)layer.factor * out;
        sum += errors[r];
    }
    close_to("the last bias", set, (double)bias_gradient, sum, 1e-5);
    for (int64_t c = 0; c < columns; c++) {
        double gradient = (double)n->sums_before[c];
        for (int64_t r = 0; r < rows; r++) {
            gradient += errors[r] * (double)n->a[r * columns + c];
            close_to("an angle", set, (double)n->y[r * columns + c],
                     errors[r] * (double)n->more[c] * (double)n->b[r * columns + c], 1e-5);
        }
        close_to("a last weight", set, (double)n->sums[c], gradient, 1e-5);
    }
}

static void check_size(int set, int64_t rows, int64_t columns, int64_t inner)
{
    static numbers n;
    const nft_siren_kernels *k = sets[set]->siren;
    const char *name = sets[set]->name;
    const nft_product p = {rows, columns, inner, n.a, COLUMNS, n.b, COLUMNS, n.y, COLUMNS};
    fill(&n);
    check_forward(k, name, p, &n);
    fill(&n);
    check_backward(k, name, p, &n);
    fill(&n);
    check_backward_first(k, name, p, &n);
    for (int sums = 0; sums < 2; sums++) {
        fill(&n);
        check_gradient(k, name, p, &n, sums != 0);
    }
    fill(&n);
    check_outputs(k, name, p, &n);
    fill(&n);
    check_last(k, name, rows, columns, &n);
}

static void products(void **state)
{
    (void)state;
    for (int set = 0; set < set_count; set++)
        for (int64_t rows = 1; rows <= ROWS; rows++)
            for (int64_t vectors = 1; vectors <= 5; vectors++)
                for (int64_t inner = 1; inner <= INNER; inner += 4)
                    check_size(set, rows, vectors * sets[set]->vector->width, inner);
}

static void check_waves(int set, double from, double to)
{
    enum { POINTS = 1 << 16 };
    static float turns[POINTS], sine[POINTS], cosine[POINTS];
    for (int64_t i = 0; i < POINTS; i++)
        turns[i] = (float)(from + (to - from) * (double)i / (POINTS - 1));
    const nft_product p = {.rows = 1, .columns = POINTS, .y = sine, .y_stride = POINTS};
    sets[set]->siren->forward(&p, turns, cosine);
    for (int64_t i = 0; i < POINTS; i++) {
        double rest = 2 * PI * remainder((double)turns[i], 1);
        close_to("a sine", sets[set]->name, (double)sine[i], sin(rest), 2e-7);
        close_to("a cosine", sets[set]->name, (double)cosine[i], cos(rest), 2e-7);
    }
}

/* The reduction is exact for every size. */
static void waves(void **state)
{
    (void)state;
    const double ranges[] = {0.26, 3, 100, 1e4, 5e6, 1e12, 3e38};
    for (int set = 0; set < set_count; set++) {
        for (int64_t i = 0; i < COUNT(ranges); i++)
            check_waves(set, -ranges[i], ranges[i]);
        float turns[LENGTH] = {INFINITY, -INFINITY, NAN}, sine[LENGTH], cosine[LENGTH];
        const nft_product p = {.rows = 1, .columns = sets[set]->vector->width, .y = sine, .y_stride = LENGTH};
        sets[set]->siren->forward(&p, turns, cosine);
        for (int i = 0; i < 3; i++)
            assert_true(isnan(sine[i]) && isnan(cosine[i]));
        assert_true(sine[3] == 0 && cosine[3] == 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products),
        cmocka_unit_test(waves),
    };
    find_sets();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
