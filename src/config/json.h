/* JSON text to checked options: every key is known, of the right type and in range, or the message says what
 * was wrong. */
#ifndef NFT_IO_JSON_H
#define NFT_IO_JSON_H

#include "base/memory.h"

#include <jansson.h>

/* Parses exactly one JSON value of `length` bytes; duplicate keys, NaN and trailing bytes are errors.
 * Messages give line and column. Free with json_decref. */
nft_status nft_json_parse(json_t **value, const char *text, size_t length);
/* As above, within `memory_limit` bytes (0: the machine's memory): the text is measured before jansson takes
 * memory, which may be 80 times as much as the text. Also refuses what is nested deeper than NFT_JSON_DEPTH.
 */
nft_status nft_json_parse_within(json_t **value, const char *text, size_t length, int64_t memory_limit);
#define NFT_JSON_DEPTH 64

/* Appends a value, written with jansson's flags, to text of our own: jansson's dump would come from its
 * allocator. False if it cannot be written, or there is no memory: then text->failed. */
bool nft_json_append(nft_text *text, const json_t *value, size_t flags);

#define NFT_OPTIONS_MAX_KEYS 24

/* A JSON object while it is read. `where` names it in messages ("modules[3] (nft_block)") and must outlive
 * it. */
typedef struct nft_options {
    const json_t *object;
    const char *where;
    const char *known[NFT_OPTIONS_MAX_KEYS]; /* keys that were asked for */
    int known_count;
} nft_options;

nft_status nft_options_open(nft_options *options, const json_t *value,
                            const char *where); /* an error unless an object */

/* Each reads one key: absent leaves *value, the default, as it is, unless `required`. Ranges are inclusive.
 */
nft_status nft_options_integer(nft_options *options, const char *key, bool required, int64_t minimum,
                               int64_t maximum, int64_t *value);
nft_status nft_options_number(nft_options *options, const char *key, bool required, double minimum,
                              double maximum, double *value); /* integers count as numbers */
nft_status nft_options_boolean(nft_options *options, const char *key, bool required, bool *value);
nft_status nft_options_text(nft_options *options, const char *key, bool required,
                            const char **value); /* borrowed */
nft_status nft_options_choice(nft_options *options, const char *key, bool required,
                              const char *const *choices, int choice_count,
                              int *value); /* index of the text; the message lists the choices */
nft_status nft_options_value(nft_options *options, const char *key, bool required,
                             const json_t **value); /* any type; JSON null counts as absent */

/* The last call for an object: a key that was never asked for is an error that suggests the nearest known
 * one. */
nft_status nft_options_finish(const nft_options *options);

#endif
