/* nftool compare: several trainings by their logs. */
#include "commands.h"
#include "outputs.h"
#include "plot_runs.h"
#include "report.h"
#include "runs.h"
#include "text.h"

#include <limits.h>
#include <stdlib.h>

static int read_runs(training_run *runs, const cli_options *given)
{
    int failed = EXIT_SUCCESS;
    for (int i = 0; i < given->operand_count && !failed; i++) {
        runs[i].name = text_file_name(given->operands[i]);
        failed = log_read(&runs[i].log, given->operands[i]);
    }
    return failed;
}

static int run(const cli_options *given)
{
    const char *plot = option_text(given, "plot");
    int failed = check_outputs(given);
    training_run *runs = calloc((size_t)given->operand_count, sizeof *runs);
    if (!runs)
        return fail_memory();
    if (!failed)
        failed = read_runs(runs, given);
    if (!failed && plot)
        failed = plot_runs(plot, "trainings", runs, given->operand_count);
    if (!failed)
        failed = print_runs(runs, given->operand_count, false, given);
    for (int i = 0; i < given->operand_count; i++)
        log_close(&runs[i].log);
    free(runs);
    return failed;
}

static const cli_option own_options[] = {
    {"plot", 0, OPTION_OUTPUT, "FILE", "draw the learning curves of all in one picture (SVG or PNG)", 0, 0,
     NULL},
    {0},
};

const cli_command compare_command = {
    .name = "compare",
    .operands = "LOG...",
    .summary = "compare trainings by their logs",
    .description =
        "Reads the logs of trainings (nftool train --log) and prints a table: the steps of each, the step, "
        "loss\n"
        "and metrics of its best validation; or of one without validation the mean of its last losses.",
    .least_operands = 1,
    .most_operands = INT_MAX,
    .options = own_options,
    .idle = "threads seed batch-size memory-limit",
    .run = run,
};
