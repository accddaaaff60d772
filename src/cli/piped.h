/* Inputs that are no files: standard input and pipes. They are read whole, into memory, and stand behind a
 * path that can be opened as often as a command needs. */
#ifndef NFT_CLI_PIPED_H
#define NFT_CLI_PIPED_H

#include "options.h"

/* Reads the operands and the options of the kind OPTION_INPUT that are "-" or a pipe, and puts such a path in
 * the place of each. Prints its failure and returns the exit status. */
int read_piped_inputs(cli_options *given);
/* Whether it is such a path: nothing can be relative to it. */
bool is_piped(const char *path);

#endif
