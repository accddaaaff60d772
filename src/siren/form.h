/* The form of a SIREN that its weights do not show: ω of each layer, and the number that is added to the
 * output. */
#ifndef NFT_SIREN_FORM_H
#define NFT_SIREN_FORM_H

#include "config/options.h"
#include "space/space.h"

#define NFT_DEFAULT_OMEGA 30.0
#define NFT_MIN_OMEGA 1e-6
#define NFT_MAX_OMEGA 1e6
#define NFT_SIREN_OMEGAS 16
/* Where metadata have them. */
#define NFT_OMEGA_KEY "nft.omega"
#define NFT_OFFSET_KEY "nft.offset"
#define NFT_CANONICAL_KEY "nft.canonical"
#define NFT_SIGN_PHASE "sign-phase" /* the form of nft_inr_canonicalize() */

typedef struct nft_siren_form {
    double omega[NFT_SIREN_OMEGAS]; /* of the first layers; the last of them also holds for all that follow */
    int64_t omegas;                 /* at least 1 */
    double offset;
} nft_siren_form;

/* One ω in every layer, and no offset. */
nft_siren_form nft_siren_plain(double omega);
double nft_siren_omega(const nft_siren_form *form, int64_t layer);
/* Replaces ω by that of a text, numbers with commas between ("30" or "30,1"), and the offset by that of
 * another; NULL leaves them. NFT_ERROR_FORMAT names the key. */
nft_status nft_siren_form_read(nft_siren_form *form, const char *omega, const char *offset);
/* Reads the option `omega`, a number or a list of one for each layer; without it ω stays. */
nft_status nft_siren_form_option(nft_siren_form *form, nft_options *options);
/* ω of a JSON number or list; false for anything else. */
bool nft_siren_omega_from_json(nft_siren_form *form, const nft_json *value);
/* The text of ω as metadata have it. NFT_ERROR_MEMORY. */
nft_status nft_siren_write_omega(nft_text *text, const nft_siren_form *form);
/* Whether ω is the same in every layer. */
bool nft_siren_omega_is(const nft_siren_form *form, const nft_siren_form *other);
/* An error if there are more ω than layers. */
nft_status nft_siren_form_check(const nft_siren_form *form, const nft_space *space);
/* Whether two texts say the same ω in every layer, "30" and "30,30" for example. */
bool nft_siren_same_omega(const char *a, const char *b);
/* Whether two texts say the same offset, "0.5" and "0.50" for example. */
bool nft_siren_same_offset(const char *a, const char *b);

#endif
