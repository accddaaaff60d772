/* exp, tanh, sigmoid, GELU, sine and cosine of one vector. The coefficients are minimax fits of the relative
 * error by Lawson's method: least squares on Chebyshev nodes, with weights that are raised where the error is
 * largest, until it is level. For a quotient the residuals are divided by the denominator of the round
 * before. Stated errors are those of the fits; tests bound the errors in floats. */
#ifndef NFT_MATH_VECTOR_FUNCTIONS_H
#define NFT_MATH_VECTOR_FUNCTIONS_H

#include "math/lanes.h"

#include <math.h>

/* x + SHIFT has the integer nearest to x in its low bits, for |x| < 2^22. */
#define SHIFT 0x1.8p23f

INLINE floats magnitude(floats x)
{
    return (floats)((ints)x & 0x7fffffff);
}

INLINE ints sign_bit(floats x)
{
    return (ints)x & 0x80000000;
}

INLINE floats polynomial(floats x, int degree, const float *coefficients)
{
    floats sum = fill(coefficients[degree]);
    for (int i = degree - 1; i >= 0; i--)
        sum = fused(sum, x, fill(coefficients[i]));
    return sum;
}

/* The n of e^x = 2^n e^r with |r| ≤ ln(2)/2. */
INLINE floats exponent_of_exp(floats x)
{
    return fused(x, fill(0x1.715476p0f), fill(SHIFT)) - SHIFT;
}

/* high + low - n ln 2. The first part of ln 2 has 9 bits, so that its multiple and the difference are exact.
 */
INLINE floats reduce_exp(floats high, floats low, floats n)
{
    floats r = fused(n, fill(-0.693359375f), high);
    return r + fused(n, fill(2.12194440e-4f), low);
}

/* e^r - 1, |r| ≤ ln(2)/2: r + r² (½ + …), 3.1e-9 of e^r. */
INLINE floats small_expm1(floats r)
{
    static const float c[] = {0.4999999341f, 0.1666652011f, 0.04166839422f, 0.008368780423f, 0.001381446681f};
    return fused(r * r, polynomial(r, 4, c), r);
}

/* The bounds keep n small and lie where the result is ∞ or 0 anyway. */
INLINE floats vector_exp(floats x)
{
    x = smaller(fill(89), larger(fill(-104), x));
    floats n = exponent_of_exp(x);
    return scale(small_expm1(reduce_exp(x, fill(0), n)) + 1, n);
}

/* e^-|x| cannot overflow, so that both tails keep their relative precision. */
INLINE floats vector_sigmoid(floats x)
{
    floats e = vector_exp(-magnitude(x));
    return blend(less(x, fill(0)), e, fill(1)) / (e + 1);
}

/* tanh t = m / (m + 2) with m = e^2t - 1 = 2^n (e^r - 1) + (2^n - 1), t ≥ 0; from 10 on it is 1. */
INLINE floats vector_tanh(floats x)
{
    floats doubled = smaller(fill(20), 2 * magnitude(x));
    floats n = exponent_of_exp(doubled);
    floats power = scale(fill(1), n);
    floats m = fused(small_expm1(reduce_exp(doubled, fill(0), n)), power, power - 1);
    return (floats)((ints)(m / (m + 2)) | sign_bit(x));
}

/* e^(t²/2) Φ(-t) = ½ erfcx(t/√2) as a quotient, 0 ≤ t ≤ 15, 6.3e-9. No coefficient is negative, so nothing
 * cancels. */
INLINE floats scaled_tail(floats t)
{
    static const float p[] = {0.5000000032f, 0.4392829484f, 0.1839687853f, 0.04088100999f, 0.004153212716f};
    static const float q[] = {1.0f, 1.676450904f, 1.205546805f, 0.4714078067f, 0.1024796122f, 0.01041044876f};
    return polynomial(t, 4, p) / polynomial(t, 5, q);
}

/* From here on t Φ(-t) is below the smallest normal float. Such numbers are slow, so it is taken as 0. */
#define NO_TAIL 13.1463f

/* Shared by GELU and its derivative: t = |x|, power = 2^n, e^(-t²/2) = power (1 + expm1) and
 * Φ(-t) = power tail; for an x without a tail of a t that has one. */
typedef struct normal_tail {
    mask exists;
    floats t, power, expm1, tail;
} normal_tail;

/* Φ(-t) is e^(-t²/2) times the quotient above. An error in the exponent would become one of the result, so t²
 * is taken as h² + (t - h)(t + h): h is the upper 12 bits of t, and its square is exact. The reduction is
 * that of t² by -2n, the even number nearest to t²/ln 2, and the factor -½ comes behind it. Only n from -125
 * to 0 occur, so 2^n is a normal float and its bits are those of 1 with n added to the exponent. */
INLINE normal_tail tail_of(floats x)
{
    mask exists = less(magnitude(x), fill(NO_TAIL));
    floats t = blend(exists, magnitude(x), fill(1));
    floats h = (floats)((ints)t & 0xfffff000);
    floats shifted = fused(t * t, fill(0x1.715476p0f), fill(2 * SHIFT)); /* -n is in its low bits */
    floats power = (floats)((ints)fill(1) - ((ints)shifted << 23));
    floats expm1 = small_expm1(-0.5f * reduce_exp(h * h, (t - h) * (t + h), shifted - 2 * SHIFT));
    floats q = scaled_tail(t);
    return (normal_tail){exists, t, power, expm1, fused(expm1, q, q)};
}

/* x Φ(x) = max(x, 0) - t Φ(-t). */
INLINE floats gelu_of_tail(floats x, normal_tail of)
{
    floats tail = blend(of.exists, of.tail * of.t * of.power, fill(0));
    /* As in PyTorch, -∞ Φ(-∞) is -∞ 0 = NaN; for every other x the last product is 0. */
    return fused(smaller(fill(0), x), fill(0), larger(fill(0), x) - tail);
}

INLINE floats vector_gelu(floats x)
{
    return gelu_of_tail(x, tail_of(x));
}

typedef struct sine_cosine {
    floats sine, cosine;
} sine_cosine;

/* Turns by `quarters` quarter turns. */
INLINE sine_cosine turned(floats sine, floats cosine, ints quarters)
{
    mask swap = odd(quarters);
    ints sine_sign = (quarters & 2) << 30, cosine_sign = ((quarters + 1) & 2) << 30;
    return (sine_cosine){(floats)((ints)blend(swap, cosine, sine) ^ sine_sign),
                         (floats)((ints)blend(swap, sine, cosine) ^ cosine_sign)};
}

/* Beyond, k in the reduction would have more than 16 bits. */
#define FAR_ANGLE 1e5f

/* x - k π/2 for whole k (Cody and Waite). With fused operations the difference from k times the first part of
 * π/2 is exact, and each further part is rounded relative to the result; without, two parts in double do. */
INLINE floats reduce_angle(floats x, floats k)
{
#if defined(__FMA__) || defined(__aarch64__)
    floats r = fused(k, fill(-0x1.921fb6p0f), x);
    r = fused(k, fill(0x1.777a5cp-25f), r);
    return fused(k, fill(0x1.ee59dap-50f), r);
#else
    typedef double doubles __attribute__((vector_size(LANES * sizeof(double))));
    doubles wide_k = __builtin_convertvector(k, doubles);
    doubles r = __builtin_convertvector(x, doubles) - wide_k * 0x1.921fb544p0;
    return __builtin_convertvector(r - wide_k * 0x1.0b4611a626331p-34, floats);
#endif
}

/* Of radians, |x| ≤ FAR_ANGLE; NaN for ±∞. */
INLINE sine_cosine vector_sincos(floats x)
{
    static const float s[] = {-0.1666665454f, 0.008332156052f, -0.0001951463175f};
    static const float c[] = {0.04166664556f, -0.001388730987f, 2.443241289e-05f};
    floats shifted = fused(x, fill(0x1.45f306p-1f), fill(SHIFT));
    floats r = reduce_angle(x, shifted - SHIFT), square = r * r;
    floats sine = fused(r * square, polynomial(square, 2, s), r);
    floats cosine = fused(square * square, polynomial(square, 2, c), fused(square, fill(-0.5f), fill(1)));
    return turned(sine, cosine, (ints)shifted);
}

/* The angle is 2π x: x minus the nearest quarter is exact, and 2π enters the sine in two parts. */
INLINE sine_cosine vector_sincos_turns(floats x)
{
    static const float s[] = {-1.7484556e-7f, -41.34167229f, 81.59375519f, -75.4449736f};
    static const float c[] = {1.0f, -19.73920868f, 64.93932173f, -85.44322249f, 59.22873072f};
    floats turn = x - nearest(x);
    floats shifted = fused(turn, fill(4), fill(SHIFT));
    floats r = fused(shifted - SHIFT, fill(-0.25f), turn), square = r * r;
    floats sine = fused(r, fill(6.2831855f), r * polynomial(square, 3, s));
    return turned(sine, polynomial(square, 4, c), (ints)shifted);
}

#endif
