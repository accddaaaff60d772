#include "escape.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Reads one character of UTF-8. Returns its bytes; 0 if these are none. */
static int read_character(uint32_t *code, const unsigned char *bytes)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    int length = bytes[0] < 0x80   ? 1
                 : bytes[0] < 0xc2 ? 0
                 : bytes[0] < 0xe0 ? 2
                 : bytes[0] < 0xf0 ? 3
                 : bytes[0] < 0xf5 ? 4
                                   : 0;
    *code = length > 1 ? bytes[0] & (0x7fu >> length) : bytes[0];
    for (int i = 1; i < length; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
        *code = *code << 6 | (bytes[i] & 0x3fu);
    }
    return length && *code >= least[length] && *code <= 0x10ffff ? length : 0;
}

/* Unicode's categories Cc, Zl and Zp, and the characters that change the direction of text. */
static bool is_control(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x61c || code == 0x200e ||
           code == 0x200f || (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

size_t escape_text(char *copy, size_t size, const char *text)
{
    size_t used = 0;
    for (const unsigned char *next = (const unsigned char *)text; *next;) {
        char piece[16];
        uint32_t code;
        int bytes = read_character(&code, next);
        if (!bytes || (is_control(code) && code < 0x80))
            snprintf(piece, sizeof piece, "\\x%02x", *next);
        else if (is_control(code))
            snprintf(piece, sizeof piece, "\\u%04x", (unsigned)code);
        else
            snprintf(piece, sizeof piece, "%.*s", bytes, (const char *)next);
        size_t length = strlen(piece);
        if (used + length >= size)
            break;
        memcpy(copy + used, piece, length);
        used += length;
        next += bytes ? bytes : 1;
    }
    copy[used] = 0;
    return used;
}
