#include "omega.h"

#include "nft/train.h"
#include "report.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

cli_omega plain_omega(double omega)
{
    return (cli_omega){.values = {omega}, .count = 1};
}

double omega_of_layer(const cli_omega *omega, int64_t layer)
{
    return omega->values[layer < omega->count ? layer : omega->count - 1];
}

bool same_omega(const cli_omega *a, const cli_omega *b)
{
    bool same = a->count && b->count;
    for (int64_t i = 0; i < MAX_OMEGAS && same; i++)
        same = (float)omega_of_layer(a, i) == (float)omega_of_layer(b, i);
    return same;
}

const char *write_omega(char *text, const cli_omega *omega, int digits)
{
    int used = 0;
    for (int i = 0; i < omega->count; i++)
        used += snprintf(text + used, OMEGA_CAPACITY - (size_t)used, "%s%.*g", i ? "," : "", digits,
                         omega->values[i]);
    return text;
}

/* Read as the library reads it. */
static json_t *parse_list(const char *text)
{
    size_t capacity = strlen(text) + 3;
    char *brackets = malloc(capacity);
    if (!brackets)
        return NULL;
    snprintf(brackets, capacity, "[%s]", text);
    json_t *list = json_loads(brackets, 0, NULL);
    free(brackets);
    return list;
}

cli_omega noted_omega(const char *text)
{
    cli_omega omega = {.count = 0};
    json_t *list = text ? parse_list(text) : NULL;
    bool usable = json_array_size(list) > 0 && json_array_size(list) <= MAX_OMEGAS;
    for (size_t i = 0; i < json_array_size(list) && usable; i++) {
        omega.values[i] = json_number_value(json_array_get(list, i));
        usable = omega.values[i] > 0;
    }
    omega.count = usable ? (int)json_array_size(list) : 0;
    json_decref(list);
    return omega;
}

int omega_of_decoder(cli_omega *omega, const nft_model *model)
{
    json_t *configuration = json_loads(nft_model_describe(model)->config, 0, NULL);
    if (!configuration)
        return fail_memory();
    const json_t *said = json_object_get(json_object_get(configuration, "decoder"), "omega");
    *omega = plain_omega(json_is_number(said) ? json_number_value(said) : DEFAULT_OMEGA);
    for (size_t i = 0; i < json_array_size(said) && i < MAX_OMEGAS; i++) {
        omega->values[i] = json_number_value(json_array_get(said, i));
        omega->count = (int)i + 1;
    }
    json_decref(configuration);
    return EXIT_SUCCESS;
}

int parse_omega(cli_omega *omega, const char *path, const char *text)
{
    *omega = noted_omega(text);
    if (!omega->count)
        return fail("%s: '" OMEGA_KEY "' of its metadata is '%.80s', expected a positive number, or one for "
                    "each layer with commas between",
                    path, text);
    return EXIT_SUCCESS;
}

static int compare_omega(const char *path, const char *text, const cli_omega *omega, const char *other)
{
    char found[OMEGA_CAPACITY], expected[OMEGA_CAPACITY];
    cli_omega said = {.count = 0};
    int failed = text ? parse_omega(&said, path, text) : EXIT_SUCCESS;
    if (!failed && said.count && !same_omega(&said, omega))
        return fail("%s: its networks have omega %s by its metadata, %s %s", path,
                    write_omega(found, &said, 6), other, write_omega(expected, omega, 6));
    return failed;
}

int check_omega(const char *path, const nft_dataset *dataset, const cli_omega *omega, const char *other)
{
    int failed = EXIT_SUCCESS;
    for (int64_t part = 0; part < nft_dataset_describe(dataset)->part_count && !failed; part++)
        failed = compare_omega(path, nft_dataset_metadata(dataset, part, OMEGA_KEY), omega, other);
    return failed;
}

cli_omega given_omega(const cli_options *given)
{
    cli_omega omega = {.count = 0};
    for (const char *next = option_text(given, "omega"); next && omega.count < MAX_OMEGAS;
         next = strchr(next, ',')) {
        next += *next == ',';
        omega.values[omega.count++] = strtod(next, NULL);
    }
    return omega;
}

int choose_omega(cli_omega *omega, const char *path, const char *noted, const cli_options *given)
{
    const char *text = option_text(given, "omega");
    *omega = text ? given_omega(given) : plain_omega(DEFAULT_OMEGA);
    if (text)
        return compare_omega(path, noted, omega, "--omega says");
    return noted ? parse_omega(omega, path, noted) : EXIT_SUCCESS;
}

/* A text that is one number. */
static bool is_number(const char *text, double *number)
{
    json_t *list = parse_list(text);
    const json_t *first = json_array_get(list, 0);
    bool is = json_array_size(list) == 1 && json_is_number(first);
    *number = json_number_value(first);
    json_decref(list);
    return is;
}

double noted_offset(const char *text)
{
    double number = 0;
    return text && is_number(text, &number) ? number : 0;
}

bool same_offset(const char *a, const char *b)
{
    double left, right;
    return !strcmp(a, b) || (is_number(a, &left) && is_number(b, &right) && (float)left == (float)right);
}

int choose_offset(char *offset, const char *path, const char *noted, const cli_options *given)
{
    const char *text = option_text(given, "offset");
    double number = 0, own = text ? option_value(given, "offset")->number : 0;
    *offset = 0;
    if (noted && !is_number(noted, &number))
        return fail("%s: '" OFFSET_KEY "' of its metadata is '%.80s', expected a number", path, noted);
    if (text && noted && (float)own != (float)number)
        return fail("%s: its networks have offset %.80s by its metadata, --offset says %s", path, noted,
                    text);
    if (text || noted)
        snprintf(offset, OFFSET_CAPACITY, "%.17g", text ? own : number);
    return EXIT_SUCCESS;
}
