#include "train/contract.h"

#include "config/json.h"
#include "siren/siren.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *nft_contract_text(const nft_set *set, int64_t part, const char *key)
{
    if (set->dataset)
        return nft_dataset_metadata(set->dataset, part, key);
    return set->parts[part].weights ? nft_weights_metadata(set->parts[part].weights, key) : NULL;
}

/* The text that all parts of a set have for a key; NULL if they differ. */
static const char *text_of_all(const nft_set *set, int64_t key)
{
    const char *name = nft_contract_keys[key], *first = nft_contract_text(set, 0, name);
    for (int64_t part = 1; first && part < set->part_count; part++) {
        const char *text = nft_contract_text(set, part, name);
        if (!text || !nft_contract_same(key, first, text))
            return NULL;
    }
    return first;
}

static bool is_repaired(const nft_siren_repair *repair, int64_t key)
{
    return (key == NFT_CONTRACT_OMEGA && repair->scale) || (key == NFT_CONTRACT_OFFSET && repair->shift) ||
           (key == NFT_CONTRACT_CANONICAL && repair->canonicalize);
}

static nft_status fail_part(int64_t key, int64_t part, const char *what, const char *found,
                            const char *expected)
{
    char owner[64];
    snprintf(owner, sizeof owner, "part %" PRId64 " of the %s set", part, what);
    return nft_contract_fail(key, owner, found, "the first of the training set", expected,
                             nft_contract_repair(key));
}

static nft_status compare(const nft_set *train, const nft_set *other, int64_t part, int64_t keys,
                          const char *what)
{
    for (int64_t k = 0; k < keys; k++) {
        const char *found = nft_contract_text(other, part, nft_contract_keys[k]);
        const char *expected =
            train == other ? nft_contract_text(train, 0, nft_contract_keys[k]) : text_of_all(train, k);
        if (is_repaired(&other->parts[part].repair, k))
            continue;
        if (nft_contract_allows(k, expected, found) && nft_contract_allows(k, found, expected))
            continue;
        return fail_part(k, part, what, found, expected);
    }
    return NFT_OK;
}

/* Whether a part of files differs in a key from the first part of the training set. */
static bool differs(const nft_set *train, const nft_set *set, int64_t part, int64_t key)
{
    const char *name = nft_contract_keys[key], *expected = nft_contract_text(train, 0, name),
               *found = nft_contract_text(set, part, name);
    return set->dataset && !nft_contract_allows(key, expected, found);
}

static nft_status read_form(nft_siren_form *form, const nft_set *set, int64_t part)
{
    *form = nft_siren_plain(NFT_DEFAULT_OMEGA);
    return nft_siren_form_read(form, nft_contract_text(set, part, NFT_OMEGA_KEY),
                               nft_contract_text(set, part, NFT_OFFSET_KEY));
}

static nft_status prepare_part(const nft_set *train, nft_set *set, int64_t part)
{
    nft_siren_repair *repair = &set->parts[part].repair;
    const char *form = nft_contract_text(train, 0, NFT_CANONICAL_KEY);
    *repair = (nft_siren_repair){.scale = differs(train, set, part, NFT_CONTRACT_OMEGA) &&
                                          nft_contract_text(set, part, NFT_OMEGA_KEY),
                                 .shift = differs(train, set, part, NFT_CONTRACT_OFFSET),
                                 .canonicalize = differs(train, set, part, NFT_CONTRACT_CANONICAL) && form &&
                                                 !strcmp(form, NFT_SIGN_PHASE)};
    if (!repair->scale && !repair->shift && !repair->canonicalize)
        return NFT_OK;
    nft_status status = nft_siren_check_space(set->parts[part].space);
    if (!status)
        status = read_form(&repair->from, set, part);
    return status ? status : read_form(&repair->to, train, 0);
}

nft_status nft_contract_prepare(nft_set *train, nft_set *validation)
{
    nft_status status = NFT_OK;
    for (int64_t i = 1; train->dataset && i < train->part_count && !status; i++)
        status = prepare_part(train, train, i);
    for (int64_t i = 0; train->count && i < validation->part_count && !status; i++)
        status = prepare_part(train, validation, i);
    return status ? nft_fail_in(status, "prepare") : NFT_OK;
}

/* The fit is the last of them. */
static int64_t keys_that_count(bool any_fit)
{
    return any_fit ? NFT_CONTRACT_FIT : NFT_CONTRACT_KEYS;
}

nft_status nft_contract_check(const nft_set *train, const nft_set *validation, bool any_fit)
{
    nft_status status = NFT_OK;
    if (!train->count)
        return NFT_OK;
    for (int64_t i = 1; i < train->part_count && !status; i++)
        status = compare(train, train, i, NFT_CONTRACT_FIT, "training");
    for (int64_t i = 0; validation->count && i < validation->part_count && !status; i++)
        status = compare(train, validation, i, keys_that_count(any_fit), "validation");
    return status;
}

/* How a training set can be brought to what the model was trained on. */
static const char *repair_for(int64_t key)
{
    return key == NFT_CONTRACT_OMEGA || key == NFT_CONTRACT_OFFSET
               ? "'nftool canonicalize --prepare' brings them to another frequency or offset"
               : nft_contract_repair(key);
}

static nft_status compare_with_model(const nft_contract *contract, const nft_set *train, int64_t keys)
{
    for (int64_t k = 0; k < keys; k++) {
        const char *expected = contract->texts[k], *found = nft_contract_text(train, 0, nft_contract_keys[k]);
        if (!nft_contract_allows(k, expected, found))
            return nft_contract_fail(k, "the training set", found, "that of the model's earlier training",
                                     expected ? expected : "0", repair_for(k));
    }
    return NFT_OK;
}

nft_status nft_contract_check_model(const nft_model *model, const nft_set *train, bool any_fit)
{
    nft_contract contract;
    if (!train->count || train->parts[0].tokens)
        return NFT_OK;
    nft_status status = nft_contract_read(&contract, model);
    if (!status && contract.said)
        status = compare_with_model(&contract, train, keys_that_count(any_fit));
    nft_contract_clear(&contract);
    return status;
}

bool nft_contract_is_canonical(const nft_set *set)
{
    return set->part_count && nft_contract_text(set, 0, NFT_CANONICAL_KEY);
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
