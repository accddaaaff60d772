/* JSON text, parsed and written with jansson. */
#ifndef NFT_IO_JSON_H
#define NFT_IO_JSON_H

#include "config/options.h"

#include <jansson.h>

/* Parses exactly one JSON value of `length` bytes; duplicate keys, NaN and trailing bytes are errors.
 * Messages give line and column. Free with json_decref. */
nft_status nft_json_parse(json_t **value, const char *text, size_t length);
/* As above, within `memory_limit` bytes (0: the machine's memory). The text is measured before jansson takes
 * memory, which may be 80 times as much as the text. A text that is nested deeper than NFT_JSON_DEPTH is
 * refused too. */
nft_status nft_json_parse_within(json_t **value, const char *text, size_t length, int64_t memory_limit);
#define NFT_JSON_DEPTH 64

/* Appends a value, written with jansson's flags, to text of our own: jansson's dump would come from its
 * allocator. False if it cannot be written, or there is no memory: then text->failed. */
bool nft_json_append(nft_text *text, const json_t *value, size_t flags);

#endif
