/* Shared by the kernels of SIRENs: sine and cosine of turns, and sums over the lanes of four vectors. */
#ifndef NFT_MATH_SIREN_FUNCTIONS_H
#define NFT_MATH_SIREN_FUNCTIONS_H

#include "math/lanes.h"

typedef struct wave {
    floats sine, cosine;
} wave;

/* The angle is 2π x: x minus the nearest half is exact. The polynomials, fits as in vector_functions.h, are
 * of the half turn, so that only the sign depends on the quadrant. Their errors are 3.4e-9 and 5.3e-8. */
INLINE wave wave_of_turns(floats x)
{
    static const float s[] = {6.28318501f, -41.3416557f, 81.6010056f, -76.5497818f, 39.536705f};
    static const float c[] = {1.0f, -19.7391815f, 64.9352188f, -85.2540054f, 56.3406487f};
    floats turn = x - nearest(x), shifted = turn + 0x1.8p22f; /* a multiple of ½ */
    floats r = turn - (shifted - 0x1.8p22f), square = r * r;
    ints sign = (ints)shifted << 31;
    floats sine = fused(square, fill(s[4]), fill(s[3])), cosine = fused(square, fill(c[4]), fill(c[3]));
    UNROLLED (i, 3) {
        sine = fused(sine, square, fill(s[2 - i]));
        cosine = fused(cosine, square, fill(c[2 - i]));
    }
    return (wave){(floats)((ints)(sine * r) ^ sign), (floats)((ints)cosine ^ sign)};
}

#if LANES == 16
/* Each vector's sum over its lanes: four at a time take half the shuffles. A sum does not depend on the
 * others. */
INLINE void sum_four(const floats v[4], float sums[4])
{
    typedef float eight __attribute__((vector_size(8 * sizeof(float))));
    typedef float four __attribute__((vector_size(4 * sizeof(float))));
#define LOW_PAIRS 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29
#define HIGH_PAIRS 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31
#define LOW_HALVES 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29
#define HIGH_HALVES 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31
    floats a =
        __builtin_shufflevector(v[0], v[1], LOW_PAIRS) + __builtin_shufflevector(v[0], v[1], HIGH_PAIRS);
    floats b =
        __builtin_shufflevector(v[2], v[3], LOW_PAIRS) + __builtin_shufflevector(v[2], v[3], HIGH_PAIRS);
    floats c = __builtin_shufflevector(a, b, LOW_HALVES) + __builtin_shufflevector(a, b, HIGH_HALVES);
    eight d = __builtin_shufflevector(c, c, 0, 1, 2, 3, 4, 5, 6, 7) +
              __builtin_shufflevector(c, c, 8, 9, 10, 11, 12, 13, 14, 15);
    four e = __builtin_shufflevector(d, d, 0, 1, 2, 3) + __builtin_shufflevector(d, d, 4, 5, 6, 7);
    memcpy(sums, &e, sizeof e);
}
#else
INLINE void sum_four(const floats v[4], float sums[4])
{
    UNROLLED (i, 4)
        sums[i] = sum_lanes(v[i]);
}
#endif

#endif
