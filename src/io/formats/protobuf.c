#include "io/formats/protobuf.h"

#include <inttypes.h>

nft_status nft_fail_message(const nft_message *m)
{
    return nft_fail(NFT_ERROR_FORMAT, "the ONNX model is damaged at byte %" PRId64 "; is it cut short?",
                    m->at);
}

nft_status nft_message_read_varint(nft_message *m, uint64_t *value)
{
    uint8_t bytes[10];
    int64_t left = m->end - m->at, count = left < (int64_t)sizeof bytes ? left : (int64_t)sizeof bytes;
    nft_status status = nft_source_read(m->source, m->at, count, bytes);
    *value = 0;
    for (int i = 0; i < count && !status; i++) {
        *value |= (uint64_t)(bytes[i] & 0x7f) << 7 * i;
        if (!(bytes[i] & 0x80)) {
            m->at += i + 1;
            return NFT_OK;
        }
    }
    return status ? status : nft_fail_message(m);
}

static nft_status read_fixed(nft_message *m, int size, uint64_t *value)
{
    uint8_t bytes[8];
    if (m->end - m->at < size)
        return nft_fail_message(m);
    nft_status status = nft_source_read(m->source, m->at, size, bytes);
    *value = nft_load_le(bytes, size);
    m->at += size;
    return status;
}

nft_status nft_message_next(nft_message *m, nft_field *f)
{
    uint64_t tag = 0;
    nft_status status = nft_message_read_varint(m, &tag);
    *f = (nft_field){.number = (uint32_t)(tag >> 3), .wire = (int)(tag & 7)};
    if (status || tag >> 32)
        return status ? status : nft_fail_message(m);
    if (f->wire == NFT_WIRE_VARINT)
        return nft_message_read_varint(m, &f->value);
    if (f->wire == NFT_WIRE_FIXED32 || f->wire == NFT_WIRE_FIXED64)
        return read_fixed(m, f->wire == NFT_WIRE_FIXED32 ? 4 : 8, &f->value);
    if (f->wire != NFT_WIRE_BYTES || (status = nft_message_read_varint(m, &f->value)))
        return status ? status : nft_fail_message(m);
    if (f->value > (uint64_t)(m->end - m->at))
        return nft_fail_message(m);
    f->bytes = (nft_message){m->source, m->at, m->at + (int64_t)f->value};
    m->at = f->bytes.end;
    return NFT_OK;
}
