/* Opcodes that push a value from the bytes behind them. */
#include "io/formats/pickle_machine.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LONGEST_NUMBER 24

nft_status nft_pickle_fail_short(nft_pickle *p)
{
    p->is_short = true;
    return nft_fail(NFT_ERROR_FORMAT,
                    "the pickle ends at byte %" PRId64 " and is not complete; is the file cut short?",
                    p->size);
}

nft_status nft_pickle_take(nft_pickle *p, uint64_t count, const uint8_t **bytes)
{
    if (count > (uint64_t)(p->size - p->at))
        return nft_pickle_fail_short(p);
    *bytes = p->bytes + p->at;
    p->at += (int64_t)count;
    return NFT_OK;
}

nft_status nft_pickle_take_line(nft_pickle *p, const char **text, int64_t *length)
{
    const uint8_t *begin = p->bytes + p->at, *end = memchr(begin, '\n', (size_t)(p->size - p->at));
    if (!end)
        return nft_pickle_fail_short(p);
    *text = (const char *)begin;
    *length = end - begin;
    p->at += *length + 1;
    return NFT_OK;
}

nft_status nft_pickle_take_number(nft_pickle *p, int size, uint64_t *number)
{
    const uint8_t *bytes = NULL;
    nft_status status = nft_pickle_take(p, (uint64_t)size, &bytes);
    if (!status)
        *number = nft_load_le(bytes, size);
    return status;
}

static nft_status new_text(nft_pickle *p, nft_pickle_kind kind, const char *bytes, int64_t length,
                           nft_pickle_ref *ref)
{
    nft_status status = nft_pickle_new(p, kind, ref);
    if (status)
        return status;
    p->values[*ref].as.text.bytes = bytes;
    p->values[*ref].as.text.length = length;
    return NFT_OK;
}

/* Behind its length of `size` bytes. */
static nft_status push_text(nft_pickle *p, nft_pickle_kind kind, int size)
{
    uint64_t length = 0;
    const uint8_t *bytes = NULL;
    nft_pickle_ref ref = NFT_PICKLE_NO_VALUE;
    nft_status status = nft_pickle_take_number(p, size, &length);
    if (!status)
        status = nft_pickle_take(p, length, &bytes);
    if (!status)
        status = new_text(p, kind, (const char *)bytes, (int64_t)length, &ref);
    return status ? status : nft_pickle_push(p, ref);
}

static nft_status push_integer(nft_pickle *p, nft_pickle_kind kind, int64_t integer)
{
    nft_pickle_ref ref = NFT_PICKLE_NO_VALUE;
    nft_status status = nft_pickle_push_new(p, kind, &ref);
    if (!status)
        p->values[ref].as.integer = integer;
    return status;
}

/* Two's complement of any length; one that does not fit into 64 bits becomes an object of no class. */
static nft_status push_long(nft_pickle *p, int size)
{
    uint64_t length = 0;
    const uint8_t *bytes = NULL;
    nft_pickle_ref ref = NFT_PICKLE_NO_VALUE;
    nft_status status = nft_pickle_take_number(p, size, &length);
    if (!status)
        status = nft_pickle_take(p, length, &bytes);
    if (status)
        return status;
    if (length > 8) {
        status = nft_pickle_push_new(p, NFT_PICKLE_OBJECT, &ref);
        if (!status)
            p->values[ref].as.object.type = p->values[ref].as.object.arguments =
                p->values[ref].as.object.state = NFT_PICKLE_NO_VALUE;
        return status;
    }
    uint64_t bits = nft_load_le(bytes, (int)length);
    if (length && length < 8 && bytes[length - 1] & 0x80)
        bits |= UINT64_MAX << 8 * length;
    return push_integer(p, NFT_PICKLE_INTEGER, (int64_t)bits);
}

/* Protocol 0: a line of digits; "00" and "01" are booleans. */
static nft_status push_line_integer(nft_pickle *p)
{
    const char *line = NULL;
    int64_t length = 0;
    char text[LONGEST_NUMBER + 1];
    nft_status status = nft_pickle_take_line(p, &line, &length);
    if (status || length > LONGEST_NUMBER)
        return status ? status : nft_pickle_fail_stack(p);
    memcpy(text, line, (size_t)length);
    text[length] = 0;
    bool is_boolean = length == 2 && text[0] == '0';
    return push_integer(p, is_boolean ? NFT_PICKLE_BOOLEAN : NFT_PICKLE_INTEGER, strtoll(text, NULL, 10));
}

static nft_status push_real(nft_pickle *p)
{
    const uint8_t *bytes = NULL;
    nft_pickle_ref ref = NFT_PICKLE_NO_VALUE;
    uint64_t bits = 0;
    nft_status status = nft_pickle_take(p, 8, &bytes);
    for (int i = 0; i < 8 && !status; i++)
        bits = bits << 8 | bytes[i];
    if (!status)
        status = nft_pickle_push_new(p, NFT_PICKLE_REAL, &ref);
    if (!status)
        memcpy(&p->values[ref].as.real, &bits, sizeof bits);
    return status;
}

nft_status nft_pickle_push_class(nft_pickle *p, nft_pickle_ref module, nft_pickle_ref name)
{
    nft_pickle_ref ref = NFT_PICKLE_NO_VALUE;
    nft_status status = nft_pickle_push_new(p, NFT_PICKLE_CLASS, &ref);
    if (status)
        return status;
    p->values[ref].as.type.module = module;
    p->values[ref].as.type.name = name;
    return NFT_OK;
}

static nft_status run_global(nft_pickle *p)
{
    const char *module = NULL, *name = NULL;
    int64_t module_length = 0, name_length = 0;
    nft_pickle_ref module_ref = NFT_PICKLE_NO_VALUE, name_ref = NFT_PICKLE_NO_VALUE;
    nft_status status = nft_pickle_take_line(p, &module, &module_length);
    if (!status)
        status = nft_pickle_take_line(p, &name, &name_length);
    if (!status)
        status = new_text(p, NFT_PICKLE_TEXT, module, module_length, &module_ref);
    if (!status)
        status = new_text(p, NFT_PICKLE_TEXT, name, name_length, &name_ref);
    return status ? status : nft_pickle_push_class(p, module_ref, name_ref);
}

static nft_status push_kind(nft_pickle *p, nft_pickle_kind kind)
{
    nft_pickle_ref ref = NFT_PICKLE_NO_VALUE;
    return nft_pickle_push_new(p, kind, &ref);
}

static nft_status push_signed(nft_pickle *p)
{
    uint64_t bits = 0;
    nft_status status = nft_pickle_take_number(p, 4, &bits);
    return status ? status : push_integer(p, NFT_PICKLE_INTEGER, (int32_t)(uint32_t)bits);
}

static nft_status push_unsigned(nft_pickle *p, int size)
{
    uint64_t bits = 0;
    nft_status status = nft_pickle_take_number(p, size, &bits);
    return status ? status : push_integer(p, NFT_PICKLE_INTEGER, (int64_t)bits);
}

bool nft_pickle_run_literal(nft_pickle *p, uint8_t code, nft_status *status)
{
    switch (code) {
    case 'N':
        return *status = push_kind(p, NFT_PICKLE_NONE), true;
    case 0x88: /* NEWTRUE */
    case 0x89: /* NEWFALSE */
        return *status = push_integer(p, NFT_PICKLE_BOOLEAN, code == 0x88), true;
    case 'J': /* BININT */
        return *status = push_signed(p), true;
    case 'K': /* BININT1 */
        return *status = push_unsigned(p, 1), true;
    case 'M': /* BININT2 */
        return *status = push_unsigned(p, 2), true;
    case 0x8a: /* LONG1 */
        return *status = push_long(p, 1), true;
    case 0x8b: /* LONG4 */
        return *status = push_long(p, 4), true;
    case 'I': /* INT */
    case 'L': /* LONG, with an L behind the digits */
        return *status = push_line_integer(p), true;
    case 'G': /* BINFLOAT */
        return *status = push_real(p), true;
    case 'X': /* BINUNICODE */
    case 'T': /* BINSTRING */
        return *status = push_text(p, NFT_PICKLE_TEXT, 4), true;
    case 0x8c: /* SHORT_BINUNICODE */
    case 'U':  /* SHORT_BINSTRING */
        return *status = push_text(p, NFT_PICKLE_TEXT, 1), true;
    case 0x8d: /* BINUNICODE8 */
        return *status = push_text(p, NFT_PICKLE_TEXT, 8), true;
    case 'C': /* SHORT_BINBYTES */
        return *status = push_text(p, NFT_PICKLE_BYTES, 1), true;
    case 'B': /* BINBYTES */
        return *status = push_text(p, NFT_PICKLE_BYTES, 4), true;
    case 0x8e: /* BINBYTES8 */
    case 0x96: /* BYTEARRAY8 */
        return *status = push_text(p, NFT_PICKLE_BYTES, 8), true;
    case ')': /* EMPTY_TUPLE */
        return *status = push_kind(p, NFT_PICKLE_TUPLE), true;
    case ']':  /* EMPTY_LIST */
    case 0x8f: /* EMPTY_SET */
        return *status = push_kind(p, NFT_PICKLE_LIST), true;
    case '}': /* EMPTY_DICT */
        return *status = push_kind(p, NFT_PICKLE_DICT), true;
    case 'c': /* GLOBAL */
        return *status = run_global(p), true;
    default:
        return false;
    }
}
