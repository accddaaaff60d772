/* ω, the frequency of SIRENs: nftool fit notes it in the metadata of its file, and what is made of these
 * networks keeps it. Each function prints its failure and returns the exit status. */
#ifndef NFT_CLI_OMEGA_H
#define NFT_CLI_OMEGA_H

#include "options.h"

#include <nft/nft.h>

#define OMEGA_KEY "nft.omega"
#define DEFAULT_OMEGA 30
#define OMEGA_CAPACITY 32

/* How it is noted: into `text`, OMEGA_CAPACITY bytes, which is returned. */
const char *write_omega(char *text, double omega);
/* --omega, or what the file at `path` says, or the default. Fails where the two contradict each other. */
int choose_omega(double *omega, const char *path, const cli_options *given);
/* Fails if the file at `path` says another than `omega`, which `other` says or does: "--omega says". */
int check_omega(const char *path, double omega, const char *other);
/* What an open file says, to tell of it; 0 for nothing that can be used. */
double noted_omega(const nft_file *file);
/* Fails if `text`, what the metadata of `path` say, is no number. */
int parse_omega(double *omega, const char *path, const char *text);

#endif
