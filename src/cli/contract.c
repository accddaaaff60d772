#include "contract.h"

#include "nft/train.h"
#include "omega.h"
#include "report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLASSES_KEY "nft.classes"

/* A key of the contract that the data lack or have with another text. */
typedef struct difference {
    const char *key, *expected, *found; /* found: NULL if the data do not say */
} difference;

/* Compared only where both sides have them. */
static bool is_soft(const char *key)
{
    return !strcmp(key, CLASSES_KEY) || !strcmp(key, FIT_KEY);
}

static bool same_json(const char *a, const char *b)
{
    json_t *left = json_loads(a, 0, NULL), *right = json_loads(b, 0, NULL);
    bool same = left && right && json_equal(left, right);
    json_decref(left);
    json_decref(right);
    return same;
}

static bool same_text(const char *key, const char *a, const char *b)
{
    cli_omega left = noted_omega(a), right = noted_omega(b);
    if (!strcmp(key, OMEGA_KEY) && same_omega(&left, &right))
        return true;
    if (!strcmp(key, OFFSET_KEY))
        return same_offset(a, b);
    return !strcmp(a, b) || (is_soft(key) && same_json(a, b));
}

/* Parts of the input that differ in one of the keys; the first. */
static bool find_difference(difference *d, const cli_input *input)
{
    for (int64_t part = 0; part < nft_dataset_describe(input->dataset)->part_count; part++) {
        d->found = nft_dataset_metadata(input->dataset, part, d->key);
        if (!d->found && !strcmp(d->key, OFFSET_KEY))
            d->found = "0";
        if (d->found ? !same_text(d->key, d->found, d->expected) : !is_soft(d->key))
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
        "%s: its networks have no canonical form by its metadata, those of the model's training set have "
        "'%s': 'nftool canonicalize %s -o NEW' brings them to it, and so does --prepare",
        input->path, d->expected, input->path);
}

static const char *repair_of(const difference *d)
{
    if (!strcmp(d->key, OFFSET_KEY))
        return ": --prepare moves it into the last biases";
    if (!strcmp(d->key, CLASSES_KEY))
        return ": the model knows other classes";
    if (!strcmp(d->key, FIT_KEY))
        return "; 'nftool fit' makes such, and --any-fit takes these";
    return !strcmp(d->key, OMEGA_KEY) && noted_omega(d->found).count ? ": --prepare scales the weights"
                                                                     : "; 'nftool fit' makes such";
}

/* The members of one JSON object that another does not have, or has otherwise. NULL: these are no objects. */
static char *members_that_differ(const char *text, const char *other)
{
    json_t *object = json_loads(text, 0, NULL), *expected = json_loads(other, 0, NULL);
    json_t *apart = json_object(), *value = NULL;
    const char *name = NULL;
    char *written = NULL;
    json_object_foreach(object, name, value) if (!json_equal(value, json_object_get(expected, name)))
        json_object_set(apart, name, value);
    if (json_is_object(object) && json_is_object(expected))
        written = json_dumps(apart, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(apart);
    json_decref(expected);
    json_decref(object);
    return written;
}

static int fail_fit(const cli_input *input, const difference *d)
{
    char *found = members_that_differ(d->found, d->expected);
    char *expected = members_that_differ(d->expected, d->found);
    int failed =
        fail("%s: its networks have fit %.80s by its metadata, those of the model's training set fit "
             "%.80s%s",
             input->path, found ? found : d->found, expected ? expected : d->expected, repair_of(d));
    free(found);
    free(expected);
    return failed;
}

static int fail_difference(const cli_input *input, const difference *d)
{
    if (!strcmp(d->key, CANONICAL_KEY))
        return fail_form(input, d);
    if (!strcmp(d->key, OMEGA_KEY) && !d->found)
        return fail("%s: its metadata do not say omega, and the model was trained on networks of omega "
                    "%.80s; if these "
                    "have it, too, 'nftool canonicalize %s --omega %.80s -o NEW' notes it",
                    input->path, d->expected, input->path, d->expected);
    if (!strcmp(d->key, FIT_KEY))
        return fail_fit(input, d);
    const char *word = d->key + strlen("nft.");
    return fail(
        "%s: its networks have %s%s%s%.80s by its metadata, those of the model's training set %s %.80s%s",
        input->path, d->found ? "" : "no ", word, d->found ? " " : "", d->found ? d->found : "", word,
        d->expected, repair_of(d));
}

/* Whether --prepare repairs it, on the way. */
static bool prepare(cli_input *input, const difference *d)
{
    if (!strcmp(d->key, CANONICAL_KEY) && !strcmp(d->expected, SIGN_PHASE)) {
        input->canonicalize = true;
        return true;
    }
    if (!strcmp(d->key, OFFSET_KEY) && strlen(d->expected) < OFFSET_CAPACITY) {
        snprintf(input->offset, sizeof input->offset, "%s", d->expected);
        input->shift = true;
        return true;
    }
    cli_omega to = noted_omega(d->expected);
    if (strcmp(d->key, OMEGA_KEY) != 0 || !to.count)
        return false;
    for (int64_t part = 0; part < nft_dataset_describe(input->dataset)->part_count; part++)
        if (!noted_omega(nft_dataset_metadata(input->dataset, part, OMEGA_KEY)).count)
            return false;
    write_omega(input->omega, &to, 17);
    input->scale = true;
    return true;
}

static int check_key(cli_input *input, const char *key, const json_t *said, bool repairs)
{
    difference d = {key, json_string_value(json_object_get(said, key)), NULL};
    if (said && !d.expected && !strcmp(key, OFFSET_KEY))
        d.expected = "0";
    if (!d.expected || !find_difference(&d, input) || (repairs && prepare(input, &d)))
        return EXIT_SUCCESS;
    return fail_difference(input, &d);
}

bool has_other_space(const cli_input *input, const nft_model *model)
{
    const nft_space *expected = nft_model_describe(model)->space;
    return expected && !(input->space && nft_space_equal(expected, input->space));
}

int check_contract(cli_input *input, const nft_model *model, const cli_options *given)
{
    static const char *const keys[] = {OMEGA_KEY,   CANONICAL_KEY, OFFSET_KEY,
                                       "nft.image", CLASSES_KEY,   FIT_KEY};
    const char *text = has_other_space(input, model) ? NULL : nft_model_metadata(model, "nft.trained_on");
    json_t *said = text ? json_loads(text, 0, NULL) : NULL;
    int failed = EXIT_SUCCESS;
    if (text && !said)
        return fail("%s: 'nft.trained_on' of its metadata is no JSON", given->operands[0]);
    input->any_fit = option_text(given, "any-fit") != NULL;
    for (size_t i = 0; i < sizeof keys / sizeof *keys && !failed; i++)
        if (!input->any_fit || strcmp(keys[i], FIT_KEY) != 0)
            failed = check_key(input, keys[i], said, option_text(given, "prepare") != NULL);
    json_decref(said);
    return failed;
}
