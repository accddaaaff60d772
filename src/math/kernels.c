/* The kernels of vector.h, compiled once for each instruction set with NFT_KERNELS_SET its name. Elements
 * that do not fill a vector are put into one, so every element goes through the same operations. */
#include "math/vector.h"

#include "math/vector_functions.h"

/* --- elementwise, one array --- */

typedef floats map_function(floats x);

INLINE void map(int64_t n, const float *x, float *y, map_function *f)
{
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        store(y + i, f(load(x + i)));
    if (i < n)
        store_part(y + i, n - i, f(load_part(x + i, n - i, fill(0))));
}

INLINE floats vector_relu(floats x)
{
    return larger(fill(0), x);
}

static void relu(int64_t n, const float *x, float *y)
{
    map(n, x, y, vector_relu);
}

static void gelu(int64_t n, const float *x, float *y)
{
    map(n, x, y, vector_gelu);
}

static void sigmoid(int64_t n, const float *x, float *y)
{
    map(n, x, y, vector_sigmoid);
}

static void hyperbolic_tangent(int64_t n, const float *x, float *y)
{
    map(n, x, y, vector_tanh);
}

static void exponential(int64_t n, const float *x, float *y)
{
    map(n, x, y, vector_exp);
}

/* --- elementwise, two arrays --- */

typedef floats combine_function(floats a, floats x, floats y);

INLINE void combine(int64_t n, float a, const float *x, float *y, combine_function *f)
{
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        store(y + i, f(fill(a), load(x + i), load(y + i)));
    if (i < n)
        store_part(y + i, n - i,
                   f(fill(a), load_part(x + i, n - i, fill(0)), load_part(y + i, n - i, fill(0))));
}

INLINE floats scaled(floats a, floats x, floats y)
{
    (void)y;
    return a * x;
}

INLINE floats added(floats a, floats x, floats y)
{
    (void)a;
    return y + x;
}

INLINE floats multiplied(floats a, floats x, floats y)
{
    (void)a;
    return y * x;
}

static void copy_scaled(int64_t n, float a, const float *x, float *y)
{
    combine(n, a, x, y, scaled);
}

static void add(int64_t n, const float *x, float *y)
{
    combine(n, 0, x, y, added);
}

static void add_two(int64_t n, const float *x, const float *z, float *y)
{
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        store(y + i, load(x + i) + load(z + i));
    if (i < n)
        store_part(y + i, n - i, load_part(x + i, n - i, fill(0)) + load_part(z + i, n - i, fill(0)));
}

static void multiply(int64_t n, const float *x, float *y)
{
    combine(n, 0, x, y, multiplied);
}

static void add_bias(int64_t rows, int64_t n, const float *bias, float *y, int64_t stride)
{
    for (int64_t r = 0; r < rows; r++)
        combine(n, 0, bias, y + r * stride, added);
}

/* --- sine and cosine --- */

/* y with f(x) in the lanes that the vector's reduction does not reach; not inlined, because they are rare. */
static __attribute__((noinline)) floats far_lanes(floats x, floats y, double (*f)(double))
{
    for (int i = 0; i < LANES; i++)
        if (fabsf(x[i]) > FAR_ANGLE)
            y[i] = (float)f((double)x[i]);
    return y;
}

INLINE sine_cosine any_sincos(floats x)
{
    sine_cosine result = vector_sincos(x);
    if (any(less(fill(FAR_ANGLE), magnitude(x)))) {
        result.sine = far_lanes(x, result.sine, sin);
        result.cosine = far_lanes(x, result.cosine, cos);
    }
    return result;
}

static void sincos_radians(int64_t n, const float *x, float *sine, float *cosine)
{
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        sine_cosine result = any_sincos(load(x + i));
        if (sine)
            store(sine + i, result.sine);
        if (cosine)
            store(cosine + i, result.cosine);
    }
    if (i < n) {
        sine_cosine result = any_sincos(load_part(x + i, n - i, fill(0)));
        if (sine)
            store_part(sine + i, n - i, result.sine);
        if (cosine)
            store_part(cosine + i, n - i, result.cosine);
    }
}

static void sincos_turns(int64_t n, const float *x, float *sine, float *cosine)
{
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        sine_cosine result = vector_sincos_turns(load(x + i));
        store(sine + i, result.sine);
        store(cosine + i, result.cosine);
    }
    if (i < n) {
        sine_cosine result = vector_sincos_turns(load_part(x + i, n - i, fill(0)));
        store_part(sine + i, n - i, result.sine);
        store_part(cosine + i, n - i, result.cosine);
    }
}

/* --- sums --- */

typedef floats accumulate_function(floats sum, floats x, floats z);

/* Four sums side by side, then one over the rest. The lanes behind the end hold `center` and 0. The sum is
 * that of the lanes. */
INLINE floats accumulate(int64_t n, const float *x, const float *z, float center, accumulate_function *f)
{
    floats sums[4] = {fill(0), fill(0), fill(0), fill(0)};
    int64_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES)
        for (int k = 0; k < 4; k++)
            sums[k] = f(sums[k], load(x + i + k * LANES), z ? load(z + i + k * LANES) : fill(center));
    for (; i + LANES <= n; i += LANES)
        sums[0] = f(sums[0], load(x + i), z ? load(z + i) : fill(center));
    if (i < n)
        sums[1] = f(sums[1], load_part(x + i, n - i, fill(center)),
                    z ? load_part(z + i, n - i, fill(0)) : fill(center));
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

INLINE floats plus(floats sum, floats x, floats z)
{
    (void)z;
    return sum + x;
}

INLINE floats plus_product(floats sum, floats x, floats z)
{
    return fused(x, z, sum);
}

INLINE floats plus_squared_difference(floats sum, floats x, floats z)
{
    floats difference = x - z;
    return fused(difference, difference, sum);
}

static float sum(int64_t n, const float *x)
{
    return sum_lanes(accumulate(n, x, NULL, 0, plus));
}

static float dot(int64_t n, const float *x, const float *z)
{
    return sum_lanes(accumulate(n, x, z, 0, plus_product));
}

/* --- products of rows --- */

#define PRODUCT_COLUMNS 4
#if LANES == 16 || defined(__aarch64__)
#define PRODUCT_ROWS 4 /* 16 accumulators of 32 registers */
#else
#define PRODUCT_ROWS 3 /* 12 of 16 */
#endif
#define PRODUCTS (PRODUCT_ROWS * PRODUCT_COLUMNS)
#define SUMMED ((PRODUCTS + LANES - 1) / LANES * LANES) /* whole vectors of them */

/* Rows of a matrix that take part in a tile; where there are fewer, the last one again. */
typedef struct tile_rows {
    const float *at[4];
} tile_rows;

INLINE tile_rows rows_of_tile(const float *x, int64_t stride, int64_t first, int64_t count)
{
    tile_rows t;
    UNROLLED (i, 4)
        t.at[i] = x + (first + i < count ? first + i : count - 1) * stride;
    return t;
}

INLINE void add_products(floats sums[SUMMED], const floats a[PRODUCT_ROWS], const floats b[PRODUCT_COLUMNS])
{
    UNROLLED (r, PRODUCT_ROWS)
        UNROLLED (c, PRODUCT_COLUMNS)
            sums[r * PRODUCT_COLUMNS + c] = fused(a[r], b[c], sums[r * PRODUCT_COLUMNS + c]);
}

/* products: PRODUCT_ROWS rows of PRODUCT_COLUMNS. */
INLINE void product_tile(int64_t k, tile_rows a, tile_rows b, float *products)
{
    floats sums[SUMMED], x[PRODUCT_ROWS], y[PRODUCT_COLUMNS];
    int64_t i = 0;
    UNROLLED (t, SUMMED)
        sums[t] = fill(0);
    for (; i + LANES <= k; i += LANES) {
        UNROLLED (r, PRODUCT_ROWS)
            x[r] = load(a.at[r] + i);
        UNROLLED (c, PRODUCT_COLUMNS)
            y[c] = load(b.at[c] + i);
        add_products(sums, x, y);
    }
    if (i < k) {
        UNROLLED (r, PRODUCT_ROWS)
            x[r] = load_part(a.at[r] + i, k - i, fill(0));
        UNROLLED (c, PRODUCT_COLUMNS)
            y[c] = load_part(b.at[c] + i, k - i, fill(0));
        add_products(sums, x, y);
    }
    UNROLLED (t, SUMMED / LANES)
        store(products + t * LANES, sum_each(sums + t * LANES));
}

/* One row of a tile; a whole one in one move. */
INLINE void store_products(int64_t n, const float *products, bool adds, float *c)
{
    if (!adds && n == PRODUCT_COLUMNS)
        memcpy(c, products, PRODUCT_COLUMNS * sizeof *c);
    else
        for (int64_t i = 0; i < n; i++)
            c[i] = adds ? c[i] + products[i] : products[i];
}

static void row_products(int64_t m, int64_t n, int64_t k, const float *a, int64_t a_stride, const float *b,
                         int64_t b_stride, bool adds, float *c, int64_t c_stride)
{
    for (int64_t row = 0; row < m; row += PRODUCT_ROWS) {
        tile_rows rows = rows_of_tile(a, a_stride, row, m);
        int64_t height = m - row < PRODUCT_ROWS ? m - row : PRODUCT_ROWS;
        for (int64_t column = 0; column < n; column += PRODUCT_COLUMNS) {
            float products[SUMMED];
            int64_t width = n - column < PRODUCT_COLUMNS ? n - column : PRODUCT_COLUMNS;
            product_tile(k, rows, rows_of_tile(b, b_stride, column, n), products);
            for (int64_t r = 0; r < height; r++)
                store_products(width, products + r * PRODUCT_COLUMNS, adds,
                               c + (row + r) * c_stride + column);
        }
    }
}

/* --- sums over rows --- */

#define SUM_VECTORS 4
#define LEAF_ROWS 64 /* which are summed one after the other */

/* Rows of half a vector: those of heads of 8 channels, where vectors have 16. */
typedef float half_floats __attribute__((vector_size(LANES / 2 * sizeof(float))));

INLINE half_floats load_half(const float *p)
{
    half_floats v;
    memcpy(&v, p, sizeof v);
    return v;
}

INLINE void store_half(float *p, half_floats v)
{
    memcpy(p, &v, sizeof v);
}

/* y = x, or y += x */
INLINE void move_row(int64_t n, bool adds, const float *x, float *y)
{
    int64_t i = 0;
    if (n == LANES / 2) {
        half_floats v = load_half(x);
        store_half(y, adds ? load_half(y) + v : v);
        return;
    }
    for (; i + LANES <= n; i += LANES)
        store(y + i, adds ? load(y + i) + load(x + i) : load(x + i));
    if (i < n) {
        floats v = load_part(x + i, n - i, fill(0));
        store_part(y + i, n - i, adds ? load_part(y + i, n - i, fill(0)) + v : v);
    }
}

INLINE void move_rows(int64_t rows, int64_t n, int groups, bool adds, const float *x, int64_t x_stride,
                      int64_t x_group, float *y, int64_t y_stride, int64_t y_group)
{
    for (int64_t r = 0; r < rows; r++, x += x_stride, y += y_stride)
        for (int g = 0; g < groups; g++)
            move_row(n, adds, x + g * x_group, y + g * y_group);
}

/* The loops over a few vectors take longer than their moves, so a row of one head has a constant length. */
#define MOVE_ROWS_OF(count)                                                                                  \
    if (n == (count)) {                                                                                      \
        move_rows(rows, count, groups, adds, x, x_stride, x_group, y, y_stride, y_group);                    \
        return;                                                                                              \
    }

/* The same with constants; `groups` is one where this is inlined. */
INLINE void move_short_rows(int64_t rows, int64_t n, int groups, bool adds, const float *x, int64_t x_stride,
                            int64_t x_group, float *y, int64_t y_stride, int64_t y_group)
{
    MOVE_ROWS_OF(LANES / 2)
    MOVE_ROWS_OF(LANES)
    MOVE_ROWS_OF(2 * LANES)
    for (int g = 0; g < groups; g++)
        move_rows(rows, n, 1, adds, x + g * x_group, x_stride, 0, y + g * y_group, y_stride, 0);
}

static void copy_rows(int64_t rows, int64_t n, const float *x, int64_t x_stride, float *y, int64_t y_stride)
{
    move_short_rows(rows, n, 1, false, x, x_stride, 0, y, y_stride, 0);
}

static void add_rows(int64_t rows, int64_t n, const float *x, int64_t x_stride, float *y, int64_t y_stride)
{
    move_short_rows(rows, n, 1, true, x, x_stride, 0, y, y_stride, 0);
}

static void copy_groups(int64_t rows, int64_t n, int groups, const float *x, int64_t x_stride,
                        int64_t x_group, float *y, int64_t y_stride, int64_t y_group)
{
    if (groups == 3)
        move_short_rows(rows, n, 3, false, x, x_stride, x_group, y, y_stride, y_group);
    else
        for (int g = 0; g < groups; g++)
            copy_rows(rows, n, x + g * x_group, x_stride, y + g * y_group, y_stride);
}

static void add_groups(int64_t rows, int64_t n, int groups, const float *x, int64_t x_stride, int64_t x_group,
                       float *y, int64_t y_stride, int64_t y_group)
{
    if (groups == 3)
        move_short_rows(rows, n, 3, true, x, x_stride, x_group, y, y_stride, y_group);
    else
        for (int g = 0; g < groups; g++)
            add_rows(rows, n, x + g * x_group, x_stride, y + g * y_group, y_stride);
}

/* The sum of some rows of vectors. Halves are summed by themselves, so that the rounding errors of many rows
 * do not add up. A leaf stays in registers. */
typedef struct strip {
    floats sums[SUM_VECTORS];
} strip;

INLINE strip sum_leaf(int64_t rows, int vectors, const float *x, int64_t stride)
{
    strip s = {{fill(0), fill(0), fill(0), fill(0)}};
    for (int64_t r = 0; r < rows; r++)
        for (int k = 0; k < vectors; k++)
            s.sums[k] += load(x + r * stride + k * LANES);
    return s;
}

static strip sum_strip(int64_t rows, int vectors, const float *x, int64_t stride)
{
    if (rows <= LEAF_ROWS)
        return vectors == 1 ? sum_leaf(rows, 1, x, stride) : sum_leaf(rows, SUM_VECTORS, x, stride);
    int64_t half = rows / 2;
    strip a = sum_strip(half, vectors, x, stride),
          b = sum_strip(rows - half, vectors, x + half * stride, stride);
    for (int k = 0; k < vectors; k++)
        a.sums[k] += b.sums[k];
    return a;
}

/* The same for fewer numbers than a vector has. */
static floats sum_rest(int64_t rows, int64_t n, const float *x, int64_t stride)
{
    floats sum = fill(0);
    if (rows > LEAF_ROWS) {
        int64_t half = rows / 2;
        return sum_rest(half, n, x, stride) + sum_rest(rows - half, n, x + half * stride, stride);
    }
    for (int64_t r = 0; r < rows; r++)
        sum += load_part(x + r * stride, n, fill(0));
    return sum;
}

static void sum_rows(int64_t rows, int64_t n, const float *x, int64_t stride, float *y)
{
    int64_t i = 0;
    while (i + LANES <= n) {
        int vectors = i + SUM_VECTORS * LANES <= n ? SUM_VECTORS : 1;
        strip s = sum_strip(rows, vectors, x + i, stride);
        for (int k = 0; k < vectors; k++, i += LANES)
            store(y + i, load(y + i) + s.sums[k]);
    }
    if (i < n)
        store_part(y + i, n - i, load_part(y + i, n - i, fill(0)) + sum_rest(rows, n - i, x + i, stride));
}

/* --- rows --- */

/* The largest of the lanes is the largest number. */
INLINE floats largest_scaled(int64_t n, float factor, const float *y)
{
    floats largest = fill(factor * y[0]);
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        largest = larger(largest, factor * load(y + i));
    return i < n ? larger(largest, factor * load_part(y + i, n - i, fill(y[0]))) : largest;
}

/* y = e^(factor y - largest); the sum of the lanes is theirs. */
INLINE floats exp_differences(int64_t n, float factor, float largest, float *y)
{
    floats total = fill(0);
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        floats e = vector_exp(factor * load(y + i) - largest);
        store(y + i, e);
        total += e;
    }
    if (i < n) {
        floats e = vector_exp(factor * load_part(y + i, n - i, fill(0)) - largest);
        store_part(y + i, n - i, e);
        total += blend(first_lanes(n - i), e, fill(0));
    }
    return total;
}

/* The lanes of several rows are reduced together. A NaN or +∞ makes the row's sum NaN, and so the row, as in
 * PyTorch. */
static void softmax(int64_t rows, int64_t n, float factor, float *y, int64_t stride)
{
    for (int64_t first = 0; first < rows && n > 0; first += LANES, y += LANES * stride) {
        int64_t count = rows - first < LANES ? rows - first : LANES;
        floats lanes[LANES];
        UNROLLED (r, LANES) /* no row that is not there divides by 0 */
            lanes[r] = fill(1);
        for (int64_t r = 0; r < count; r++)
            lanes[r] = largest_scaled(n, factor, y + r * stride);
        floats largest = largest_each(lanes);
        for (int64_t r = 0; r < count; r++)
            lanes[r] = exp_differences(n, factor, largest[r], y + r * stride);
        floats shares = 1 / sum_each(lanes);
        for (int64_t r = 0; r < count; r++)
            copy_scaled(n, shares[r], y + r * stride, y + r * stride);
    }
}

INLINE floats normalised(floats x, float mean, float factor, floats gamma, floats beta)
{
    return fused((x - mean) * factor, gamma, beta);
}

INLINE void normalise(int64_t n, float mean, float factor, const float *gamma, const float *beta,
                      const float *x, float *y)
{
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        store(y + i, normalised(load(x + i), mean, factor, load(gamma + i), load(beta + i)));
    if (i < n) {
        floats zero = fill(0);
        store_part(y + i, n - i,
                   normalised(load_part(x + i, n - i, zero), mean, factor, load_part(gamma + i, n - i, zero),
                              load_part(beta + i, n - i, zero)));
    }
}

/* Means of LANES rows, and Σ (x - mean)². The lanes behind `rows` are 0. */
typedef struct moments {
    floats means, squares;
} moments;

/* The lanes of all rows are summed together: of short rows that takes longer than anything else. */
INLINE moments measure_rows(int64_t rows, int64_t n, const float *x, int64_t stride)
{
    floats sums[LANES] = {0}, squares[LANES] = {0};
    for (int64_t r = 0; r < rows; r++)
        sums[r] = accumulate(n, x + r * stride, NULL, 0, plus);
    floats means = sum_each(sums) / (float)n;
    for (int64_t r = 0; r < rows; r++)
        squares[r] = accumulate(n, x + r * stride, NULL, means[r], plus_squared_difference);
    return (moments){means, sum_each(squares)};
}

/* The factor of rows from their Σ (x - mean)². */
typedef floats norm_factor(int64_t n, floats squares);

INLINE floats simple_factor(int64_t n, floats squares)
{
    return 1 / (root(squares / (float)(n - 1)) + 1e-5f);
}

INLINE floats layer_factor(int64_t n, floats squares)
{
    return 1 / root(squares / (float)n + 1e-5f);
}

INLINE void norm(int64_t rows, int64_t n, const float *gamma, const float *beta, const float *x,
                 int64_t x_stride, float *y, int64_t y_stride, norm_factor *factor)
{
    for (int64_t first = 0; first < rows; first += LANES) {
        int64_t count = rows - first < LANES ? rows - first : LANES;
        moments m = measure_rows(count, n, x, x_stride);
        floats factors = factor(n, m.squares);
        for (int64_t r = 0; r < count; r++, x += x_stride, y += y_stride)
            normalise(n, m.means[r], factors[r], gamma, beta, x, y);
    }
}

static void simple_layer_norm(int64_t rows, int64_t n, const float *gamma, const float *beta, const float *x,
                              int64_t x_stride, float *y, int64_t y_stride)
{
    norm(rows, n, gamma, beta, x, x_stride, y, y_stride, simple_factor);
}

static void layer_norm(int64_t rows, int64_t n, const float *gamma, const float *beta, const float *x,
                       int64_t x_stride, float *y, int64_t y_stride)
{
    norm(rows, n, gamma, beta, x, x_stride, y, y_stride, layer_factor);
}

#define JOIN_NAMES(a, b) a##b
#define JOIN(a, b) JOIN_NAMES(a, b)

extern const nft_kernels JOIN(nft_kernels_, NFT_KERNELS_SET);
const nft_kernels JOIN(nft_kernels_, NFT_KERNELS_SET) = {
    .width = LANES,
    .copy_scaled = copy_scaled,
    .add = add,
    .add_two = add_two,
    .multiply = multiply,
    .dot = dot,
    .sum = sum,
    .relu = relu,
    .gelu = gelu,
    .sigmoid = sigmoid,
    .tanh = hyperbolic_tangent,
    .exp = exponential,
    .sincos = sincos_radians,
    .sincos_turns = sincos_turns,
    .add_bias = add_bias,
    .softmax = softmax,
    .sum_rows = sum_rows,
    .row_products = row_products,
    .copy_rows = copy_rows,
    .add_rows = add_rows,
    .copy_groups = copy_groups,
    .add_groups = add_groups,
    .simple_layer_norm = simple_layer_norm,
    .layer_norm = layer_norm,
};
