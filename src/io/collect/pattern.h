/* Patterns of paths, with the place of a label: "*_{label}s/net*.pth". */
#ifndef NFT_IO_COLLECT_PATTERN_H
#define NFT_IO_COLLECT_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

/* Whether the last parts of a path match the pattern, as many parts as it has. Within a part * stands for any
 * characters, as many as fit. `{label}` stands for at least one, as few as fit; *label and *length receive
 * these. Patterns with | between them are tried in turn. */
bool nft_pattern_matches(const char *pattern, const char *path, const char **label, size_t *length);

#endif
