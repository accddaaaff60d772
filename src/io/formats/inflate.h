/* Bytes that deflate packed, unpacked into memory. */
#ifndef NFT_IO_FORMATS_INFLATE_H
#define NFT_IO_FORMATS_INFLATE_H

#include "io/formats/format.h"

/* Unpacks exactly `size` bytes of raw deflate from `packed` bytes of the source, and checks their sum. */
nft_status nft_inflate_member(nft_file *file, int64_t offset, int64_t packed, int64_t size, uint32_t crc,
                              uint8_t **out);
/* Unpacks a whole gzip file, of one or more parts. Counts the bytes as unpacked. */
nft_status nft_inflate_gzip(nft_file *file, uint8_t **out, int64_t *size);

#endif
