/* Names that go into files are UTF-8. */
#ifndef NFT_BASE_UTF8_H
#define NFT_BASE_UTF8_H

#include <stdbool.h>

/* As RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF. */
bool nft_is_utf8(const char *text);

#endif
