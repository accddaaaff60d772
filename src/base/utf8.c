#include "base/utf8.h"

#include <stdint.h>
#include <string.h>

/* Bytes of the sequence that begins here, 0 if it is none. The final 0 of the text ends every sequence. */
static int read_sequence(const unsigned char *s, uint32_t *read)
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
    *read = code;
    return overlong || surrogate || code > 0x10ffff ? 0 : length;
}

bool nft_is_utf8(const char *text)
{
    int length = 1;
    uint32_t code;
    for (const unsigned char *s = (const unsigned char *)text; *s && length; s += length)
        length = read_sequence(s, &code);
    return length != 0;
}

/* Unicode's categories Cc, Zl and Zp, and the characters that change the direction of text. */
static bool is_control(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x61c || code == 0x200e ||
           code == 0x200f || (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

void nft_hide_controls(char *text)
{
    uint32_t code;
    for (unsigned char *s = (unsigned char *)text; *s;) {
        int length = read_sequence(s, &code), bytes = length ? length : 1;
        if (is_control(length ? code : *s))
            memset(s, '?', (size_t)bytes);
        s += bytes;
    }
}
