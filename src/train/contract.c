#include "train/contract.h"

#include "config/json.h"
#include "siren/form.h"

#include <inttypes.h>

static const char *text_of(const nft_set *set, int64_t part, const char *key)
{
    if (set->dataset)
        return nft_dataset_metadata(set->dataset, part, key);
    return set->parts[part].weights ? nft_weights_metadata(set->parts[part].weights, key) : NULL;
}

/* What all parts of a set say of a key; NULL if they do not say the same. */
static const char *text_of_all(const nft_set *set, int64_t key)
{
    const char *name = nft_contract_keys[key], *first = text_of(set, 0, name);
    for (int64_t part = 1; first && part < set->part_count; part++) {
        const char *text = text_of(set, part, name);
        if (!text || !nft_contract_same(key, first, text))
            return NULL;
    }
    return first;
}

static nft_status compare(const nft_set *train, const nft_set *other, int64_t part, const char *what)
{
    int64_t keys = train == other ? NFT_CONTRACT_FIT : NFT_CONTRACT_KEYS;
    for (int64_t k = 0; k < keys; k++) {
        const char *found = text_of(other, part, nft_contract_keys[k]);
        const char *expected =
            train == other ? text_of(train, 0, nft_contract_keys[k]) : text_of_all(train, k);
        if (nft_contract_allows(k, expected, found) && nft_contract_allows(k, found, expected))
            continue;
        return nft_fail(NFT_ERROR_MISMATCH,
                        "part %" PRId64
                        " of the %s set has %s '%.80s' in its metadata, the first of the training "
                        "set has '%.80s': %s",
                        part, what, nft_contract_keys[k], found ? found : "", expected ? expected : "",
                        nft_contract_repair(k));
    }
    return NFT_OK;
}

nft_status nft_contract_check(const nft_set *train, const nft_set *validation)
{
    nft_status status = NFT_OK;
    if (!train->count)
        return NFT_OK;
    for (int64_t i = 1; i < train->part_count && !status; i++)
        status = compare(train, train, i, "training");
    for (int64_t i = 0; validation->count && i < validation->part_count && !status; i++)
        status = compare(train, validation, i, "validation");
    return status;
}

bool nft_contract_is_canonical(const nft_set *set)
{
    return set->part_count && text_of(set, 0, NFT_CANONICAL_KEY);
}

nft_status nft_contract_note(nft_model *model, const nft_set *train)
{
    nft_text text = {0};
    json_t *object = json_object();
    bool made = object != NULL;
    for (int64_t k = 0; k < NFT_CONTRACT_KEYS && train->count && made; k++) {
        const char *said = text_of_all(train, k);
        made = !said || !json_object_set_new(object, nft_contract_keys[k], json_string(said));
    }
    nft_status status = NFT_OK;
    if (!made || (json_object_size(object) && !nft_json_append(&text, object, JSON_COMPACT)))
        status = nft_fail_memory("the metadata", 0);
    else if (json_object_size(object))
        status = nft_model_set_metadata(model, NFT_TRAINED_ON_KEY, text.data);
    nft_text_clear(&text);
    json_decref(object);
    return status;
}
