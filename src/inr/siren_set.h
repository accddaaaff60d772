/* Checks of the arguments of the functions of inr.h. */
#ifndef NFT_INR_SIREN_SET_H
#define NFT_INR_SIREN_SET_H

#include "siren/form.h"
#include "space/weights.h"

/* An error that begins with the function's name, unless the set's networks are SIRENs, one in each channel.
 */
nft_status nft_check_siren_features(const char *function, const nft_weights *weights);
/* The same for a set of one channel that will be written. */
nft_status nft_check_own_siren_set(const char *function, const nft_weights *weights);

/* Copies the caller's options over `filled`, a struct of `bytes` bytes that begins with its size. The options
 * of an older caller are shorter, and missing fields keep their defaults. NULL: all fields do. */
nft_status nft_fill_inr_options(const char *function, void *filled, const void *options, size_t bytes);

/* Replaces 0 by the default. */
nft_status nft_fill_threads(const char *function, int32_t *threads);
/* The form of a set's networks: `omega` in every layer, or with 0 as the metadata of the set say, and the
 * default where they say nothing. The offset is that of the metadata. */
nft_status nft_fill_form(const char *function, nft_siren_form *form, const nft_weights *weights,
                         double omega);
/* Notes `omega` in the metadata of a set unless it is 0. New values are in no canonical form. */
nft_status nft_note_form(nft_weights *weights, double omega);

#endif
