/* The nftool program: finds the command and runs it. */
#define _XOPEN_SOURCE 700
#include "cleanup.h"
#include "commands.h"
#include "piped.h"
#include "ranks.h"
#include "report.h"
#include "text.h"

#include <fcntl.h>
#include <nft/nft.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const cli_command *const commands[] = {
    &info_command,         &forward_command, &train_command,  &evaluate_command, &permute_command,
    &canonicalize_command, &fit_command,     &render_command, &bench_command,    &collect_command,
    &space_command,        &compare_command, &init_command,
};

#define COMMAND_COUNT ((int)(sizeof commands / sizeof commands[0]))

static void print_usage(FILE *stream)
{
    fputs("usage: nftool COMMAND FILES [options]\n\n"
          "Runs and trains Neural Functional Transformers on the weights of trained networks.\n\n"
          "Commands:\n",
          stream);
    for (int i = 0; i < COMMAND_COUNT; i++)
        fprintf(stream, "  %-12s %s\n", commands[i]->name, commands[i]->summary);
    fputs("\n'nftool COMMAND --help' describes a command, 'nftool --version' describes this build.\n",
          stream);
}

static const cli_command *find_command(const char *name)
{
    for (int i = 0; i < COMMAND_COUNT; i++)
        if (!strcmp(commands[i]->name, name))
            return commands[i];
    return NULL;
}

static int unknown_command(const char *name)
{
    const char *names[COMMAND_COUNT + 2] = {"--help", "--version"};
    for (int i = 0; i < COMMAND_COUNT; i++)
        names[i + 2] = commands[i]->name;
    const char *nearest = text_nearest(name, names, COMMAND_COUNT + 2);
    const char *what = name[0] == '-' ? "option" : "command";
    if (nearest)
        usage_error(NULL, "unknown %s '%s'; did you mean '%s'?", what, name, nearest);
    else
        usage_error(NULL, "unknown %s '%s'", what, name);
    return EXIT_USAGE;
}

/* A descriptor below 3 that was closed would be given to the next file that is opened, which messages would
 * then go to. */
static void occupy_standard_streams(void)
{
    for (int descriptor = 0; descriptor < 3; descriptor++)
        if (fcntl(descriptor, F_GETFD) < 0 && open("/dev/null", O_RDONLY) < 0)
            return;
}

#define MOST_REMEMBERED 64

/* A command may open a file more than once: a note about it is printed once. */
static bool was_said(const char *line)
{
    static uint64_t said[MOST_REMEMBERED];
    static size_t count;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (const char *at = line; *at; at++)
        hash = (hash ^ (unsigned char)*at) * UINT64_C(0x100000001b3);
    for (size_t i = 0; i < count && i < MOST_REMEMBERED; i++)
        if (said[i] == hash)
            return true;
    said[count++ % MOST_REMEMBERED] = hash;
    return false;
}

static void print_log(int32_t level, const char *line, void *user)
{
    if (report_leaves_out(line) || was_said(line))
        return;
    note(user, level == NFT_LOG_WARNING ? "warning: %s" : "note: %s", line);
}

static int run_command(const cli_command *command, int count, char **arguments)
{
    cli_options given;
    switch (options_parse(&given, command, count, arguments)) {
    case OPTIONS_HELP:
        options_print_help(command);
        return EXIT_SUCCESS;
    case OPTIONS_WRONG:
        return EXIT_USAGE;
    case OPTIONS_RUN:
        break;
    }
    if (given.prints_result)
        report_results_as_notes();
    cleanup_begin(&given);
    nft_set_log(print_log, &given);
    int status = read_piped_inputs(&given);
    if (!status)
        status = command->run(&given);
    nft_set_log(NULL, NULL);
    return status;
}

static int run(int argc, char **argv)
{
    if (argc < 2) {
        print_usage(stderr);
        return EXIT_USAGE;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
        print_usage(stdout);
        return EXIT_SUCCESS;
    }
    if (!strcmp(argv[1], "--version")) {
        printf("nftool %s%s\n%s\n", nft_version(), ranks_built_in ? " with MPI" : "", nft_build_info());
        return EXIT_SUCCESS;
    }
    const cli_command *command = find_command(argv[1]);
    return command ? run_command(command, argc - 2, argv + 2) : unknown_command(argv[1]);
}

/* libnft has its own threads and needs none of OpenBLAS. OpenBLAS allocates memory for each of its threads
 * when the program is loaded. Under a memory limit without room for them it waits forever at the end. Their
 * number is fixed before main, so the program starts itself again. */
static void do_without_blas_threads(char **argv)
{
    static const char name[] = "OPENBLAS_NUM_THREADS";
    const char *given = getenv(name);
    if ((!given || strcmp(given, "1") != 0) && !setenv(name, "1", 1))
        execv("/proc/self/exe", argv); /* where that is not possible, the program continues */
}

int main(int argc, char **argv)
{
    do_without_blas_threads(argv);
    occupy_standard_streams();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a write beyond the limit on files fails, and is told of */
    int status = run(argc, argv);
    return status ? status : finish_output();
}
