/* ω, the frequency of SIRENs: nft fit notes it in the metadata of its file, and what is made of these
 * networks keeps it. Each function prints its failure and returns the exit status. */
#ifndef NFT_CLI_OMEGA_H
#define NFT_CLI_OMEGA_H

#include "options.h"

#include <nft/nft.h>

#define OMEGA_KEY "nft.omega"
#define DEFAULT_OMEGA 30

/* What the metadata of the file at `path` say; 0 if nothing. */
int read_omega(double *omega, const char *path);
/* --omega, or what the file says, or the default. Fails where the two contradict each other. */
int choose_omega(double *omega, const char *path, const cli_options *given);
/* The same of an open file, to tell of it; 0 for nothing that can be used. */
double noted_omega(const nft_file *file);
/* Fails if `text`, what the metadata of `path` say, is no number. */
int parse_omega(double *omega, const char *path, const char *text);

#endif
