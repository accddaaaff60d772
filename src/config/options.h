/* Checked options: every key is known, of the right type and in range. Otherwise the message has the fault
 * and its place. Code that reads options does not see the JSON library. */
#ifndef NFT_CONFIG_OPTIONS_H
#define NFT_CONFIG_OPTIONS_H

#include "base/memory.h"

/* A JSON value: jansson's json_t. */
typedef struct json_t nft_json;

#define NFT_OPTIONS_MAX_KEYS 24

/* A JSON object while it is read. `where` names it in messages ("modules[3] (nft_block)") and must outlive
 * it. */
typedef struct nft_options {
    const nft_json *object;
    const char *where;
    const char *known[NFT_OPTIONS_MAX_KEYS]; /* keys that were asked for */
    int known_count;
} nft_options;

nft_status nft_options_open(nft_options *options, const nft_json *value,
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
/* A list of such texts: chosen[i] says whether choices[i] is in it. */
nft_status nft_options_choices(nft_options *options, const char *key, bool required,
                               const char *const *choices, int choice_count, bool *chosen);
nft_status nft_options_value(nft_options *options, const char *key, bool required,
                             const nft_json **value); /* any type; JSON null counts as absent */

/* The last call for an object: a key that was never asked for is an error that suggests the nearest known
 * one. */
nft_status nft_options_finish(const nft_options *options);

#endif
