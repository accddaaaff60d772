#include "io/convert.h"

#include <math.h>
#include <string.h>

bool nft_little_endian(void)
{
    const uint16_t one = 1;
    uint8_t first;
    memcpy(&first, &one, 1);
    return first == 1;
}

static uint64_t load(const uint8_t *bytes, int size)
{
    uint64_t bits = 0;
    for (int i = 0; i < size; i++)
        bits |= (uint64_t)bytes[i] << 8 * i;
    return bits;
}

static float float_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static double double_of_bits(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* IEEE 754 binary16: 1 sign bit, 5 of the exponent (bias 15), 10 of the fraction. */
static float float_of_half(uint32_t half)
{
    uint32_t sign = (half & 0x8000) << 16, exponent = half >> 10 & 31, fraction = half & 0x3ff;
    if (exponent == 31)
        return float_of_bits(sign | 0x7f800000 | fraction << 13);
    if (exponent > 0)
        return float_of_bits(sign | (exponent + 127 - 15) << 23 | fraction << 13);
    float magnitude = (float)fraction * 0x1p-24f;
    return sign ? -magnitude : magnitude;
}

/* 1 sign bit, 4 of the exponent, 3 of the fraction; no infinities. */
static float float_of_e4m3(uint32_t byte, int bias)
{
    uint32_t exponent = byte >> 3 & 15, fraction = byte & 7;
    float magnitude = exponent ? float_of_bits((exponent + 127 - (uint32_t)bias) << 23 | fraction << 20)
                               : ldexpf((float)fraction, -2 - bias);
    return byte & 0x80 ? -magnitude : magnitude;
}

/* The types of OCP's "8-bit floating point specification" and "microscaling formats", and those of AMD, whose
 * only NaN stands in place of -0 ("finite, NaN, unsigned zero"). */
static float float_of_f8(nft_type type, uint32_t byte)
{
    bool is_unsigned_zero = type == NFT_TYPE_F8_E4M3FNUZ || type == NFT_TYPE_F8_E5M2FNUZ;
    if (is_unsigned_zero && byte == 0x80)
        return float_of_bits(0x7fc00000);
    switch (type) {
    case NFT_TYPE_F8_E4M3:
        return (byte & 0x7f) == 0x7f ? float_of_bits((byte & 0x80) << 24 | 0x7fc00000)
                                     : float_of_e4m3(byte, 7);
    case NFT_TYPE_F8_E4M3FNUZ:
        return float_of_e4m3(byte, 8);
    case NFT_TYPE_F8_E8M0: /* only an exponent: a power of two */
        return byte == 255 ? float_of_bits(0x7fc00000) : ldexpf(1.0f, (int)byte - 127);
    case NFT_TYPE_F8_E5M2FNUZ: /* the bias is 16, and the largest exponent is an exponent like the others */
        if ((byte & 0x7c) == 0x7c)
            return ldexpf((byte & 0x80 ? -1.0f : 1.0f) * (float)(4 + (byte & 3)), 13);
        return float_of_half(byte << 8) * 0.5f;
    default: /* F8_E5M2: the upper half of a binary16 */
        return float_of_half(byte << 8);
    }
}

void nft_convert_to_f32(nft_type type, const uint8_t *bytes, int64_t count, float *out)
{
    switch (type) {
    case NFT_TYPE_F16:
        for (int64_t i = 0; i < count; i++)
            out[i] = float_of_half((uint32_t)load(bytes + 2 * i, 2));
        break;
    case NFT_TYPE_BF16: /* the upper half of a float */
        for (int64_t i = 0; i < count; i++)
            out[i] = float_of_bits((uint32_t)load(bytes + 2 * i, 2) << 16);
        break;
    case NFT_TYPE_F64:
        for (int64_t i = 0; i < count; i++)
            out[i] = (float)double_of_bits(load(bytes + 8 * i, 8));
        break;
    case NFT_TYPE_F8_E4M3:
    case NFT_TYPE_F8_E5M2:
    case NFT_TYPE_F8_E8M0:
    case NFT_TYPE_F8_E4M3FNUZ:
    case NFT_TYPE_F8_E5M2FNUZ:
        for (int64_t i = 0; i < count; i++)
            out[i] = float_of_f8(type, bytes[i]);
        break;
    default:
        for (int64_t i = 0; i < count; i++)
            out[i] = float_of_bits((uint32_t)load(bytes + 4 * i, 4));
    }
}

void nft_convert_to_i64(nft_type type, const uint8_t *bytes, int64_t count, int64_t *out)
{
    switch (type) {
    case NFT_TYPE_I32:
        for (int64_t i = 0; i < count; i++)
            out[i] = (int32_t)load(bytes + 4 * i, 4);
        break;
    case NFT_TYPE_I16:
        for (int64_t i = 0; i < count; i++)
            out[i] = (int16_t)load(bytes + 2 * i, 2);
        break;
    case NFT_TYPE_I8:
        for (int64_t i = 0; i < count; i++)
            out[i] = (bytes[i] ^ 0x80) - 0x80; /* two's complement */
        break;
    case NFT_TYPE_U32:
    case NFT_TYPE_U16:
    case NFT_TYPE_U8:
    case NFT_TYPE_BOOL:
        for (int64_t i = 0, size = nft_type_size(type); i < count; i++)
            out[i] = (int64_t)load(bytes + size * i, (int)size);
        break;
    default:
        for (int64_t i = 0; i < count; i++)
            out[i] = (int64_t)load(bytes + 8 * i, 8);
    }
}

void nft_reverse_elements(uint8_t *bytes, int64_t size, int64_t count)
{
    for (int64_t i = 0; i < count; i++, bytes += size)
        for (int64_t low = 0, high = size - 1; low < high; low++, high--) {
            uint8_t byte = bytes[low];
            bytes[low] = bytes[high];
            bytes[high] = byte;
        }
}

void nft_convert_to_bytes(const void *values, int64_t size, int64_t count, uint8_t *bytes)
{
    for (int64_t i = 0; i < count; i++) {
        uint32_t narrow = 0;
        uint64_t bits = 0;
        const char *value = (const char *)values + i * size;
        if (size == 4)
            memcpy(&narrow, value, 4);
        else
            memcpy(&bits, value, 8);
        bits |= narrow;
        for (int64_t k = 0; k < size; k++)
            bytes[i * size + k] = (uint8_t)(bits >> 8 * k);
    }
}
