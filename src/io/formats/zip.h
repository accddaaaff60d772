/* The directory of a zip archive and the places of its members. */
#ifndef NFT_IO_FORMATS_ZIP_H
#define NFT_IO_FORMATS_ZIP_H

#include "io/formats/format.h"

typedef struct nft_zip_member {
    const char *name; /* not ended by 0 */
    size_t name_length;
    int64_t header;       /* of the local header, bytes from the start of the archive */
    int64_t packed, size; /* bytes */
    uint32_t method, crc, flags;
    const nft_source *unpacked; /* NULL: not yet */
} nft_zip_member;

typedef struct nft_zip {
    uint8_t *directory;
    nft_zip_member *members; /* sorted by name, bytewise */
    int64_t count;
} nft_zip;

bool nft_zip_matches(const nft_start *start);
nft_status nft_zip_open(nft_zip *zip, const nft_source *source); /* clear it, also when it fails */
void nft_zip_clear(nft_zip *zip);

nft_zip_member *nft_zip_find(const nft_zip *zip, const char *name, size_t length); /* NULL: none */
bool nft_zip_ends_with(const nft_zip_member *member, const char *end);

/* Where the member's bytes are: in the file if it is stored, else they are unpacked into memory. */
nft_status nft_zip_place(nft_file *file, nft_zip_member *member, const nft_source **source, int64_t *offset);
/* The bytes of a small member, followed by a 0. Free with nft_release(). */
nft_status nft_zip_load(nft_file *file, const nft_zip_member *member, uint8_t **bytes);

#endif
