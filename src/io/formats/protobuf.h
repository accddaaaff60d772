/* Protocol buffers: the wire format, field by field. */
#ifndef NFT_IO_FORMATS_PROTOBUF_H
#define NFT_IO_FORMATS_PROTOBUF_H

#include "io/formats/format.h"

enum { NFT_WIRE_VARINT = 0, NFT_WIRE_FIXED64 = 1, NFT_WIRE_BYTES = 2, NFT_WIRE_FIXED32 = 5 };

/* A message while it is read: the bytes from `at` to `end` of a source. */
typedef struct nft_message {
    const nft_source *source;
    int64_t at, end;
} nft_message;

typedef struct nft_field {
    uint32_t number;
    int wire;
    uint64_t value;    /* of a number */
    nft_message bytes; /* of a text, a message or packed numbers */
} nft_field;

nft_status nft_message_read_varint(nft_message *message, uint64_t *value);
/* The next field; the message must not be at its end. */
nft_status nft_message_next(nft_message *message, nft_field *field);
nft_status nft_fail_message(const nft_message *message);

#endif
