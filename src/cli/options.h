/* The command line: the options of a command, and those that the user gave. */
#ifndef NFT_CLI_OPTIONS_H
#define NFT_CLI_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

/* More than the common options and those of any command together. */
#define MAX_OPTIONS 32

#define MAX_SETTINGS 64
#define MAX_NUMBERS 16

typedef enum option_kind {
    OPTION_FLAG,
    OPTION_TEXT,
    OPTION_INPUT,    /* a file that is read */
    OPTION_OUTPUT,   /* a file that is written, as a whole or not at all */
    OPTION_RESULT,   /* the same, or a device, or a pipe; "-" is standard output */
    OPTION_STREAM,   /* a file that is written line by line, or a pipe */
    OPTION_INTEGER,  /* from least to most */
    OPTION_NUMBER,   /* finite, no less than 0 */
    OPTION_POSITIVE, /* finite, above 0, and at most `most` unless that is 0 */
    OPTION_REAL,     /* finite, of any sign */
    OPTION_NUMBERS,  /* up to 16 with commas between, each from 1e-6 to `most` */
    OPTION_SETTING,  /* KEY=VALUE; may be given more than once */
    OPTION_SIZE,     /* of memory: bytes, or with K, M, G or T */
    OPTION_CHOICE    /* one of the words of `choices` */
} option_kind;

typedef struct cli_option {
    const char *name; /* without the dashes; NULL ends a list */
    char letter;      /* its short form, 0 if it has none */
    option_kind kind;
    const char *value; /* the name of the value in the help */
    const char *help;
    uint64_t least, most;
    const char *const *choices; /* NULL ends them */
} cli_option;

typedef struct cli_value {
    const cli_option *option;
    const char *text; /* NULL if it was not given; "" for a flag that was */
    uint64_t integer;
    double number;
} cli_value;

struct cli_command;

/* The options that the user gave. `operands` are the arguments that are no options, in order. */
typedef struct cli_options {
    const struct cli_command *command;
    char **operands;
    int operand_count;
    cli_value values[MAX_OPTIONS];
    int value_count;
    const char *settings[MAX_SETTINGS]; /* of every option of the kind OPTION_SETTING, in order */
    int setting_count;
    /* The common options; 0 in a number: not given. */
    int threads;
    uint64_t seed;
    int64_t batch_size, memory_limit;
    bool quiet, json, force;
    bool prints_result; /* a file goes to standard output, so all messages go to standard error */
} cli_options;

/* One command of the program, `nftool NAME OPERANDS`. `run` returns the exit status. */
typedef struct cli_command {
    const char *name;
    const char *operands; /* with the required option: "MODEL WEIGHTS -o OUT" */
    const char *summary;
    const char *description;
    int least_operands, most_operands;
    bool reads_data;           /* the last operand is a data set, which may be made of several files */
    const cli_option *options; /* its own, in addition to the common ones */
    const char *required;      /* the name of an option that must be given, or NULL */
    const char *idle;          /* common options that have no effect, which help leaves out: "threads seed" */
    int (*run)(const cli_options *given);
} cli_command;

typedef enum options_result {
    OPTIONS_RUN,
    OPTIONS_HELP, /* help was asked for */
    OPTIONS_WRONG /* and one line on standard error has the fault */
} options_result;

/* Reads the arguments after the command's name: options and operands in any order, "--" ends the options. */
options_result options_parse(cli_options *given, const cli_command *command, int count, char **arguments);

/* The value of an option of the command, NULL if it was not given. */
const char *option_text(const cli_options *given, const char *name);
/* The option itself, which the command has; if it was not given its `text` is NULL and its numbers are 0. */
const cli_value *option_value(const cli_options *given, const char *name);

/* --precision, of the commands that run a model. */
extern const char *const precision_names[];
#define PRECISION_OPTION                                                                                     \
    {                                                                                                        \
        "precision", 0, OPTION_CHOICE, "NAME",                                                               \
            "of products with weights: float32 (default), bf16x3 or bf16", 0, 0, precision_names             \
    }
int32_t given_precision(const cli_options *given); /* an NFT_PRECISION_… */

/* `nftool COMMAND --help`. */
void options_print_help(const cli_command *command);

#endif
