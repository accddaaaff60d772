/* Patterns of paths, with the place of a label: "*_{label}s/net*.pth". */
#ifndef NFT_IO_COLLECT_PATTERN_H
#define NFT_IO_COLLECT_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

/* Whether the last parts of a path, as many as the pattern has, are as the pattern. A * stands for any
 * characters within a part, as many as fit, `{label}` for at least one, as few as fit; *label and *length
 * receive these. Patterns with | between them are tried in turn. */
bool nft_pattern_matches(const char *pattern, const char *path, const char **label, size_t *length);

#endif
