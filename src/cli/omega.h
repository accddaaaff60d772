/* ω, the frequency of SIRENs: nftool fit notes it in the metadata of its file, and what is made of these
 * networks keeps it. Each function prints its failure and returns the exit status. */
#ifndef NFT_CLI_OMEGA_H
#define NFT_CLI_OMEGA_H

#include "options.h"

#include <nft/inr.h>
#include <nft/nft.h>
#include <nft/train.h>

#define OMEGA_KEY "nft.omega"
#define CANONICAL_KEY "nft.canonical"
#define SIGN_PHASE "sign-phase" /* the form of nft_inr_canonicalize() */
#define DEFAULT_OMEGA 30
#define OMEGA_CAPACITY 32

/* How it is noted: into `text`, OMEGA_CAPACITY bytes, which is returned. */
const char *write_omega(char *text, double omega);
/* --omega, or what the metadata of `path` note (NULL: nothing), or the default. Fails where they contradict
 * each other. */
int choose_omega(double *omega, const char *path, const char *noted, const cli_options *given);
/* Fails if the data set says another than `omega`, which `other` says or does: "--omega says". */
int check_omega(const char *path, const nft_dataset *dataset, double omega, const char *other);
/* What a text says, to tell of it; 0 for NULL, and for nothing that can be used. */
double noted_omega(const char *text);
/* Fails if `text`, what the metadata of `path` say, is no number. */
int parse_omega(double *omega, const char *path, const char *text);

#endif
