/* The kernels of gradients.h, compiled once for each instruction set like kernels.c. */
#include "math/gradients.h"

#include "math/vector_functions.h"

#include <math.h>
#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define ONE_OVER_SQRT_2_PI 0.398942280f
#define NORM_ROWS 64 /* of a norm, that are gone through together */

/* dx = f(x, dy) */
typedef floats derivative(floats x, floats dy);

INLINE void chain(int64_t n, const float *x, const float *dy, float *dx, derivative *f)
{
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        store(dx + i, f(load(x + i), load(dy + i)));
    if (i < n)
        store_part(dx + i, n - i, f(load_part(x + i, n - i, fill(0)), load_part(dy + i, n - i, fill(0))));
}

/* As PyTorch's threshold_backward, 0 where x ≤ 0: a NaN is not, and lets the gradient through. */
INLINE floats relu_derivative(floats x, floats dy)
{
    return blend(at_most(x, fill(0)), fill(0), dy);
}

/* Φ(x) + x φ(x); from NO_TAIL on 1 or 0 and, as in PyTorch, NaN at ±∞. */
INLINE floats slope_of_tail(floats x, normal_tail of)
{
    floats tail = blend(of.exists, of.tail * of.power, fill(0));
    floats e = blend(of.exists, (of.expm1 + 1) * of.power, fill(0));
    floats below = blend(less(x, fill(0)), tail, 1 - tail);
    return below + x * (e * ONE_OVER_SQRT_2_PI);
}

INLINE floats gelu_derivative(floats x, floats dy)
{
    return dy * slope_of_tail(x, tail_of(x));
}

INLINE floats sigmoid_derivative(floats y, floats dy)
{
    return dy * (y * (1 - y));
}

INLINE floats tanh_derivative(floats y, floats dy)
{
    return dy * (1 - y * y);
}

static void relu(int64_t n, const float *x, const float *dy, float *dx)
{
    chain(n, x, dy, dx, relu_derivative);
}

static void gelu(int64_t n, const float *x, const float *dy, float *dx)
{
    chain(n, x, dy, dx, gelu_derivative);
}

static void gelu_again(int64_t n, const float *x, const float *dy, float *y, float *dx)
{
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        floats value = load(x + i);
        normal_tail tail = tail_of(value);
        store(y + i, gelu_of_tail(value, tail));
        store(dx + i, load(dy + i) * slope_of_tail(value, tail));
    }
    if (i < n) {
        floats value = load_part(x + i, n - i, fill(0));
        normal_tail tail = tail_of(value);
        store_part(y + i, n - i, gelu_of_tail(value, tail));
        store_part(dx + i, n - i, load_part(dy + i, n - i, fill(0)) * slope_of_tail(value, tail));
    }
}

static void sigmoid(int64_t n, const float *y, const float *dy, float *dx)
{
    chain(n, y, dy, dx, sigmoid_derivative);
}

static void hyperbolic_tangent(int64_t n, const float *y, const float *dy, float *dx)
{
    chain(n, y, dy, dx, tanh_derivative);
}

static float dot(int64_t n, const float *a, const float *b)
{
    floats sum = fill(0);
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        sum += load(a + i) * load(b + i);
    if (i < n)
        sum += load_part(a + i, n - i, fill(0)) * load_part(b + i, n - i, fill(0));
    return sum_lanes(sum);
}

static void softmax_row(int64_t n, float factor, const float *p, const float *dy, float *dx)
{
    float mean = dot(n, p, dy);
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        store(dx + i, factor * load(p + i) * (load(dy + i) - mean));
    if (i < n) {
        floats part = factor * load_part(p + i, n - i, fill(0)) * (load_part(dy + i, n - i, fill(0)) - mean);
        store_part(dx + i, n - i, part);
    }
}

static void softmax(int64_t rows, int64_t n, float factor, const float *p, int64_t p_stride, const float *dy,
                    int64_t dy_stride, float *dx, int64_t dx_stride)
{
    for (int64_t r = 0; r < rows; r++)
        softmax_row(n, factor, p + r * p_stride, dy + r * dy_stride, dx + r * dx_stride);
}

/* Moments of LANES rows and of their gradients: c = x - mean, g = dy gamma. */
typedef struct row_sums {
    floats mean, squares; /* Σ c² */
    floats gradient;      /* Σ g */
    floats product;       /* Σ g c */
} row_sums;

/* Rows of an array, `stride` apart. */
typedef struct norm_arrays {
    const float *gamma, *x, *dy;
    float *dx;
    int64_t x_stride, dy_stride, dx_stride;
} norm_arrays;

static floats sum_row(int64_t n, const float *x)
{
    floats sum = fill(0);
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        sum += load(x + i);
    return i < n ? sum + load_part(x + i, n - i, fill(0)) : sum;
}

/* Adds c², g and gc of the row's numbers to the lanes of these sums. */
INLINE void add_moments(int64_t n, const float *gamma, const float *x, const float *dy, float mean,
                        floats *squares, floats *gradient, floats *product)
{
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        floats c = load(x + i) - mean, g = load(dy + i) * load(gamma + i);
        *squares += c * c;
        *gradient += g;
        *product += g * c;
    }
    if (i < n) {
        floats c = load_part(x + i, n - i, fill(mean)) - mean;
        floats g = load_part(dy + i, n - i, fill(0)) * load_part(gamma + i, n - i, fill(0));
        *squares += c * c;
        *gradient += g;
        *product += g * c;
    }
}

/* From row `first` on. The lanes of all rows are summed together; those behind `rows` are 0. */
static row_sums measure_rows(int64_t first, int64_t rows, int64_t n, const norm_arrays *p)
{
    floats sums[LANES] = {0}, squares[LANES] = {0}, gradient[LANES] = {0}, product[LANES] = {0};
    const float *x = p->x + first * p->x_stride, *dy = p->dy + first * p->dy_stride;
    for (int64_t r = 0; r < rows; r++)
        sums[r] = sum_row(n, x + r * p->x_stride);
    floats mean = sum_each(sums) / (float)n;
    for (int64_t r = 0; r < rows; r++)
        add_moments(n, p->gamma, x + r * p->x_stride, dy + r * p->dy_stride, mean[r], &squares[r],
                    &gradient[r], &product[r]);
    return (row_sums){mean, sum_each(squares), sum_each(gradient), sum_each(product)};
}

/* The coefficients of rows' gradients: dx = a g - b - c · k. */
typedef struct row_factors {
    float mean[NORM_ROWS], a[NORM_ROWS], b[NORM_ROWS], k[NORM_ROWS];
} row_factors;

/* At most NORM_ROWS rows; dgamma += Σ dy c a; dbeta += Σ dy. These sums stay in registers, so that of many
 * rows there are few roundings at the size of the whole sum. */
static void norm_rows(int64_t rows, int64_t n, const row_factors *f, const norm_arrays *p, float *dgamma,
                      float *dbeta)
{
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        floats of_gamma = fill(0), of_beta = fill(0), gamma = load(p->gamma + i);
        for (int64_t r = 0; r < rows; r++) {
            floats c = load(p->x + r * p->x_stride + i) - f->mean[r], d = load(p->dy + r * p->dy_stride + i);
            of_gamma += d * c * f->a[r];
            of_beta += d;
            store(p->dx + r * p->dx_stride + i, f->a[r] * (d * gamma) - f->b[r] - c * f->k[r]);
        }
        store(dgamma + i, load(dgamma + i) + of_gamma);
        store(dbeta + i, load(dbeta + i) + of_beta);
    }
    if (i < n) {
        int64_t rest = n - i;
        floats of_gamma = fill(0), of_beta = fill(0), gamma = load_part(p->gamma + i, rest, fill(0));
        for (int64_t r = 0; r < rows; r++) {
            floats c = load_part(p->x + r * p->x_stride + i, rest, fill(0)) - f->mean[r];
            floats d = load_part(p->dy + r * p->dy_stride + i, rest, fill(0));
            of_gamma += d * c * f->a[r];
            of_beta += d;
            store_part(p->dx + r * p->dx_stride + i, rest, f->a[r] * (d * gamma) - f->b[r] - c * f->k[r]);
        }
        store_part(dgamma + i, rest, load_part(dgamma + i, rest, fill(0)) + of_gamma);
        store_part(dbeta + i, rest, load_part(dbeta + i, rest, fill(0)) + of_beta);
    }
}

/* Those of LANES rows. */
typedef void make_factors(int64_t n, const row_sums *s, floats *a, floats *k);

/* y = c / D gamma + beta, D = s + ε, s² = Σ c² / (n - 1): dx = (g - mean g) / D - c Σ g c / (D² s (n - 1)); a
 * constant row has s = 0, where the last term is taken as 0, as PyTorch does. */
INLINE void simple_factors(int64_t n, const row_sums *s, floats *a, floats *k)
{
    floats deviation = root(s->squares / (float)(n - 1));
    *a = 1 / (deviation + 1e-5f);
    mask constant = at_most(deviation, fill(0));
    floats divisor = blend(constant, fill(1), deviation * (float)(n - 1));
    *k = blend(constant, fill(0), s->product * *a * *a / divisor);
}

/* y = c a gamma + beta, a = 1/√(Σ c² / n + ε): dx = a (g - mean g) - c a³ Σ g c / n. */
INLINE void layer_factors(int64_t n, const row_sums *s, floats *a, floats *k)
{
    *a = 1 / root(s->squares / (float)n + 1e-5f);
    *k = *a * *a * *a * s->product / (float)n;
}

INLINE void norm(int64_t rows, int64_t n, norm_arrays p, float *dgamma, float *dbeta, make_factors *factors)
{
    row_factors f;
    for (int64_t first = 0; first < rows; first += NORM_ROWS) {
        int64_t count = rows - first < NORM_ROWS ? rows - first : NORM_ROWS;
        for (int64_t r = 0; r < count; r += LANES) {
            row_sums s = measure_rows(r, count - r < LANES ? count - r : LANES, n, &p);
            floats a, k;
            factors(n, &s, &a, &k);
            store(f.mean + r, s.mean);
            store(f.a + r, a);
            store(f.b + r, a * s.gradient / (float)n);
            store(f.k + r, k);
        }
        norm_rows(count, n, &f, &p, dgamma, dbeta);
        p.x += count * p.x_stride;
        p.dy += count * p.dy_stride;
        p.dx += count * p.dx_stride;
    }
}

static void simple_layer_norm(int64_t rows, int64_t n, const float *gamma, const float *x, int64_t x_stride,
                              const float *dy, int64_t dy_stride, float *dx, int64_t dx_stride, float *dgamma,
                              float *dbeta)
{
    norm(rows, n, (norm_arrays){gamma, x, dy, dx, x_stride, dy_stride, dx_stride}, dgamma, dbeta,
         simple_factors);
}

static void layer_norm(int64_t rows, int64_t n, const float *gamma, const float *x, int64_t x_stride,
                       const float *dy, int64_t dy_stride, float *dx, int64_t dx_stride, float *dgamma,
                       float *dbeta)
{
    norm(rows, n, (norm_arrays){gamma, x, dy, dx, x_stride, dy_stride, dx_stride}, dgamma, dbeta,
         layer_factors);
}

/* --- dropout: Philox 4x32-10 (base/random.c) on a vector of blocks --- */

#define BLOCKS 16 /* whose 4 words are used at a time */
#define LOW_HALF UINT64_C(0xffffffff)

typedef uint64_t wide_ints __attribute__((vector_size(LANES * sizeof(uint32_t))));

/* The lower halves of a times b. */
INLINE wide_ints low_products(wide_ints a, uint32_t b)
{
#if defined(__AVX512F__)
    return (wide_ints)_mm512_mul_epu32((__m512i)a, _mm512_set1_epi32((int)b));
#elif defined(__AVX2__)
    return (wide_ints)_mm256_mul_epu32((__m256i)a, _mm256_set1_epi32((int)b));
#elif defined(__SSE2__)
    return (wide_ints)_mm_mul_epu32((__m128i)a, _mm_set1_epi32((int)b));
#elif defined(__aarch64__)
    return (wide_ints)vmull_u32(vmovn_u64((uint64x2_t)a), vdup_n_u32(b));
#else
    return (a & LOW_HALF) * b;
#endif
}

typedef struct product {
    ints high, low;
} product;

INLINE product multiply_bits(ints a, uint32_t b)
{
    wide_ints low = low_products((wide_ints)a, b), high = low_products((wide_ints)a >> 32, b);
    return (product){(ints)(low >> 32 | (high & ~LOW_HALF)), (ints)((low & LOW_HALF) | high << 32)};
}

typedef struct philox {
    ints words[4];
} philox;

/* Blocks `first`, first + 1, …; the lower half of `first` leaves room for them. */
INLINE philox philox_blocks(uint64_t first, uint64_t seed, uint64_t stream)
{
    uint32_t key0 = (uint32_t)seed, key1 = (uint32_t)(seed >> 32);
    philox c = {{fill_bits((uint32_t)first) + (ints)FIRST_LANES, fill_bits((uint32_t)(first >> 32)),
                 fill_bits((uint32_t)stream), fill_bits((uint32_t)(stream >> 32))}};
    for (int round = 0; round < 10; round++) {
        product a = multiply_bits(c.words[0], 0xD2511F53), b = multiply_bits(c.words[2], 0xCD9E8D57);
        c = (philox){{b.high ^ c.words[1] ^ key0, b.low, a.high ^ c.words[3] ^ key1, a.low}};
        key0 += 0x9E3779B9;
        key1 += 0xBB67AE85;
    }
    return c;
}

/* 4 · BLOCKS elements, the first of which is number `first`. */
INLINE void drop_some(uint64_t first, uint32_t threshold, float factor, uint64_t seed, uint64_t stream,
                      const float *x, float *y)
{
    for (int block = 0; block < BLOCKS; block += LANES) {
        philox random = philox_blocks(first / 4 + (uint64_t)block, seed, stream);
        for (int word = 0; word < 4; word++) {
            int at = word * BLOCKS + block;
            ints kept = (ints)(random.words[word] >= threshold);
            store(y + at,
                  (floats)(kept & (ints)fill(factor)) * load(x + at)); /* NaN stays NaN, as in PyTorch */
        }
    }
}

static void drop(int64_t n, uint32_t threshold, float factor, uint64_t seed, uint64_t stream, const float *x,
                 float *y)
{
    int64_t i = 0;
    for (; i + 4 * BLOCKS <= n; i += 4 * BLOCKS)
        drop_some((uint64_t)i, threshold, factor, seed, stream, x + i, y + i);
    if (i == n)
        return;
    float rest[4 * BLOCKS] = {0};
    memcpy(rest, x + i, (size_t)(n - i) * sizeof *x);
    drop_some((uint64_t)i, threshold, factor, seed, stream, rest, rest);
    memcpy(y + i, rest, (size_t)(n - i) * sizeof *y);
}

/* Every operation is rounded correctly, so each set gives the same bits. */
static void adam(const nft_adam *adam, int64_t n, const float *restrict gradients, float *restrict m,
                 float *restrict v, float *restrict p)
{
    const nft_adam a = *adam;
    for (int64_t i = 0; i < n; i++) {
        float value = p[i] * a.shrink, g = gradients[i] * a.scale + a.decay * value;
        m[i] = m[i] + a.rise1 * (g - m[i]);
        v[i] = a.beta2 * v[i] + a.rise2 * g * g;
        p[i] = value - a.step_size * (m[i] / (sqrtf(v[i]) / a.correction + a.eps));
    }
}

#define JOIN_NAMES(a, b) a##b
#define JOIN(a, b) JOIN_NAMES(a, b)

extern const nft_gradient_kernels JOIN(nft_gradient_kernels_, NFT_KERNELS_SET);
const nft_gradient_kernels JOIN(nft_gradient_kernels_, NFT_KERNELS_SET) = {
    .relu = relu,
    .gelu = gelu,
    .gelu_again = gelu_again,
    .sigmoid = sigmoid,
    .tanh = hyperbolic_tangent,
    .softmax = softmax,
    .simple_layer_norm = simple_layer_norm,
    .layer_norm = layer_norm,
    .drop = drop,
    .adam = adam,
};
