#include "train/contract.h"

#include "config/json.h"

#include <inttypes.h>
#include <string.h>

/* The first four must agree. */
static const char *const keys[] = {"nft.canonical", "nft.omega",   "nft.offset",
                                   "nft.image",     "nft.classes", "nft.fit"};
#define KEYS (int)(sizeof keys / sizeof *keys)
#define STRICT_KEYS 4

static const char *text_of(const nft_set *set, int64_t part, const char *key)
{
    if (set->dataset)
        return nft_dataset_metadata(set->dataset, part, key);
    return set->parts[part].weights ? nft_weights_metadata(set->parts[part].weights, key) : NULL;
}

static nft_status compare(const nft_set *train, const nft_set *other, int64_t part, const char *what)
{
    for (int k = 0; k < STRICT_KEYS; k++) {
        const char *expected = text_of(train, 0, keys[k]), *found = text_of(other, part, keys[k]);
        if (expected == found || (expected && found && !strcmp(expected, found)))
            continue;
        return nft_fail(NFT_ERROR_MISMATCH,
                        "part %" PRId64
                        " of the %s set has %s '%.80s' in its metadata, the first of the training "
                        "set has '%.80s'",
                        part, what, keys[k], found ? found : "", expected ? expected : "");
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
    return set->part_count && text_of(set, 0, keys[0]);
}

nft_status nft_contract_note(nft_model *model, const nft_set *train)
{
    nft_text text = {0};
    json_t *object = json_object();
    bool made = object != NULL;
    for (int k = 0; k < KEYS && train->count && made; k++) {
        const char *said = text_of(train, 0, keys[k]);
        made = !said || !json_object_set_new(object, keys[k], json_string(said));
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
