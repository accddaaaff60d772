#include "siren/form.h"

#include "config/json.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

nft_siren_form nft_siren_plain(double omega)
{
    return (nft_siren_form){.omega = {omega}, .omegas = 1};
}

double nft_siren_omega(const nft_siren_form *form, int64_t layer)
{
    return form->omega[layer < form->omegas ? layer : form->omegas - 1];
}

/* The numbers of a text as a JSON list. */
static nft_status parse(json_t **list, const char *text)
{
    nft_text brackets = {0};
    *list = NULL;
    nft_text_append(&brackets, "[%s]", text);
    nft_status status = brackets.failed ? nft_fail_memory("the metadata", (int64_t)strlen(text))
                                        : nft_json_parse(list, brackets.data, brackets.length);
    nft_text_clear(&brackets);
    return status;
}

static nft_status fail_text(const char *key, const char *text, const char *expected)
{
    return nft_fail(NFT_ERROR_FORMAT, "'%s' of the metadata is '%.80s', expected %s", key, text, expected);
}

static nft_status read_omega(nft_siren_form *form, const char *text)
{
    const char *expected = "a number from 1e-6 to 1e6, or one for each layer with commas between, at most 16";
    json_t *list = NULL;
    nft_status status = parse(&list, text);
    size_t count = json_array_size(list);
    if (status == NFT_ERROR_FORMAT || (!status && (!count || count > NFT_SIREN_OMEGAS)))
        status = fail_text(NFT_OMEGA_KEY, text, expected);
    for (size_t i = 0; i < count && !status; i++) {
        double omega = json_number_value(json_array_get(list, i)); /* 0 of any other value */
        if (!(omega >= NFT_MIN_OMEGA && omega <= NFT_MAX_OMEGA))
            status = fail_text(NFT_OMEGA_KEY, text, expected);
        form->omega[i] = omega;
    }
    form->omegas = status ? 1 : (int64_t)count;
    json_decref(list);
    return status;
}

static nft_status read_offset(nft_siren_form *form, const char *text)
{
    json_t *list = NULL;
    nft_status status = parse(&list, text);
    const json_t *number = json_array_get(list, 0);
    if (status == NFT_ERROR_FORMAT || (!status && (json_array_size(list) != 1 || !json_is_number(number) ||
                                                   fabs(json_number_value(number)) > NFT_MAX_OMEGA)))
        status = fail_text(NFT_OFFSET_KEY, text, "a number from -1e6 to 1e6");
    if (!status)
        form->offset = json_number_value(number);
    json_decref(list);
    return status;
}

nft_status nft_siren_form_read(nft_siren_form *form, const char *omega, const char *offset)
{
    nft_status status = omega ? read_omega(form, omega) : NFT_OK;
    return status || !offset ? status : read_offset(form, offset);
}

bool nft_siren_omega_from_json(nft_siren_form *form, const nft_json *value)
{
    size_t count = json_is_array(value) ? json_array_size(value) : 1;
    bool valid = count >= 1 && count <= NFT_SIREN_OMEGAS;
    for (size_t i = 0; i < count && valid; i++) {
        const json_t *number = json_is_array(value) ? json_array_get(value, i) : value;
        form->omega[i] = json_number_value(number); /* 0 of any other value */
        valid = form->omega[i] >= NFT_MIN_OMEGA && form->omega[i] <= NFT_MAX_OMEGA;
    }
    form->omegas = valid ? (int64_t)count : 1;
    return valid;
}

nft_status nft_siren_form_option(nft_siren_form *form, nft_options *options)
{
    const nft_json *value = NULL;
    nft_status status = nft_options_value(options, "omega", false, &value);
    if (status || !value)
        return status;
    if (!json_is_array(value)) {
        form->omegas = 1;
        return nft_options_number(options, "omega", false, NFT_MIN_OMEGA, NFT_MAX_OMEGA, &form->omega[0]);
    }
    return nft_siren_omega_from_json(form, value)
               ? NFT_OK
               : nft_fail(
                     NFT_ERROR_CONFIG,
                     "%s: 'omega' is no list of numbers from 1e-6 to 1e6, one for each layer, at most %d",
                     options->where, NFT_SIREN_OMEGAS);
}

nft_status nft_siren_write_omega(nft_text *text, const nft_siren_form *form)
{
    bool written = true;
    for (int64_t i = 0; i < form->omegas && written; i++) {
        json_t *number = json_real(form->omega[i]);
        if (i)
            nft_text_append(text, ",");
        written = number && nft_json_append(text, number, JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
        json_decref(number);
    }
    return written && !text->failed ? NFT_OK : nft_fail_memory("the metadata", 32);
}

bool nft_siren_omega_is(const nft_siren_form *form, const nft_siren_form *other)
{
    bool same = true;
    for (int64_t i = 0; i < NFT_SIREN_OMEGAS; i++)
        same = same && (float)nft_siren_omega(form, i) == (float)nft_siren_omega(other, i);
    return same;
}

nft_status nft_siren_form_check(const nft_siren_form *form, const nft_space *space)
{
    if (form->omegas <= space->layer_count)
        return NFT_OK;
    return nft_fail(NFT_ERROR_MISMATCH,
                    "there are %" PRId64
                    " numbers of omega, expected one, or at most one for each of %" PRId64 " layers",
                    form->omegas, space->layer_count);
}

bool nft_siren_same_omega(const char *a, const char *b)
{
    nft_siren_form left = nft_siren_plain(0), right = left;
    if (!strcmp(a, b))
        return true;
    if (nft_siren_form_read(&left, a, NULL) || nft_siren_form_read(&right, b, NULL))
        return false;
    return nft_siren_omega_is(&left, &right);
}

bool nft_siren_same_offset(const char *a, const char *b)
{
    nft_siren_form left = nft_siren_plain(0), right = left;
    if (!strcmp(a, b))
        return true;
    if (nft_siren_form_read(&left, NULL, a) || nft_siren_form_read(&right, NULL, b))
        return false;
    return (float)left.offset == (float)right.offset;
}
