#include "options.h"

#include "report.h"
#include "text.h"

#include <nft/nft.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_THREADS 1024 /* the library's limit */
#define LEAST_NUMBER 1e-6
#define HELP_COLUMN 26

static const cli_option common_options[] = {
    {"threads", 0, OPTION_INTEGER, "N", "threads that compute (default: all cores)", 1, MAX_THREADS, NULL},
    {"seed", 0, OPTION_INTEGER, "S", "of everything random (default: 0)", 0, INT64_MAX, NULL},
    {"batch-size", 0, OPTION_INTEGER, "B",
     "networks at a time (default: 32, fit by their cost, bench 8, train the recipe's)", 1, INT32_MAX, NULL},
    {"memory-limit", 0, OPTION_SIZE, "SIZE",
     "bytes, or as in 4G, that a model may take (default: 1G of a configuration, else the machine's)", 0, 0,
     NULL},
    {"quiet", 'q', OPTION_FLAG, NULL, "nothing on standard error but errors", 0, 0, NULL},
    {"force", 'f', OPTION_FLAG, NULL, "replace files that are read-only", 0, 0, NULL},
    {"json", 0, OPTION_FLAG, NULL, "results as JSON, one object a line", 0, 0, NULL},
    {"help", 'h', OPTION_FLAG, NULL, "this text", 0, 0, NULL},
    {0},
};

static void add_options(cli_options *given, const cli_option *list)
{
    for (; list && list->name && given->value_count < MAX_OPTIONS; list++)
        given->values[given->value_count++] = (cli_value){.option = list};
}

static cli_value *find(cli_options *given, const char *name, size_t length)
{
    for (int i = 0; i < given->value_count; i++) {
        const char *known = given->values[i].option->name;
        if (strlen(known) == length && !memcmp(known, name, length))
            return &given->values[i];
    }
    return NULL;
}

static cli_value *find_letter(cli_options *given, char letter)
{
    for (int i = 0; i < given->value_count; i++)
        if (letter && given->values[i].option->letter == letter)
            return &given->values[i];
    return NULL;
}

static options_result wrong_option(const cli_options *given, const char *text, size_t length)
{
    const char *names[MAX_OPTIONS];
    char word[64];
    for (int i = 0; i < given->value_count; i++)
        names[i] = given->values[i].option->name;
    snprintf(word, sizeof word, "%.*s", (int)(length < sizeof word ? length : sizeof word - 1), text);
    const char *nearest =
        word[0] == '-' && word[1] == '-' ? text_nearest(word + 2, names, given->value_count) : NULL;
    const char *name = given->command->name;
    if (nearest)
        usage_error(name, "unknown option '%s'; did you mean '--%s'?", word, nearest);
    else
        usage_error(name, "unknown option '%s'", word);
    return OPTIONS_WRONG;
}

static bool parse_integer(const char *text, uint64_t *value)
{
    *value = 0;
    for (const char *digit = text; *digit; digit++) {
        uint64_t d = (uint64_t)(*digit - '0');
        if (*digit < '0' || *digit > '9' || *value > (UINT64_MAX - d) / 10)
            return false;
        *value = *value * 10 + d;
    }
    return *text != 0;
}

static options_result set_integer(const cli_options *given, cli_value *value, const char *text)
{
    const cli_option *option = value->option;
    if (!parse_integer(text, &value->integer) || value->integer < option->least ||
        value->integer > option->most) {
        usage_error(given->command->name,
                    "--%s is '%s', expected a whole number from %" PRIu64 " to %" PRIu64, option->name, text,
                    option->least, option->most);
        return OPTIONS_WRONG;
    }
    return OPTIONS_RUN;
}

/* The program never sets a locale, so that a point is a point. */
static options_result set_number(const cli_options *given, cli_value *value, const char *text)
{
    char *end = NULL;
    value->number = strtod(text, &end);
    bool positive = value->option->kind == OPTION_POSITIVE;
    uint64_t most = value->option->most;
    if (end != text && !*end && isfinite(value->number) && value->number >= 0 &&
        (value->number > 0 || !positive) && (!most || value->number <= (double)most))
        return OPTIONS_RUN;
    if (most)
        usage_error(given->command->name, "--%s is '%s', expected a number above 0 and at most %" PRIu64,
                    value->option->name, text, most);
    else
        usage_error(given->command->name, "--%s is '%s', expected a number%s", value->option->name, text,
                    positive ? " above 0" : ", at least 0");
    return OPTIONS_WRONG;
}

static options_result set_real(const cli_options *given, cli_value *value, const char *text)
{
    char *end = NULL;
    value->number = strtod(text, &end);
    if (end != text && !*end && isfinite(value->number))
        return OPTIONS_RUN;
    usage_error(given->command->name, "--%s is '%s', expected a number", value->option->name, text);
    return OPTIONS_WRONG;
}

/* "30", or "30,1". */
static options_result set_numbers(const cli_options *given, const cli_option *option, const char *text)
{
    const char *next = text;
    for (int i = 0; i < MAX_NUMBERS; i++) {
        char *end = NULL;
        double number = strtod(next, &end);
        if (end == next || !(number >= LEAST_NUMBER && number <= (double)option->most) ||
            (*end && *end != ','))
            break;
        if (!*end)
            return OPTIONS_RUN;
        next = end + 1;
    }
    usage_error(given->command->name,
                "--%s is '%s', expected a number from 1e-6 to %" PRIu64 ", or up to %d with commas between",
                option->name, text, option->most, MAX_NUMBERS);
    return OPTIONS_WRONG;
}

/* "1500000", "64M", "1.5G": powers of 1024. */
static options_result set_size(const cli_options *given, cli_value *value, const char *text)
{
    static const char letters[] = "KMGT";
    char *end = NULL;
    double number = strtod(text, &end);
    const char *letter = *end ? strchr(letters, *end) : NULL;
    if (letter)
        number = ldexp(number, 10 * (int)(letter - letters + 1));
    if (end != text && (letter ? !end[1] : !*end) && number >= 1 && number < 0x1p62) {
        value->integer = (uint64_t)number;
        return OPTIONS_RUN;
    }
    usage_error(given->command->name, "--%s is '%s', expected a number of bytes, or one with K, M, G or T",
                value->option->name, text);
    return OPTIONS_WRONG;
}

static options_result set_choice(const cli_options *given, const cli_option *option, const char *text)
{
    char list[128] = "";
    for (int i = 0; option->choices[i]; i++) {
        if (!strcmp(option->choices[i], text))
            return OPTIONS_RUN;
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", option->choices[i]);
    }
    usage_error(given->command->name, "--%s is '%s', expected one of: %s", option->name, text, list);
    return OPTIONS_WRONG;
}

static bool is_standard_output(const char *path)
{
    return !strcmp(path, "/dev/stdout") || !strcmp(path, "/dev/fd/1") || !strcmp(path, "/proc/self/fd/1");
}

static options_result set_value(cli_options *given, cli_value *value, const char *text)
{
    value->text = text;
    if (value->option->kind == OPTION_RESULT && !strcmp(text, "-"))
        value->text = "/dev/stdout";
    given->prints_result =
        given->prints_result || (value->option->kind == OPTION_RESULT && is_standard_output(value->text));
    if (value->option->kind == OPTION_INTEGER)
        return set_integer(given, value, text);
    if (value->option->kind == OPTION_NUMBER || value->option->kind == OPTION_POSITIVE)
        return set_number(given, value, text);
    if (value->option->kind == OPTION_REAL)
        return set_real(given, value, text);
    if (value->option->kind == OPTION_NUMBERS)
        return set_numbers(given, value->option, text);
    if (value->option->kind == OPTION_SETTING && given->setting_count == MAX_SETTINGS) {
        usage_error(given->command->name, "--%s is given more than %d times", value->option->name,
                    MAX_SETTINGS);
        return OPTIONS_WRONG;
    }
    if (value->option->kind == OPTION_SETTING)
        given->settings[given->setting_count++] = text;
    if (value->option->kind == OPTION_SIZE)
        return set_size(given, value, text);
    if (value->option->kind == OPTION_CHOICE)
        return set_choice(given, value->option, text);
    if (value->option->kind != OPTION_FLAG && !*text) {
        usage_error(given->command->name, "--%s is empty, expected %s", value->option->name,
                    value->option->value);
        return OPTIONS_WRONG;
    }
    return OPTIONS_RUN;
}

/* One argument that is an option: `--name`, `--name=value`, `--name value`, `-o value` or `-ovalue`. `*used`
 * counts the arguments that were read. */
static options_result parse_option(cli_options *given, int count, char **arguments, int *used)
{
    const char *text = arguments[0];
    bool is_long = text[1] == '-';
    size_t length = is_long ? strcspn(text, "=") : 2;
    cli_value *value = is_long ? find(given, text + 2, length - 2) : find_letter(given, text[1]);
    const char *attached = is_long ? (text[length] ? text + length + 1 : NULL) : (text[2] ? text + 2 : NULL);
    *used = 1;
    if (!value)
        return wrong_option(given, text, length);
    const cli_option *option = value->option;
    if (option->kind == OPTION_FLAG) {
        if (!attached)
            return set_value(given, value, "");
        usage_error(given->command->name, "--%s takes no value, found '%s'", option->name, attached);
        return OPTIONS_WRONG;
    }
    if (attached)
        return set_value(given, value, attached);
    if (count < 2) {
        usage_error(given->command->name, "--%s needs a value: --%s %s", option->name, option->name,
                    option->value);
        return OPTIONS_WRONG;
    }
    *used = 2;
    return set_value(given, value, arguments[1]);
}

static options_result check(cli_options *given)
{
    const cli_command *command = given->command;
    if (given->operand_count < command->least_operands) {
        usage_error(command->name, "too few files: usage is 'nftool %s %s'", command->name,
                    command->operands);
        return OPTIONS_WRONG;
    }
    for (int i = 0; i < given->operand_count; i++)
        if (!*given->operands[i]) {
            usage_error(command->name, "the path of a file is empty: usage is 'nftool %s %s'", command->name,
                        command->operands);
            return OPTIONS_WRONG;
        }
    if (given->operand_count > command->most_operands) {
        usage_error(command->name, "'%s' is one file too many: usage is 'nftool %s %s'%s",
                    given->operands[command->most_operands], command->name, command->operands,
                    command->reads_data ? "; 'nftool collect' makes a data set of several files" : "");
        return OPTIONS_WRONG;
    }
    if (command->required && !option_text(given, command->required)) {
        usage_error(command->name, "--%s is missing: usage is 'nftool %s %s'", command->required,
                    command->name, command->operands);
        return OPTIONS_WRONG;
    }
    return OPTIONS_RUN;
}

static bool asks_for_help(int count, char **arguments)
{
    for (int i = 0; i < count && strcmp(arguments[i], "--"); i++)
        if (!strcmp(arguments[i], "--help") || !strcmp(arguments[i], "-h"))
            return true;
    return false;
}

static uint64_t common_integer(cli_options *given, const char *name)
{
    return find(given, name, strlen(name))->integer;
}

options_result options_parse(cli_options *given, const cli_command *command, int count, char **arguments)
{
    *given = (cli_options){.command = command, .operands = arguments};
    add_options(given, command->options);
    add_options(given, common_options);
    if (asks_for_help(count, arguments))
        return OPTIONS_HELP;
    bool only_operands = false;
    for (int i = 0; i < count;) {
        char *text = arguments[i];
        if (only_operands || text[0] != '-' || !text[1]) {
            given->operands[given->operand_count++] = text;
            i++;
        } else if (!strcmp(text, "--")) {
            only_operands = true;
            i++;
        } else {
            int used = 0;
            options_result result = parse_option(given, count - i, arguments + i, &used);
            if (result != OPTIONS_RUN)
                return result;
            i += used;
        }
    }
    given->threads = (int)common_integer(given, "threads");
    given->seed = common_integer(given, "seed");
    given->batch_size = (int64_t)common_integer(given, "batch-size");
    given->memory_limit = (int64_t)common_integer(given, "memory-limit");
    given->quiet = option_text(given, "quiet") != NULL;
    given->force = option_text(given, "force") != NULL;
    given->json = option_text(given, "json") != NULL;
    return check(given);
}

const cli_value *option_value(const cli_options *given, const char *name)
{
    for (int i = 0; i < given->value_count; i++)
        if (!strcmp(given->values[i].option->name, name))
            return &given->values[i];
    return NULL;
}

const char *option_text(const cli_options *given, const char *name)
{
    const cli_value *value = option_value(given, name);
    return value ? value->text : NULL;
}

const char *const precision_names[] = {"float32", "bf16x3", "bf16",
                                       NULL}; /* in the order of NFT_PRECISION_… */

int32_t given_precision(const cli_options *given)
{
    const char *name = option_text(given, "precision");
    int32_t precision = NFT_PRECISION_FLOAT32;
    while (name && precision_names[precision] && strcmp(precision_names[precision], name) != 0)
        precision++;
    return precision;
}

static bool has_word(const char *words, const char *word)
{
    size_t length = strlen(word);
    for (const char *found = words; found && (found = strstr(found, word)); found += length)
        if ((found == words || found[-1] == ' ') && (!found[length] || found[length] == ' '))
            return true;
    return false;
}

/* All but those that are named in `idle`, or NULL. */
static void print_options(const cli_option *list, const char *idle)
{
    for (; list && list->name; list++) {
        if (has_word(idle, list->name))
            continue;
        char left[64];
        char letter[8] = "    ";
        if (list->letter)
            snprintf(letter, sizeof letter, "-%c, ", list->letter);
        snprintf(left, sizeof left, "  %s--%s%s%s", letter, list->name, list->value ? " " : "",
                 list->value ? list->value : "");
        printf("%-*s  %s\n", HELP_COLUMN, left, list->help);
    }
}

void options_print_help(const cli_command *command)
{
    printf("usage: nftool %s %s [options]\n\n%s\n", command->name, command->operands, command->description);
    if (command->options && command->options->name) {
        puts("\nOptions:");
        print_options(command->options, NULL);
    }
    puts("\nCommon options:");
    print_options(common_options, command->idle);
}
