/* Suggestions for misspelt words. */
#ifndef NFT_BASE_NEAREST_H
#define NFT_BASE_NEAREST_H

/* Index of the word with the least edit distance to `text`; count ≥ 1. */
int nft_nearest(const char *text, const char *const *words, int count);

#endif
