#include "omega.h"

#include "report.h"

#include <jansson.h>
#include <stdlib.h>

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

int read_omega(double *omega, const char *path)
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

int choose_omega(double *omega, const char *path, const cli_options *given)
{
    double said = option_value(given, "omega")->number;
    int failed = read_omega(omega, path);
    if (failed)
        return failed;
    if (option_text(given, "omega") && *omega > 0 && (float)*omega != (float)said)
        return fail("%s: its networks have omega %g by its metadata, --omega says %g", path, *omega, said);
    if (option_text(given, "omega"))
        *omega = said;
    else if (!(*omega > 0))
        *omega = DEFAULT_OMEGA;
    return EXIT_SUCCESS;
}
