/* One vector of floats for each instruction set, and the few operations on it that the compilers' vector
 * extensions lack: everything else is written with + - * / on `floats`. A set without a branch here uses only
 * the vector extensions. */
#ifndef NFT_MATH_LANES_H
#define NFT_MATH_LANES_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#include <immintrin.h>
#define LANES 16
#elif defined(__AVX2__)
#include <immintrin.h>
#define LANES 8
#elif defined(__aarch64__)
#include <arm_neon.h>
#define LANES 4
#else
#define LANES 4
#endif

#define INLINE static inline __attribute__((always_inline))

/* A loop over accumulators must become straight code wherever the compiler optimises at all: only then are
 * they registers. */
#if defined(__clang__)
#define UNROLLED(index, count) _Pragma("clang loop unroll(full)") for (int index = 0; index < count; index++)
#else
#define UNROLLED(index, count) _Pragma("GCC unroll 16") for (int index = 0; index < count; index++)
#endif

typedef float floats __attribute__((vector_size(LANES * sizeof(float))));
typedef uint32_t ints __attribute__((vector_size(LANES * sizeof(uint32_t)))); /* wraps, and shifts any bits */
typedef int32_t signed_ints __attribute__((vector_size(LANES * sizeof(int32_t))));

INLINE floats load(const float *p)
{
    floats v;
    memcpy(&v, p, sizeof v);
    return v;
}

INLINE void store(float *p, floats v)
{
    memcpy(p, &v, sizeof v);
}

#if LANES == 16
#define EACH_LANE(v)                                                                                         \
    {                                                                                                        \
        v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v                                                       \
    }
#define FIRST_LANES                                                                                          \
    {                                                                                                        \
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15                                                 \
    }
#define LANES_FROM(k)                                                                                        \
    k, (k + 1) % 16, (k + 2) % 16, (k + 3) % 16, (k + 4) % 16, (k + 5) % 16, (k + 6) % 16, (k + 7) % 16,     \
        (k + 8) % 16, (k + 9) % 16, (k + 10) % 16, (k + 11) % 16, (k + 12) % 16, (k + 13) % 16,              \
        (k + 14) % 16, (k + 15) % 16
#elif LANES == 8
#define EACH_LANE(v)                                                                                         \
    {                                                                                                        \
        v, v, v, v, v, v, v, v                                                                               \
    }
#define FIRST_LANES                                                                                          \
    {                                                                                                        \
        0, 1, 2, 3, 4, 5, 6, 7                                                                               \
    }
#define LANES_FROM(k)                                                                                        \
    k, (k + 1) % 8, (k + 2) % 8, (k + 3) % 8, (k + 4) % 8, (k + 5) % 8, (k + 6) % 8, (k + 7) % 8
#else
#define EACH_LANE(v)                                                                                         \
    {                                                                                                        \
        v, v, v, v                                                                                           \
    }
#define FIRST_LANES                                                                                          \
    {                                                                                                        \
        0, 1, 2, 3                                                                                           \
    }
#define LANES_FROM(k) k, (k + 1) % 4, (k + 2) % 4, (k + 3) % 4
#endif

INLINE floats fill(float v)
{
    return (floats)EACH_LANE(v);
}

INLINE ints fill_bits(uint32_t v)
{
    return (ints)EACH_LANE(v);
}

/* mask: a truth value for each lane.
 * first_lanes: true in lanes 0 … count - 1. odd: the lowest bit.
 * load_part, store_part: `count` floats, 1 ≤ count < LANES; the other lanes are `padding`.
 * fused: ab + c, rounded once where the machine can do that quickly.
 * larger, smaller: of the two, and x where x is NaN.
 * nearest: the nearest integer, halves to even, for any magnitude.
 * root: the square root.
 * scale: v 2^n for integers -252 ≤ n ≤ 254, rounded once. */
#if defined(__AVX512F__)

typedef __mmask16 mask;

INLINE mask first_lanes(int64_t count)
{
    return (mask)((1u << count) - 1);
}

INLINE mask less(floats a, floats b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}

INLINE mask at_most(floats a, floats b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ);
}

INLINE mask odd(ints v)
{
    return _mm512_test_epi32_mask((__m512i)v, _mm512_set1_epi32(1));
}

INLINE bool any(mask m)
{
    return m != 0;
}

INLINE floats blend(mask m, floats yes, floats no)
{
    return _mm512_mask_blend_ps(m, no, yes);
}

INLINE floats load_part(const float *p, int64_t count, floats padding)
{
    return _mm512_mask_loadu_ps(padding, first_lanes(count), p);
}

INLINE void store_part(float *p, int64_t count, floats v)
{
    _mm512_mask_storeu_ps(p, first_lanes(count), v);
}

INLINE floats fused(floats a, floats b, floats c)
{
    return _mm512_fmadd_ps(a, b, c);
}

INLINE floats larger(floats bound, floats x)
{
    return _mm512_max_ps(bound, x);
}

INLINE floats smaller(floats bound, floats x)
{
    return _mm512_min_ps(bound, x);
}

INLINE floats nearest(floats x)
{
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

INLINE floats root(floats x)
{
    return _mm512_sqrt_ps(x);
}

INLINE floats scale(floats v, floats n)
{
    return _mm512_scalef_ps(v, n);
}

#else

typedef signed_ints mask;

INLINE mask first_lanes(int64_t count)
{
    return (signed_ints)FIRST_LANES < (signed_ints)fill_bits((uint32_t)count);
}

INLINE mask less(floats a, floats b)
{
    return a < b;
}

INLINE mask at_most(floats a, floats b)
{
    return a <= b;
}

INLINE mask odd(ints v)
{
    return (v & 1) == 1;
}

/* In two steps, because 2^n itself may be beyond a float; the first is exact. */
INLINE floats scale(floats v, floats n)
{
    const float shift = 0x1.8p23f;
    signed_ints exponent = (signed_ints)(n + shift) - (signed_ints)fill(shift);
    signed_ints half = exponent >> 1;
    floats first = (floats)((ints)(half + 127) << 23), second = (floats)((ints)(exponent - half + 127) << 23);
    return v * first * second;
}

#if defined(__AVX2__)

INLINE bool any(mask m)
{
    return _mm256_movemask_ps((__m256)m) != 0;
}

INLINE floats blend(mask m, floats yes, floats no)
{
    return _mm256_blendv_ps(no, yes, (__m256)m);
}

INLINE floats load_part(const float *p, int64_t count, floats padding)
{
    mask m = first_lanes(count);
    return blend(m, _mm256_maskload_ps(p, (__m256i)m), padding);
}

INLINE void store_part(float *p, int64_t count, floats v)
{
    _mm256_maskstore_ps(p, (__m256i)first_lanes(count), v);
}

INLINE floats fused(floats a, floats b, floats c)
{
    return _mm256_fmadd_ps(a, b, c);
}

INLINE floats larger(floats bound, floats x)
{
    return _mm256_max_ps(bound, x);
}

INLINE floats smaller(floats bound, floats x)
{
    return _mm256_min_ps(bound, x);
}

INLINE floats nearest(floats x)
{
    return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

INLINE floats root(floats x)
{
    return _mm256_sqrt_ps(x);
}

#else

INLINE bool any(mask m)
{
    uint64_t halves[2];
    memcpy(halves, &m, sizeof halves);
    return (halves[0] | halves[1]) != 0;
}

INLINE floats blend(mask m, floats yes, floats no)
{
    return (floats)(((ints)m & (ints)yes) | (~(ints)m & (ints)no));
}

INLINE floats load_part(const float *p, int64_t count, floats padding)
{
    return (floats){p[0], count > 1 ? p[1] : padding[1], count > 2 ? p[2] : padding[2], padding[3]};
}

INLINE void store_part(float *p, int64_t count, floats v)
{
    p[0] = v[0];
    if (count > 1)
        p[1] = v[1];
    if (count > 2)
        p[2] = v[2];
}

#if defined(__aarch64__)

INLINE floats fused(floats a, floats b, floats c)
{
    return vfmaq_f32(c, a, b);
}

INLINE floats larger(floats bound, floats x)
{
    return vmaxq_f32(bound, x);
}

INLINE floats smaller(floats bound, floats x)
{
    return vminq_f32(bound, x);
}

INLINE floats nearest(floats x)
{
    return vrndnq_f32(x);
}

INLINE floats root(floats x)
{
    return vsqrtq_f32(x);
}

#else

INLINE floats fused(floats a, floats b, floats c)
{
    return a * b + c;
}

INLINE floats larger(floats bound, floats x)
{
    return blend(x < bound, bound, x);
}

INLINE floats smaller(floats bound, floats x)
{
    return blend(bound < x, bound, x);
}

INLINE floats nearest(floats x)
{
    const float shift = 0x1p23f; /* floats from here on are integers */
    ints magnitude = (ints)x & 0x7fffffff;
    floats rounded = ((floats)magnitude + shift) - shift;
    rounded = (floats)((ints)rounded | ((ints)x & 0x80000000));
    return blend((floats)magnitude < shift, rounded, x);
}

INLINE floats root(floats x)
{
    UNROLLED (i, LANES)
        x[i] = sqrtf(x[i]);
    return x;
}

#endif
#endif
#endif

/* The sum over the lanes, always in the same order. */
#define ROTATED(v, by) __builtin_shufflevector(v, v, LANES_FROM(by))

INLINE float sum_lanes(floats v)
{
#if LANES >= 16
    v += ROTATED(v, 8);
#endif
#if LANES >= 8
    v += ROTATED(v, 4);
#endif
    v += ROTATED(v, 2);
    v += ROTATED(v, 1);
    return v[0];
}

/* For lane l: the two lanes of the concatenated vectors x and y that a fold joins. */
#define FOLD_LOW(l, h) ((l) % (2 * (h)) < (h) ? (l) : LANES + (l) - (h))
#define FOLD_HIGH(l, h) (FOLD_LOW(l, h) + (h))
#if LANES == 16
#define FOLD_LANES(f, h)                                                                                     \
    f(0, h), f(1, h), f(2, h), f(3, h), f(4, h), f(5, h), f(6, h), f(7, h), f(8, h), f(9, h), f(10, h),      \
        f(11, h), f(12, h), f(13, h), f(14, h), f(15, h)
#elif LANES == 8
#define FOLD_LANES(f, h) f(0, h), f(1, h), f(2, h), f(3, h), f(4, h), f(5, h), f(6, h), f(7, h)
#else
#define FOLD_LANES(f, h) f(0, h), f(1, h), f(2, h), f(3, h)
#endif
/* Sums, or maxima, of lanes h apart in each group of 2h lanes: of x in the group's lower half, of y in its
 * upper. */
#define FOLD_HALVES(x, y, h)                                                                                 \
    __builtin_shufflevector(x, y, FOLD_LANES(FOLD_LOW, h)),                                                  \
        __builtin_shufflevector(x, y, FOLD_LANES(FOLD_HIGH, h))

INLINE floats sum_of(floats a, floats b)
{
    return a + b;
}

typedef floats fold_function(floats a, floats b);

/* Lane l: the lanes of vector l of as many, reduced in the order of sum_lanes. */
INLINE floats fold_each(const floats *vectors, fold_function *fold)
{
    floats v[LANES];
    UNROLLED (i, LANES)
        v[i] = vectors[i];
#if LANES >= 16
    UNROLLED (i, 8)
        v[i] = fold(FOLD_HALVES(v[i], v[i + 8], 8));
#endif
#if LANES >= 8
    UNROLLED (i, 4)
        v[i] = fold(FOLD_HALVES(v[i], v[i + 4], 4));
#endif
    UNROLLED (i, 2)
        v[i] = fold(FOLD_HALVES(v[i], v[i + 2], 2));
    return fold(FOLD_HALVES(v[0], v[1], 1));
}

INLINE floats sum_each(const floats *vectors)
{
    return fold_each(vectors, sum_of);
}

INLINE floats largest_each(const floats *vectors)
{
    return fold_each(vectors, larger);
}

#endif
