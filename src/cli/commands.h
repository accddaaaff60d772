/* The commands of the program, one in each file. */
#ifndef NFT_CLI_COMMANDS_H
#define NFT_CLI_COMMANDS_H

#include "options.h"

extern const cli_command info_command;
extern const cli_command forward_command;
extern const cli_command evaluate_command;
extern const cli_command train_command;
extern const cli_command permute_command;
extern const cli_command canonicalize_command;
extern const cli_command fit_command;
extern const cli_command render_command;
extern const cli_command bench_command;
extern const cli_command collect_command;
extern const cli_command space_command;
extern const cli_command compare_command;
extern const cli_command init_command;

#endif
