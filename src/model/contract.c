#include "model/contract.h"

#include "config/json.h"
#include "siren/form.h"

#include <stdio.h>
#include <string.h>

#define FIRST_JSON 4

const char *const nft_contract_keys[NFT_CONTRACT_KEYS] = {NFT_CANONICAL_KEY, NFT_OMEGA_KEY, NFT_OFFSET_KEY,
                                                          "nft.image",       "nft.classes", "nft.fit"};

static bool same_json(const char *a, const char *b)
{
    json_t *left = NULL, *right = NULL;
    bool same = !nft_json_parse(&left, a, strlen(a)) && !nft_json_parse(&right, b, strlen(b)) &&
                json_equal(left, right);
    json_decref(left);
    json_decref(right);
    return same;
}

bool nft_contract_same(int64_t key, const char *a, const char *b)
{
    if (!strcmp(a, b))
        return true;
    if (key == NFT_CONTRACT_OMEGA)
        return nft_siren_same_omega(a, b);
    if (key == NFT_CONTRACT_OFFSET)
        return nft_siren_same_offset(a, b);
    return key >= FIRST_JSON && same_json(a, b);
}

bool nft_contract_allows(int64_t key, const char *expected, const char *found)
{
    if (key == NFT_CONTRACT_OFFSET)
        return nft_siren_same_offset(expected ? expected : "0", found ? found : "0");
    if (!expected || (!found && key >= NFT_CONTRACT_STRICT))
        return true;
    return found && nft_contract_same(key, expected, found);
}

/* The members of an object that another does not have, or has otherwise. */
static void append_difference(nft_text *text, const json_t *object, json_t *other)
{
    const char *name = NULL;
    json_t *value = NULL, *difference = json_object();
    json_object_foreach((json_t *)object, name, value) if (!json_equal(value, json_object_get(other, name)) &&
                                                           json_object_set(difference, name, value))
        text->failed = true;
    if (!difference || !nft_json_append(text, difference, JSON_COMPACT | JSON_REAL_PRECISION(9)))
        text->failed = true;
    json_decref(difference);
}

/* Both texts for a message: of JSON objects only the members that differ. Clear them. */
static void contrast(nft_text *found, nft_text *expected, const char *found_text, const char *expected_text)
{
    json_t *left = NULL, *right = NULL;
    bool are_objects = found_text && expected_text &&
                       !nft_json_parse(&left, found_text, strlen(found_text)) &&
                       !nft_json_parse(&right, expected_text, strlen(expected_text)) &&
                       json_is_object(left) && json_is_object(right);
    if (are_objects) {
        append_difference(found, left, right);
        append_difference(expected, right, left);
    } else {
        nft_text_append(found, "%s", found_text ? found_text : "");
        nft_text_append(expected, "%s", expected_text ? expected_text : "");
    }
    json_decref(left);
    json_decref(right);
}

nft_status nft_contract_fail(int64_t key, const char *owner, const char *found, const char *other,
                             const char *expected, const char *repair)
{
    const char *quote = found ? "'" : "", *other_quote = expected ? "'" : "";
    nft_text left = {0}, right = {0};
    contrast(&left, &right, found, expected ? expected : "none");
    nft_status status =
        left.failed || right.failed
            ? nft_fail_memory("a message", 0)
            : nft_fail(NFT_ERROR_MISMATCH, "%s has %s%s%s%s%.80s%s in its metadata, %s has %s%.80s%s: %s",
                       owner, found ? "" : "no ", nft_contract_keys[key], found ? " " : "", quote, left.data,
                       quote, other, other_quote, right.data, other_quote, repair);
    nft_text_clear(&left);
    nft_text_clear(&right);
    return status;
}

const char *nft_contract_repair(int64_t key)
{
    static const char *const repairs[NFT_CONTRACT_KEYS] = {
        "nft_inr_canonicalize() and 'nftool canonicalize' bring them to it",
        "'nftool forward --prepare' scales the weights",
        "'nftool forward --prepare' moves it into the last biases",
        "fit them to images of that size",
        "take a model of these classes",
        "fit them with these settings, or remove the text, as nftool does with --any-fit"};
    return repairs[key];
}

static nft_status copy_texts(nft_contract *contract, const json_t *said)
{
    nft_status status = NFT_OK;
    for (int64_t key = 0; key < NFT_CONTRACT_KEYS && !status; key++) {
        const char *text = json_string_value(json_object_get(said, nft_contract_keys[key]));
        if (text && !(contract->texts[key] = nft_copy_text(text)))
            status = nft_fail_memory("the metadata", (int64_t)strlen(text));
    }
    return status;
}

nft_status nft_contract_read(nft_contract *contract, const nft_model *model)
{
    const char *text = nft_metadata_get(&model->metadata, NFT_TRAINED_ON_KEY);
    json_t *said = NULL;
    *contract = (nft_contract){.said = text != NULL};
    if (!text)
        return NFT_OK;
    nft_status status = nft_json_parse(&said, text, strlen(text));
    if (!status && !json_is_object(said))
        status = nft_fail(NFT_ERROR_FORMAT, "it is no JSON object");
    if (status)
        status = nft_fail_in(status, "'" NFT_TRAINED_ON_KEY "' of the model's metadata");
    else
        status = copy_texts(contract, said);
    json_decref(said);
    if (status)
        nft_contract_clear(contract);
    return status;
}

nft_status nft_contract_check_data(const nft_contract *contract, const nft_metadata *data)
{
    for (int64_t key = 0; key < NFT_CONTRACT_KEYS && contract->said; key++) {
        const char *name = nft_contract_keys[key], *expected = contract->texts[key];
        const char *found = nft_metadata_get(data, name);
        if (nft_contract_allows(key, expected, found))
            continue;
        char repair[192];
        snprintf(repair, sizeof repair, "%s%s", nft_contract_repair(key),
                 found ? "" : ", or add it with nft_weights_set_metadata() if it is true of them");
        return nft_contract_fail(key, "the set of weights", found, "the model's training set",
                                 expected ? expected : "0", repair);
    }
    return NFT_OK;
}

void nft_contract_clear(nft_contract *contract)
{
    for (int64_t key = 0; key < NFT_CONTRACT_KEYS; key++)
        nft_release(contract->texts[key]);
    *contract = (nft_contract){.said = false};
}
