/* The contract metadata of data sets, and the note about them in a model that was trained on them. */
#ifndef NFT_TRAIN_CONTRACT_H
#define NFT_TRAIN_CONTRACT_H

#include "model/contract.h"
#include "train/sets.h"

/* All parts of both sets must say the same of form, frequency, offset and image, and the validation set the
 * same of its fit unless `any_fit`. The validation set may be empty. */
nft_status nft_contract_check(const nft_set *train, const nft_set *validation, bool any_fit);
/* A model that was trained before has a note about its training set: the first part of the new one must say
 * the same, as networks that the model runs on; of its fit unless `any_fit`. */
nft_status nft_contract_check_model(const nft_model *model, const nft_set *train, bool any_fit);
/* The set says that its networks are in canonical form. */
bool nft_contract_is_canonical(const nft_set *set);
/* A text of the metadata of a part; NULL: there is none. */
const char *nft_contract_text(const nft_set *set, int64_t part, const char *key);
/* Sets the repairs of all parts that are read from files, so that their networks have the form of the first
 * part of the training set. The space is one of SIRENs. Call it before nft_contract_check(), which then
 * compares the rest. */
nft_status nft_contract_prepare(nft_set *train, nft_set *validation);
/* Writes the set's contract metadata into those of a model; nothing if the set has none. */
nft_status nft_contract_note(nft_model *model, const nft_set *train);

#endif
