/* Text of others on a terminal: names and paths may hold sequences that a terminal obeys. */
#ifndef NFT_CLI_ESCAPE_H
#define NFT_CLI_ESCAPE_H

#include <stddef.h>

/* Copies `text` and writes out every character that a terminal may obey: C0 and DEL as \x1b; C1,
 * bidirectional controls and line separators as \u009b; bytes that are no UTF-8 as \x9b. Where `size` bytes
 * are too few it ends with a whole character. Returns the length of the copy. */
size_t escape_text(char *copy, size_t size, const char *text);

#endif
