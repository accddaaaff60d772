/* The derivative kernels of every instruction set that this machine has, against double. Tolerances are first
 * order bounds of the kernels' own roundings: UNIT times their number and the size of the rounded numbers. */
#include "kernel_sets.h"

#include "math/gradients.h"

#define UNIT 0x1p-24 /* relative error of one rounding */
#define TINY 0x1p-149
#define BLOCK 4096
#define LONGEST 70
#define GUARD 8 /* floats around the range that may be written */

static float from_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Random numbers in [-1, 1] that differ from call to call. */
static void draw(int64_t n, float *x)
{
    static uint32_t seed = 7;
    for (int64_t i = 0; i < n; i++) {
        seed = seed * 1664525 + 1013904223;
        x[i] = (float)(seed >> 8) * 0x1p-23f - 1;
    }
}

/* NaN for NaN, the same infinity, else no further away than `tolerance`, or the smallest denormal. */
static bool is_near(float found, double expected, double tolerance)
{
    if (isnan(expected))
        return isnan(found);
    if (isinf((float)expected))
        return found == (float)expected;
    return fabs((double)found - expected) <= tolerance + TINY;
}

/* --- functions of one number --- */

typedef void chain(int64_t n, const float *x, const float *dy, float *dx);

/* The derivative, and the error allowed to it, before dy multiplies them. */
typedef struct derivative {
    double value, error;
} derivative;

static derivative relu(double x)
{
    return (derivative){x <= 0 ? 0 : 1, 0}; /* the gradient passes at NaN, as in PyTorch */
}

/* Φ(x) + x φ(x). The exponential has the error of its argument, ½ t² UNIT, and its own. From NO_TAIL on the
 * result is a few of the smallest normal numbers, and is taken as 0. */
#define NO_TAIL 13.1463F

static derivative gelu(double x)
{
    double t = fabs(x), density = exp(-t * t / 2) / sqrt(2 * acos(-1)), tail = erfc(t / sqrt(2)) / 2;
    if (t >= (double)NO_TAIL)
        return (derivative){isinf(x) ? NAN : x > 0, 0};
    double error = UNIT * ((t * t / 2 + 8) * (tail + t * density) + (x < 0 ? 0 : 2));
    return (derivative){(x < 0 ? tail : 1 - tail) + x * density, error};
}

static derivative sigmoid(double y)
{
    return (derivative){y * (1 - y), 2 * UNIT * fabs(y * (1 - y))};
}

/* The rounding of y² may be as large as 1 - y². */
static derivative hyperbolic_tangent(double y)
{
    return (derivative){1 - y * y, UNIT * (y * y + fabs(1 - y * y))};
}

static const struct function {
    const char *name;
    derivative (*reference)(double x);
    uint32_t last; /* bits of the largest number that it is given */
    bool negative; /* and of either sign */
    bool selects;  /* dy itself or 0 */
} functions[] = {
    {"relu", relu, 0x7f800001, true, true},
    {"gelu", gelu, 0x7f800001, true, false},
    {"sigmoid", sigmoid, 0x3f800000, false, false},
    {"tanh", hyperbolic_tangent, 0x3f800000, true, false},
};

static chain *kernel_of(const nft_gradient_kernels *set, const struct function *f)
{
    chain *const kernels[] = {set->relu, set->gelu, set->sigmoid, set->tanh};
    return kernels[f - functions];
}

static void check_block(const struct function *f, int64_t n, const float *x, const float *dy)
{
    float dx[BLOCK];
    for (int k = 0; k < set_count; k++) {
        kernel_of(sets[k]->gradients, f)(n, x, dy, dx);
        for (int64_t i = 0; i < n; i++) {
            derivative d = f->reference((double)x[i]);
            double slope = (double)dy[i], expected = slope * d.value;
            double tolerance = fabs(slope) * d.error + UNIT * fabs(expected);
            if (f->selects) {
                expected = d.value > 0 ? slope : 0;
                tolerance = 0;
            }
            if (!is_near(dx[i], expected, tolerance))
                fail_msg("%s, %s: %a at %a, times %a, expected %a within %a", sets[k]->name, f->name,
                         (double)dx[i], (double)x[i], slope, expected, tolerance);
        }
    }
}

/* Numbers of all exponents and signs. */
static void derivatives_are_right_everywhere(void **state)
{
    (void)state;
    float x[BLOCK], dy[BLOCK];
    for (const struct function *f = functions; f < functions + COUNT(functions); f++)
        for (uint32_t bits = 0; bits <= f->last;) {
            int64_t n = 0;
            for (; n < BLOCK && bits <= f->last; bits += 9973) {
                x[n++] = from_bits(bits);
                if (f->negative)
                    x[n++] = -from_bits(bits);
            }
            draw(n, dy);
            check_block(f, n, x, dy);
        }
}

static void derivatives_are_right_in_the_usual_range(void **state)
{
    (void)state;
    float x[BLOCK], dy[BLOCK];
    for (const struct function *f = functions; f < functions + COUNT(functions); f++)
        for (int part = 0; part < 16; part++) {
            float range = f->last < 0x7f800000 ? 1 : part % 2 ? 4 : 15;
            draw(BLOCK, x);
            draw(BLOCK, dy);
            for (int i = 0; i < BLOCK; i++)
                x[i] = range * (f->negative ? x[i] : (x[i] + 1) / 2);
            check_block(f, BLOCK, x, dy);
        }
}

static void derivatives_are_right_at_special_values(void **state)
{
    (void)state;
    const float special[] = {0.0f,      -0.0f,   1,      -1,   NAN,    -NAN,
                             0x1p-149f, FLT_MIN, 1e-40f, 0.5f, 1e-20f, 0x1.fffffep-1f};
    const float far[] = {INFINITY, -INFINITY, FLT_MAX, -FLT_MAX, 13.1463f, -13.1463f, 1e20f, -1e20f};
    const float slopes[] = {1, -1, 0.0f, INFINITY, -INFINITY, NAN, FLT_MAX, 1e-30f, 0x1p-149f, -1e-40f};
    float x[COUNT(special) + COUNT(far)], dy[COUNT(x)];
    memcpy(x, special, sizeof special);
    memcpy(x + COUNT(special), far, sizeof far);
    for (const struct function *f = functions; f < functions + COUNT(functions); f++)
        for (int64_t s = 0; s < COUNT(slopes); s++) {
            for (int64_t i = 0; i < COUNT(x); i++)
                dy[i] = slopes[s];
            check_block(f, f->last < 0x7f800000 ? COUNT(special) : COUNT(x), x, dy);
        }
    const float edge[] = {0, -0.0f, 1, NAN}, ones[] = {2, 2, 2, 2};
    float dx[4];
    for (int k = 0; k < set_count; k++) {
        sets[k]->gradients->relu(4, edge, ones, dx);
        assert_true(dx[0] == 0 && dx[1] == 0 && dx[2] == 2 && dx[3] == 2);
        sets[k]->gradients->gelu(2, edge, ones, dx);
        assert_true(dx[0] == 1 && dx[1] == 1);
    }
}

/* The memory before and behind `n` elements is unchanged. */
static void check_guards(const char *set, const char *name, const float *around, int64_t n)
{
    for (int64_t i = 0; i < GUARD; i++)
        if (around[i] != -7 || around[GUARD + n + i] != -7)
            fail_msg("%s, %s: writes outside of %" PRId64 " elements", set, name, n);
}

static void check_places(int k, const struct function *f)
{
    static const float mixed[] = {-1.5f, 0.25f, 3e5f, -14, 1e-40f, -0.0f, NAN, 0.7f, INFINITY, -0.875f, 5};
    chain *kernel = kernel_of(sets[k]->gradients, f);
    float x[LONGEST + 4], dy[LONGEST + 4], alone[LONGEST + 4], around[LONGEST + 2 * GUARD];
    draw(COUNT(dy), dy);
    for (int64_t i = 0; i < COUNT(x); i++) {
        x[i] = mixed[i % COUNT(mixed)] * (1 + 0.01f * (float)(i / COUNT(mixed)));
        kernel(1, x + i, dy + i, alone + i);
    }
    for (int64_t n = 0; n <= LONGEST; n++)
        for (int64_t offset = 0; offset < 4; offset++) {
            for (int64_t i = 0; i < COUNT(around); i++)
                around[i] = -7;
            kernel(n, x + offset, dy + offset, around + GUARD);
            if (!same_bits(around + GUARD, alone + offset, n))
                fail_msg("%s, %s: an element depends on its place (%" PRId64 " from %" PRId64 ")",
                         sets[k]->name, f->name, n, offset);
            check_guards(sets[k]->name, f->name, around, n);
            memcpy(around + GUARD, dy + offset, (size_t)n * sizeof *dy);
            kernel(n, x + offset, around + GUARD, around + GUARD);
            assert_true(same_bits(around + GUARD, alone + offset, n));
            check_guards(sets[k]->name, f->name, around, n);
        }
}

/* The two results of gelu_again are those of gelu and of its derivative, to the last bit. */
static void gelu_again_is_both(void **state)
{
    (void)state;
    static const float mixed[] = {-1.5f, 0.25f, 3e5f, -14, 1e-40f, -0.0f, NAN, 0.7f, -INFINITY, -13.14f, 5};
    float x[LONGEST], dy[LONGEST], y[LONGEST], dx[LONGEST], around_y[LONGEST + 2 * GUARD],
        around_dx[LONGEST + 2 * GUARD];
    draw(LONGEST, dy);
    for (int64_t i = 0; i < LONGEST; i++)
        x[i] = mixed[i % COUNT(mixed)] * (1 + 0.01f * (float)(i / COUNT(mixed)));
    for (int k = 0; k < set_count; k++)
        for (int64_t n = 0; n <= LONGEST; n++) {
            for (int64_t i = 0; i < COUNT(around_y); i++)
                around_y[i] = around_dx[i] = -7;
            sets[k]->vector->gelu(n, x, y);
            sets[k]->gradients->gelu(n, x, dy, dx);
            sets[k]->gradients->gelu_again(n, x, dy, around_y + GUARD, around_dx + GUARD);
            assert_true(same_bits(around_y + GUARD, y, n) && same_bits(around_dx + GUARD, dx, n));
            check_guards(sets[k]->name, "gelu_again", around_y, n);
            check_guards(sets[k]->name, "gelu_again", around_dx, n);
        }
}

static void elements_do_not_depend_on_their_place(void **state)
{
    (void)state;
    for (int k = 0; k < set_count; k++)
        for (const struct function *f = functions; f < functions + COUNT(functions); f++)
            check_places(k, f);
}

/* --- rows --- */

#define ROWS 3

/* Rows of n floats with a stride each, between guards. p, x and dy are read. */
typedef struct rows {
    int64_t n, x_stride, dy_stride, dx_stride;
    float scale; /* of softmax */
    float x[ROWS * (LONGEST + 4)], dy[ROWS * (LONGEST + 4)], gamma[LONGEST];
    float dx[ROWS * (LONGEST + 4) + 2 * GUARD], dgamma[LONGEST + 2 * GUARD], dbeta[LONGEST + 2 * GUARD];
    double gamma_expected[LONGEST], gamma_error[LONGEST]; /* the sums of the rows, and their largest error */
} rows;

typedef void reference_row(const rows *r, int64_t row, double depth, double *expected, double *error,
                           rows *sums);

static const float *dy_of(const rows *r, int64_t row)
{
    return r->dy + row * r->dy_stride;
}

/* How many roundings a sum over a row has: `width` lanes, then their halves. */
static double depth_of(const rows *r, int width)
{
    return ceil((double)r->n / width) + log2(width) + 1;
}

/* scale p (dy - Σ p dy) */
static void softmax_row(const rows *r, int64_t row, double depth, double *expected, double *error, rows *sums)
{
    const float *p = r->x + row * r->x_stride, *dy = dy_of(r, row);
    double mean = 0, size = 0;
    (void)sums;
    for (int64_t i = 0; i < r->n; i++) {
        mean += (double)p[i] * (double)dy[i];
        size += fabs((double)p[i] * (double)dy[i]);
    }
    for (int64_t i = 0; i < r->n; i++) {
        double factor = (double)r->scale * (double)p[i];
        expected[i] = factor * ((double)dy[i] - mean);
        error[i] = UNIT * fabs(factor) * (depth * size + 3 * fabs((double)dy[i] - mean));
    }
}

/* dx = a (g - mean g) - c k Σ g c with g = gamma dy and c = x - mean; the factors say which norm it is. The
 * error of the mean of x is one of every c. */
static void norm_row(const rows *r, int64_t row, double depth, bool simple, double *expected, double *error,
                     rows *sums)
{
    const float *x = r->x + row * r->x_stride, *dy = dy_of(r, row);
    double n = (double)r->n, mean = 0, size = 0, squares = 0, g_sum = 0, g_size = 0, product = 0,
           products = 0;
    for (int64_t i = 0; i < r->n; i++) {
        mean += (double)x[i] / n;
        size += fabs((double)x[i]) / n;
    }
    for (int64_t i = 0; i < r->n; i++) {
        double c = (double)x[i] - mean, g = (double)dy[i] * (double)r->gamma[i];
        squares += c * c;
        g_sum += g;
        g_size += fabs(g);
        product += g * c;
        products += fabs(g) * (fabs(c) + size);
    }
    double deviation = sqrt(squares / (n - 1));
    double a = simple ? 1 / (deviation + 1e-5) : 1 / sqrt(squares / n + 1e-5);
    double k = !simple ? a * a * a / n : deviation == 0 ? 0 : a * a / (deviation * (n - 1));
    for (int64_t i = 0; i < r->n; i++) {
        double c = (double)x[i] - mean, d = (double)dy[i], g = d * (double)r->gamma[i];
        expected[i] = a * (g - g_sum / n) - (k == 0 ? 0 : c * k * product);
        error[i] = UNIT * ((depth + 6) * a * (fabs(g) + g_size / n) +
                           (2 * depth + 10) * k * products * (fabs(c) + size));
        sums->gamma_expected[i] += d * c * a;
        sums->gamma_error[i] += UNIT * fabs(d) * a * ((depth + 6) * fabs(c) + depth * size);
        sums->gamma_error[i] += UNIT * fabs(sums->gamma_expected[i]);
    }
}

static void simple_norm_row(const rows *r, int64_t row, double depth, double *expected, double *error,
                            rows *sums)
{
    norm_row(r, row, depth, true, expected, error, sums);
}

static void layer_norm_row(const rows *r, int64_t row, double depth, double *expected, double *error,
                           rows *sums)
{
    norm_row(r, row, depth, false, expected, error, sums);
}

typedef enum row_kernel { SOFTMAX, SIMPLE_LAYER_NORM, LAYER_NORM, ROW_KERNELS } row_kernel;

static const struct {
    const char *name;
    reference_row *reference;
    int64_t least; /* length of a row */
} row_kernels[ROW_KERNELS] = {{"softmax", softmax_row, 0},
                              {"simple_layer_norm", simple_norm_row, 2},
                              {"layer_norm", layer_norm_row, 0}};

static void run_rows(const nft_gradient_kernels *set, row_kernel kernel, rows *r, int64_t count,
                     const float *dy, int64_t dy_stride)
{
    float *dx = r->dx + GUARD, *dgamma = r->dgamma + GUARD, *dbeta = r->dbeta + GUARD;
    if (kernel == SOFTMAX)
        set->softmax(count, r->n, r->scale, r->x, r->x_stride, dy, dy_stride, dx, r->dx_stride);
    else
        (kernel == LAYER_NORM ? set->layer_norm : set->simple_layer_norm)(
            count, r->n, r->gamma, r->x, r->x_stride, dy, dy_stride, dx, r->dx_stride, dgamma, dbeta);
}

static void clear_results(rows *r)
{
    for (int64_t i = 0; i < COUNT(r->dx); i++)
        r->dx[i] = -7;
    for (int64_t i = 0; i < COUNT(r->dgamma); i++) {
        bool inside = i >= GUARD && i < GUARD + r->n;
        r->dgamma[i] = inside ? (float)(i % 5) - 1.3f : -7;
        r->dbeta[i] = inside ? (float)(i % 3) + 0.7f : -7;
    }
}

/* dgamma and dbeta add to the old numbers; dbeta exactly, because it only adds. */
static void check_sums(int k, row_kernel kernel, const rows *before, const rows *r, int64_t count)
{
    const char *set = sets[k]->name, *name = row_kernels[kernel].name;
    check_guards(set, name, r->dgamma, r->n);
    check_guards(set, name, r->dbeta, r->n);
    for (int64_t i = 0; i < r->n; i++) {
        float dbeta = 0;
        for (int64_t row = 0; row < count && kernel != SOFTMAX; row++)
            dbeta += dy_of(before, row)[i];
        dbeta += before->dbeta[GUARD + i];
        if (!(isnan(dbeta) && isnan(r->dbeta[GUARD + i])) && dbeta != r->dbeta[GUARD + i])
            fail_msg("%s, %s: dbeta %" PRId64 " is %a, expected %a", set, name, i,
                     (double)r->dbeta[GUARD + i], (double)dbeta);
        if (!is_near(r->dgamma[GUARD + i], r->gamma_expected[i], r->gamma_error[i]))
            fail_msg("%s, %s: dgamma %" PRId64 " of %" PRId64 " is %a, expected %a within %a", set, name, i,
                     r->n, (double)r->dgamma[GUARD + i], r->gamma_expected[i], r->gamma_error[i]);
    }
}

/* The gaps between rows are not written. */
static void check_gaps(int k, row_kernel kernel, const rows *r, int64_t count)
{
    for (int64_t i = 0; i < COUNT(r->dx); i++) {
        int64_t at = i - GUARD;
        bool inside = at >= 0 && at < count * r->dx_stride && at % r->dx_stride < r->n;
        if (!inside && r->dx[i] != -7)
            fail_msg("%s, %s: writes outside of its rows of %" PRId64, sets[k]->name,
                     row_kernels[kernel].name, r->n);
    }
}

static void check_rows(int k, row_kernel kernel, const rows *given, int64_t count)
{
    rows r = *given, alone;
    double expected[LONGEST], error[LONGEST], depth = depth_of(given, sets[k]->vector->width);
    clear_results(&r);
    rows before = r;
    for (int64_t i = 0; i < r.n; i++) {
        r.gamma_expected[i] = (double)r.dgamma[GUARD + i];
        r.gamma_error[i] = 0;
    }
    run_rows(sets[k]->gradients, kernel, &r, count, r.dy, r.dy_stride);
    for (int64_t row = 0; row < count; row++) {
        row_kernels[kernel].reference(given, row, depth, expected, error, &r);
        for (int64_t i = 0; i < r.n; i++) {
            float found = r.dx[GUARD + row * r.dx_stride + i];
            if (!is_near(found, expected[i], error[i]))
                fail_msg("%s, %s: element %" PRId64 " of %" PRId64 " is %a, expected %a within %a",
                         sets[k]->name, row_kernels[kernel].name, i, r.n, (double)found, expected[i],
                         error[i]);
        }
    }
    check_gaps(k, kernel, &r, count);
    check_sums(k, kernel, &before, &r, count);

    /* in place, the same bits */
    alone = *given;
    clear_results(&alone);
    alone.dx_stride = given->dy_stride;
    memcpy(alone.dx + GUARD, given->dy, sizeof given->dy);
    run_rows(sets[k]->gradients, kernel, &alone, count, alone.dx + GUARD, alone.dx_stride);
    for (int64_t row = 0; row < count; row++)
        assert_true(
            same_bits(alone.dx + GUARD + row * alone.dx_stride, r.dx + GUARD + row * r.dx_stride, r.n));
    assert_true(same_bits(alone.dgamma, r.dgamma, COUNT(r.dgamma)));
    assert_true(same_bits(alone.dbeta, r.dbeta, COUNT(r.dbeta)));
}

/* softmax's p: positive, with the sum 1. */
static void make_probabilities(rows *r)
{
    for (int64_t row = 0; row < ROWS; row++) {
        float *p = r->x + row * r->x_stride, sum = 0;
        for (int64_t i = 0; i < r->n; i++)
            sum += p[i] = p[i] * p[i];
        for (int64_t i = 0; i < r->n; i++)
            p[i] /= sum;
    }
}

static rows make_rows(row_kernel kernel, int64_t n, int64_t gap)
{
    rows r = {.n = n, .x_stride = n + gap, .dy_stride = n + gap * 2 % 3, .dx_stride = n + gap * 3 % 4};
    r.dx_stride += r.dx_stride == 0;
    r.scale = 0.37f;
    draw(COUNT(r.x), r.x);
    draw(COUNT(r.dy), r.dy);
    draw(COUNT(r.gamma), r.gamma);
    if (kernel == SOFTMAX)
        make_probabilities(&r);
    return r;
}

static void rows_are_right(void **state)
{
    (void)state;
    for (int k = 0; k < set_count; k++)
        for (row_kernel kernel = 0; kernel < ROW_KERNELS; kernel++)
            for (int64_t n = row_kernels[kernel].least; n <= LONGEST; n++)
                for (int64_t gap = 0; gap < 4; gap++) {
                    rows r = make_rows(kernel, n, gap);
                    for (int64_t count = 0; count <= ROWS; count++)
                        check_rows(k, kernel, &r, count);
                }
}

/* A row is the same wherever it stands, and so are its neighbours whatever is in it. */
static void rows_do_not_depend_on_each_other(void **state)
{
    (void)state;
    for (int k = 0; k < set_count; k++)
        for (row_kernel kernel = 0; kernel < ROW_KERNELS; kernel++)
            for (int64_t n = 2; n <= LONGEST; n += 17) {
                rows r = make_rows(kernel, n, 1), other = r;
                memcpy(other.x + 2 * r.x_stride, r.x, (size_t)n * sizeof *r.x);
                memcpy(other.dy + 2 * r.dy_stride, r.dy, (size_t)n * sizeof *r.dy);
                other.x[r.x_stride] = NAN;
                other.x[0] *= 2;
                run_rows(sets[k]->gradients, kernel, &r, ROWS, r.dy, r.dy_stride);
                run_rows(sets[k]->gradients, kernel, &other, ROWS, other.dy, other.dy_stride);
                assert_true(same_bits(r.dx + GUARD, other.dx + GUARD + 2 * r.dx_stride, n));
                assert_true(isnan(other.dx[GUARD + r.dx_stride + n - 1]));
                assert_false(same_bits(r.dx + GUARD, other.dx + GUARD, n));
            }
}

/* As many rows as a large layer has tokens: each equals the row by itself, and sums have the error of few
 * roundings. */
static void many_rows(void **state)
{
    (void)state;
    enum { MANY = 70001, N = 19 };
    static float x[MANY * N], dy[MANY * N], dx[MANY * N];
    float gamma[N], alone[N], unused[2][N] = {{0}};
    double worst = 0;
    draw(MANY * N, x);
    draw(MANY * N, dy);
    draw(N, gamma);
    for (int64_t i = 0; i < MANY * N; i++)
        dy[i] = fabsf(dy[i]);
    for (int k = 0; k < set_count; k++)
        for (int kernel = 0; kernel < 2; kernel++) {
            float dgamma[N] = {0}, dbeta[N] = {0};
            const nft_gradient_kernels *set = sets[k]->gradients;
            (kernel ? set->layer_norm : set->simple_layer_norm)(MANY, N, gamma, x, N, dy, N, dx, N, dgamma,
                                                                dbeta);
            for (int64_t r = 0; r < MANY; r += r < 70 ? 1 : 997) {
                (kernel ? set->layer_norm : set->simple_layer_norm)(1, N, gamma, x + r * N, N, dy + r * N, N,
                                                                    alone, N, unused[0], unused[1]);
                assert_true(same_bits(alone, dx + r * N, N));
            }
            for (int64_t i = 0; i < N; i++) {
                double sum = 0;
                for (int64_t r = 0; r < MANY; r++)
                    sum += (double)dy[r * N + i];
                worst = fmax(worst, fabs((double)dbeta[i] - sum) / sum);
            }
        }
    print_message("the largest relative error of dbeta is %.1e\n", worst);
    assert_true(worst < 2e-6);
}

/* NaN and infinities spread as in double; denormals keep their values. */
static void rows_are_right_at_special_values(void **state)
{
    (void)state;
    const float values[] = {NAN, INFINITY, -INFINITY, 0, -0.0f, 1e-40f, 0x1p-149f, 1e-20f};
    for (int k = 0; k < set_count; k++)
        for (row_kernel kernel = 0; kernel < ROW_KERNELS; kernel++)
            for (int64_t n = 2; n < 40; n += 7)
                for (int64_t v = 0; v < COUNT(values); v++)
                    for (int where = 0; where < 2; where++) {
                        rows r = make_rows(kernel, n, 1);
                        (where ? r.x : r.dy)[n / 2] = values[v];
                        check_rows(k, kernel, &r, ROWS);
                    }
}

static void constant_and_tiny_rows(void **state)
{
    (void)state;
    const float values[] = {0, 0.5f, -3, 4096, 1e-40f};
    for (int k = 0; k < set_count; k++)
        for (row_kernel kernel = SIMPLE_LAYER_NORM; kernel < ROW_KERNELS; kernel++)
            for (int64_t n = 2; n <= LONGEST; n++)
                for (int64_t v = 0; v < COUNT(values); v++) {
                    rows r = make_rows(kernel, n, 1), tiny = r;
                    for (int64_t i = 0; i < COUNT(r.x); i++) {
                        r.x[i] = values[v];
                        tiny.x[i] = values[4] * (float)(i % 7);
                    }
                    check_rows(k, kernel, &r, ROWS);
                    check_rows(k, kernel, &tiny, ROWS);
                }
}

/* --- updates --- */

/* Two updates of Adam, in double. */
static double updated(const nft_adam *a, double p, double gradient)
{
    double m = 0, v = 0;
    for (int step = 0; step < 2; step++) {
        p *= (double)a->shrink;
        double g = (double)a->scale * gradient + (double)a->decay * p;
        m += (double)a->rise1 * (g - m);
        v = (double)a->beta2 * v + (double)a->rise2 * g * g;
        p -= (double)a->step_size * m / (sqrt(v) / (double)a->correction + (double)a->eps);
    }
    return p;
}

static void updates_are_right_and_the_same_in_every_set(void **state)
{
    (void)state;
    const nft_adam adam = {.scale = 0.25f,
                           .shrink = 0.75f,
                           .decay = 0.5f,
                           .rise1 = 0.1f,
                           .beta2 = 0.9f,
                           .rise2 = 0.1f,
                           .step_size = 0.01f,
                           .correction = 0.5f,
                           .eps = 0.125f};
    float start[LONGEST], gradients[LONGEST], first[LONGEST];
    draw(LONGEST, start);
    draw(LONGEST, gradients);
    for (int k = 0; k < set_count; k++)
        for (int64_t n = 0; n <= LONGEST; n++) {
            float m[LONGEST] = {0}, v[LONGEST] = {0}, p[LONGEST];
            memcpy(p, start, sizeof p);
            for (int step = 0; step < 2; step++)
                sets[k]->gradients->adam(&adam, n, gradients, m, v, p);
            for (int64_t i = 0; i < n; i++)
                assert_true(is_near(p[i], updated(&adam, (double)start[i], (double)gradients[i]), 4 * UNIT));
            assert_true(same_bits(p + n, start + n, LONGEST - n));
            if (n == LONGEST && k == 0)
                memcpy(first, p, sizeof p);
            else if (n == LONGEST)
                assert_true(same_bits(p, first, n));
        }
}

int main(void)
{
    find_sets();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(derivatives_are_right_everywhere),
        cmocka_unit_test(derivatives_are_right_in_the_usual_range),
        cmocka_unit_test(derivatives_are_right_at_special_values),
        cmocka_unit_test(elements_do_not_depend_on_their_place),
        cmocka_unit_test(gelu_again_is_both),
        cmocka_unit_test(rows_are_right),
        cmocka_unit_test(many_rows),
        cmocka_unit_test(rows_do_not_depend_on_each_other),
        cmocka_unit_test(rows_are_right_at_special_values),
        cmocka_unit_test(constant_and_tiny_rows),
        cmocka_unit_test(updates_are_right_and_the_same_in_every_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
