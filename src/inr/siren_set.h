/* Checks of the arguments of the functions of inr.h. */
#ifndef NFT_INR_SIREN_SET_H
#define NFT_INR_SIREN_SET_H

#include "space/weights.h"

/* An error that begins with the function's name, unless the set's networks are SIRENs with one channel. */
nft_status nft_check_siren_set(const char *function, const nft_weights *weights);
/* The same for a set that will be written. */
nft_status nft_check_own_siren_set(const char *function, const nft_weights *weights);

/* Copies the caller's options over `filled`, a struct of `bytes` bytes that begins with its size. The options
 * of an older caller are shorter, and missing fields keep their defaults. NULL: all fields do. */
nft_status nft_fill_inr_options(const char *function, void *filled, const void *options, size_t bytes);

/* Replaces 0 by the default. */
nft_status nft_fill_threads(const char *function, int32_t *threads);
nft_status nft_fill_omega(const char *function, double *omega);

#endif
