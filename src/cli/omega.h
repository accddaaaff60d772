/* ω, the frequency of SIRENs. nftool fit writes it into the metadata of its file, and files that are made of
 * these networks keep it. Each function prints its failure and returns the exit status. */
#ifndef NFT_CLI_OMEGA_H
#define NFT_CLI_OMEGA_H

#include "options.h"

#include <nft/inr.h>
#include <nft/nft.h>
#include <nft/train.h>

#define OMEGA_KEY "nft.omega"
#define OFFSET_KEY "nft.offset"
#define FIT_KEY "nft.fit"
#define CANONICAL_KEY "nft.canonical"
#define SIGN_PHASE "sign-phase" /* the form of nft_inr_canonicalize() */
#define DEFAULT_OMEGA 30
#define MAX_OMEGAS MAX_NUMBERS
#define OMEGA_CAPACITY (MAX_OMEGAS * 26)
#define OFFSET_CAPACITY 32

/* ω of the first layers; the last number also holds for all layers that follow. */
typedef struct cli_omega {
    double values[MAX_OMEGAS];
    int count; /* at least 1; 0: nothing that can be used */
} cli_omega;

cli_omega plain_omega(double omega); /* the same in every layer */
double omega_of_layer(const cli_omega *omega, int64_t layer);
bool same_omega(const cli_omega *a, const cli_omega *b);
/* Writes it as metadata, "30" or "30,1", into `text`, OMEGA_CAPACITY bytes, and returns that. `digits`: 17
 * keep every number, 6 are enough for a message. */
const char *write_omega(char *text, const cli_omega *omega, int digits);
/* --omega, or the text in the metadata of `path` (NULL: none), or the default. Fails where the first two
 * contradict each other. */
int choose_omega(cli_omega *omega, const char *path, const char *noted, const cli_options *given);
/* Fails if the data set says another than `omega`, which `other` says or does: "--omega says". */
int check_omega(const char *path, const nft_dataset *dataset, const cli_omega *omega, const char *other);
/* ω of a model's decoder, as its configuration has it; the default for a model without one. */
int omega_of_decoder(cli_omega *omega, const nft_model *model);
/* --omega, which is given. */
cli_omega given_omega(const cli_options *given);
/* The numbers of a text; none for NULL, and for a text that is no list of positive numbers. */
cli_omega noted_omega(const char *text);
/* Fails if `text`, of the metadata of `path`, is no such list. */
int parse_omega(cli_omega *omega, const char *path, const char *text);

/* --offset, or the noted offset (NULL: none), into `offset`, OFFSET_CAPACITY bytes; "" for neither. Fails
 * where they contradict each other. */
int choose_offset(char *offset, const char *path, const char *noted, const cli_options *given);
/* The number of a text; 0 for NULL, and for a text that is none. */
double noted_offset(const char *text);
/* Whether two texts are the same number. */
bool same_offset(const char *a, const char *b);

#define OMEGA_OPTION(default_text)                                                                           \
    {                                                                                                        \
        "omega", 0, OPTION_NUMBERS, "W",                                                                     \
            "frequency of the sines; 30,1 is 30 in the first layer and 1 in the others "                     \
            "(default: " default_text ")",                                                                   \
            0, 1000000, NULL                                                                                 \
    }

#endif
