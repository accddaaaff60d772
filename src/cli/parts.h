/* Commands that rewrite the networks of a file, on an index: part by part. */
#ifndef NFT_CLI_PARTS_H
#define NFT_CLI_PARTS_H

#include "options.h"

#include <stdint.h>

/* The command for one file: the first operand, to --output. `first`: number of its first network in all.
 * Prints its failure and returns the exit status. */
typedef int parts_work(const cli_options *given, int64_t first);

/* Does the work for the first operand, or for each part of an index. --output is then an index too, OUT.json,
 * with its parts OUT-0.safetensors, … in the same folder. */
int work_on_parts(const cli_options *given, parts_work *work);

#endif
