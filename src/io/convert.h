/* Numbers of a file, little-endian and of any type, to the machine's float and int64_t. */
#ifndef NFT_IO_CONVERT_H
#define NFT_IO_CONVERT_H

#include "io/file.h"

bool nft_little_endian(void);

/* Exact, but for F64, which is rounded to the nearest float. `type` must be a float type, `bytes` need no
 * alignment. */
void nft_convert_to_f32(nft_type type, const uint8_t *bytes, int64_t count, float *out);
/* `type` must be an integer type. A U64 that is too large becomes negative. */
void nft_convert_to_i64(nft_type type, const uint8_t *bytes, int64_t count, int64_t *out);

/* Big-endian elements of `size` bytes to little-endian ones, and back. */
void nft_reverse_elements(uint8_t *bytes, int64_t size, int64_t count);

/* The machine's `count` values of `size` bytes (4 or 8) to little-endian bytes. */
void nft_convert_to_bytes(const void *values, int64_t size, int64_t count, uint8_t *bytes);

#endif
