/* Names that go into files are UTF-8. */
#ifndef NFT_BASE_UTF8_H
#define NFT_BASE_UTF8_H

#include <stdbool.h>

/* As RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF. */
bool nft_is_utf8(const char *text);

/* Writes '?' over every byte of a character that a terminal may obey: C0, DEL and C1 controls, line
 * separators, bidirectional controls; and over bytes that are no UTF-8 where they would be C1 in another
 * encoding. */
void nft_hide_controls(char *text);

#endif
