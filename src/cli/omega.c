#include "omega.h"

#include "nft/train.h"
#include "report.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

const char *write_omega(char *text, double omega)
{
    snprintf(text, OMEGA_CAPACITY, "%.17g", omega);
    return text;
}

static bool is_omega(double *omega, const char *text)
{
    json_t *number = json_loads(text, JSON_DECODE_ANY, NULL); /* as the library reads it */
    *omega = json_number_value(number);
    json_decref(number);
    return *omega > 0;
}

double noted_omega(const char *text)
{
    double omega = 0;
    return text && is_omega(&omega, text) ? omega : 0;
}

int parse_omega(double *omega, const char *path, const char *text)
{
    if (!is_omega(omega, text))
        return fail("%s: '" OMEGA_KEY "' of its metadata is '%.80s', expected a positive number", path, text);
    return EXIT_SUCCESS;
}

static int compare_omega(const char *path, const char *text, double omega, const char *other)
{
    double said = 0;
    int failed = text ? parse_omega(&said, path, text) : EXIT_SUCCESS;
    if (!failed && said > 0 && (float)said != (float)omega)
        return fail("%s: its networks have omega %g by its metadata, %s %g", path, said, other, omega);
    return failed;
}

int check_omega(const char *path, const nft_dataset *dataset, double omega, const char *other)
{
    int failed = EXIT_SUCCESS;
    for (int64_t part = 0; part < nft_dataset_describe(dataset)->part_count && !failed; part++)
        failed = compare_omega(path, nft_dataset_metadata(dataset, part, OMEGA_KEY), omega, other);
    return failed;
}

int choose_omega(double *omega, const char *path, const char *noted, const cli_options *given)
{
    if (option_text(given, "omega")) {
        *omega = option_value(given, "omega")->number;
        return compare_omega(path, noted, *omega, "--omega says");
    }
    *omega = DEFAULT_OMEGA;
    return noted ? parse_omega(omega, path, noted) : EXIT_SUCCESS;
}
