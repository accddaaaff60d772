#include "omega.h"

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

double noted_omega(const nft_file *file)
{
    double omega = 0;
    const char *text = nft_file_metadata(file, OMEGA_KEY);
    return text && is_omega(&omega, text) ? omega : 0;
}

int parse_omega(double *omega, const char *path, const char *text)
{
    if (!is_omega(omega, text))
        return fail("%s: '" OMEGA_KEY "' of its metadata is '%.80s', expected a positive number", path, text);
    return EXIT_SUCCESS;
}

/* 0 if the file says nothing. */
static int read_omega(double *omega, const char *path)
{
    nft_file *file = NULL;
    *omega = 0;
    if (nft_file_open(&file, path))
        return fail_library();
    const char *text = nft_file_metadata(file, OMEGA_KEY);
    int failed = text ? parse_omega(omega, path, text) : EXIT_SUCCESS;
    nft_file_free(file);
    return failed;
}

int check_omega(const char *path, double omega, const char *other)
{
    double said;
    int failed = read_omega(&said, path);
    if (!failed && said > 0 && (float)said != (float)omega)
        return fail("%s: its networks have omega %g by its metadata, %s %g", path, said, other, omega);
    return failed;
}

int choose_omega(double *omega, const char *path, const cli_options *given)
{
    if (option_text(given, "omega")) {
        *omega = option_value(given, "omega")->number;
        return check_omega(path, *omega, "--omega says");
    }
    int failed = read_omega(omega, path);
    *omega = *omega > 0 ? *omega : DEFAULT_OMEGA;
    return failed;
}
