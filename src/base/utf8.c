#include "base/utf8.h"

#include <stdint.h>

/* Bytes of the sequence that begins here, 0 if it is none. The final 0 of the text ends every sequence. */
static int sequence_length(const unsigned char *s)
{
    int length = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;
    uint32_t code = length > 1 ? s[0] & (0x7fu >> length) : s[0];
    for (int i = 1; i < length; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (s[i] & 0x3fu);
    }
    bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
    bool surrogate = code >= 0xd800 && code < 0xe000;
    return overlong || surrogate || code > 0x10ffff ? 0 : length;
}

bool nft_is_utf8(const char *text)
{
    int length = 1;
    for (const unsigned char *s = (const unsigned char *)text; *s && length; s += length)
        length = sequence_length(s);
    return length != 0;
}
