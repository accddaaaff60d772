/* The files that a command writes. Their faults are reported before any work. Each function prints its
 * failure and returns the exit status. */
#ifndef NFT_CLI_OUTPUTS_H
#define NFT_CLI_OUTPUTS_H

#include "options.h"

/* Fails unless a file can be made at `path`, or a regular file that is there replaced. */
int check_output_path(const cli_options *given, const char *path);
/* The same for all options of the kinds OPTION_OUTPUT and OPTION_STREAM (which may also be a pipe). None may
 * be an operand, the value of an option of the kind OPTION_INPUT, or another output. */
int check_outputs(const cli_options *given);
/* Whether a name ends like those of a format that the program does not write, ".pt" for example. */
bool has_foreign_ending(const char *path);
/* Fails if the option names a file of a format other than safetensors. `and_index`: OUT.json is fine. */
int check_safetensors_name(const cli_options *given, const char *option, bool and_index);
/* Whether two paths name one file. For files that do not exist yet: one name in one folder. */
bool same_file(const char *a, const char *b);
/* Fails if an input that is named elsewhere, in a recipe, is one of the outputs. NULL is none. */
int check_input(const cli_options *given, const char *path);

#endif
