/* Floats as sums of bf16 numbers, which are floats with the lower 16 bits gone. Two parts hold 16 bits of a
 * significand, three hold all 24.
 *
 * Each part is the bf16 number nearest to the rest that the parts before it leave, halves to even. Numbers
 * below 2^-126 are zero with their sign. NaN stays NaN. A number that rounds to an infinity is one, and its
 * lower parts are 0, so that it does not turn into NaN. */
#ifndef NFT_MATH_BF16_H
#define NFT_MATH_BF16_H

#include <stdint.h>
#include <string.h>

#define NFT_BF16_EXPONENT UINT32_C(0x7f800000)

static inline uint32_t nft_float_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float nft_bits_float(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline float nft_bf16_float(uint16_t x)
{
    return nft_bits_float((uint32_t)x << 16);
}

static inline uint16_t nft_bf16_round(float x)
{
    uint32_t bits = nft_float_bits(x), size = bits & 0x7fffffff;
    uint32_t rounded = bits + 0x7fff + (bits >> 16 & 1);
    rounded = size > NFT_BF16_EXPONENT ? bits | 0x400000 : rounded;
    rounded = size < 0x00800000 ? bits & 0x80000000 : rounded;
    return (uint16_t)(rounded >> 16);
}

/* The rest of x without this part. */
static inline float nft_bf16_rest(float x, uint16_t part)
{
    float rest = x - nft_bf16_float(part);
    return ((uint32_t)part << 16 & NFT_BF16_EXPONENT) == NFT_BF16_EXPONENT ? 0 : rest;
}

#endif
