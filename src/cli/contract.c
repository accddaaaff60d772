#include "contract.h"

#include "nft/train.h"
#include "omega.h"
#include "report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* What the data lack or have otherwise. */
typedef struct difference {
    const char *key, *expected, *found; /* found: NULL if the data do not say */
} difference;

static bool same_text(const char *key, const char *a, const char *b)
{
    if (!strcmp(key, OMEGA_KEY) && (float)noted_omega(a) == (float)noted_omega(b) && noted_omega(a) > 0)
        return true;
    return !strcmp(a, b);
}

/* Parts of the input that differ in one of the keys; the first. */
static bool find_difference(difference *d, const cli_input *input)
{
    for (int64_t part = 0; part < nft_dataset_describe(input->dataset)->part_count; part++) {
        d->found = nft_dataset_metadata(input->dataset, part, d->key);
        if (!d->found || !same_text(d->key, d->found, d->expected))
            return true;
    }
    return false;
}

static int fail_form(const cli_input *input, const difference *d)
{
    if (strcmp(d->expected, SIGN_PHASE) != 0)
        return fail("%s: the model was trained on networks in canonical form '%.40s', which is not known",
                    input->path, d->expected);
    return fail(
        "%s: its networks are not noted to be in canonical form, the model was trained on networks that "
        "are ('%s'): 'nftool canonicalize %s -o NEW' brings them to it, or --prepare does so on the way",
        input->path, d->expected, input->path);
}

static int fail_difference(const cli_input *input, const difference *d)
{
    if (!strcmp(d->key, CANONICAL_KEY))
        return fail_form(input, d);
    bool omega = !strcmp(d->key, OMEGA_KEY);
    const char *word = d->key + strlen("nft.");
    return fail(
        "%s: its networks have %s%s%s%.80s by its metadata, those that the model was trained on %s %.80s%s",
        input->path, d->found ? "" : "no ", word, d->found ? " " : "", d->found ? d->found : "", word,
        d->expected,
        omega && noted_omega(d->found) > 0 ? ": --prepare scales the weights" : "; 'nftool fit' makes such");
}

/* Whether --prepare repairs it, on the way. */
static bool prepare(cli_input *input, const difference *d)
{
    if (!strcmp(d->key, CANONICAL_KEY) && !strcmp(d->expected, SIGN_PHASE)) {
        input->canonicalize = true;
        return true;
    }
    double from = noted_omega(d->found), to = noted_omega(d->expected);
    if (strcmp(d->key, OMEGA_KEY) != 0 || !(from > 0) || !(to > 0) ||
        nft_dataset_describe(input->dataset)->part_count > 1)
        return false;
    input->scale = from / to;
    return true;
}

static int check_key(cli_input *input, const char *key, const json_t *said, bool repairs)
{
    difference d = {key, json_string_value(json_object_get(said, key)), NULL};
    if (!d.expected || !find_difference(&d, input) || (repairs && prepare(input, &d)))
        return EXIT_SUCCESS;
    return fail_difference(input, &d);
}

static double omega_of(const cli_input *input, const json_t *said)
{
    double trained = noted_omega(json_string_value(json_object_get(said, OMEGA_KEY)));
    double own = noted_omega(nft_dataset_metadata(input->dataset, 0, OMEGA_KEY));
    return trained > 0 ? trained : own > 0 ? own : DEFAULT_OMEGA;
}

int check_contract(cli_input *input, const nft_model *model, const cli_options *given)
{
    static const char *const keys[] = {OMEGA_KEY, CANONICAL_KEY, "nft.offset", "nft.image"};
    const char *text = nft_model_metadata(model, "nft.trained_on");
    json_t *said = text ? json_loads(text, 0, NULL) : NULL;
    int failed = EXIT_SUCCESS;
    if (text && !said)
        return fail("%s: 'nft.trained_on' of its metadata is no JSON", given->operands[0]);
    input->omega = omega_of(input, said);
    for (size_t i = 0; i < sizeof keys / sizeof *keys && !failed; i++)
        failed = check_key(input, keys[i], said, option_text(given, "prepare") != NULL);
    json_decref(said);
    return failed;
}
