/* Suggestions for misspelt words. */
#ifndef NFT_BASE_NEAREST_H
#define NFT_BASE_NEAREST_H

/* Index of the word that `text` may have been meant for: the one with the least edit distance, -1 if more
 * than half of the longer one's letters would have to change. */
int nft_nearest(const char *text, const char *const *words, int count);

#endif
