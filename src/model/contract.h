/* The contract between a model and data: texts of the metadata of its training set (`nft.trained_on`), which
 * the networks that it runs on must have too. */
#ifndef NFT_MODEL_CONTRACT_H
#define NFT_MODEL_CONTRACT_H

#include "model/model.h"

/* Where a model notes it: a JSON object of the data's own texts. */
#define NFT_TRAINED_ON_KEY "nft.trained_on"

/* The keys that count. Data must have the first NFT_CONTRACT_STRICT as they were; the others are compared
 * where both sides have them. */
#define NFT_CONTRACT_KEYS 6
#define NFT_CONTRACT_STRICT 4
/* Their places. */
#define NFT_CONTRACT_CANONICAL 0
#define NFT_CONTRACT_OMEGA 1
#define NFT_CONTRACT_OFFSET 2
#define NFT_CONTRACT_FIT 5 /* the last; the parts of a training set may differ in it */
extern const char *const nft_contract_keys[NFT_CONTRACT_KEYS];

typedef struct nft_contract {
    bool said;                      /* the model was trained on data that said something */
    char *texts[NFT_CONTRACT_KEYS]; /* owned; NULL: the training set did not say */
} nft_contract;

/* Whether two texts of a key mean the same: numbers as numbers, JSON as JSON. */
bool nft_contract_same(int64_t key, const char *a, const char *b);
/* Whether data with `found` may stand where `expected` was; either may be NULL. No offset is the offset 0. */
bool nft_contract_allows(int64_t key, const char *expected, const char *found);
/* How data that differ in a key can be repaired. */
const char *nft_contract_repair(int64_t key);

/* NFT_ERROR_MISMATCH: "OWNER has KEY 'found' in its metadata, OTHER has 'expected': REPAIR". Of two JSON
 * objects it shows only the members that differ. Either text may be NULL: there is none. */
nft_status nft_contract_fail(int64_t key, const char *owner, const char *found, const char *other,
                             const char *expected, const char *repair);

/* NFT_ERROR_FORMAT if the model's metadata cannot be read. */
nft_status nft_contract_read(nft_contract *contract, const nft_model *model);
/* NFT_ERROR_MISMATCH names the first key that differs, both texts and the repair. */
nft_status nft_contract_check_data(const nft_contract *contract, const nft_metadata *data);
void nft_contract_clear(nft_contract *contract);

#endif
