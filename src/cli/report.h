/* The program's output: failures and notes on standard error, results on standard output. */
#ifndef NFT_CLI_REPORT_H
#define NFT_CLI_REPORT_H

#include "options.h"

#include <jansson.h>

#define EXIT_FAILED 1
#define EXIT_USAGE 2

#if defined(__GNUC__)
#define CLI_PRINTF(format_index, first) __attribute__((format(printf, format_index, first)))
#else
#define CLI_PRINTF(format_index, first)
#endif

/* Each prints one line. `fail` and `fail_library` (the library's last message) return EXIT_FAILED. */
int fail(const char *format, ...) CLI_PRINTF(1, 2);
int fail_library(void);
/* The library's last message, without the name of the function that failed, which users of the program do not
 * know. */
const char *library_message(void);
int fail_memory(void);
/* From now on a failure's line goes to `line` and is not printed, as the caller has more to say about it;
 * NULL: it is printed again. */
void fail_into(char *line, size_t size);
#if defined(__clang_analyzer__) /* which looks at one file at a time */
#define fail(...) (fail(__VA_ARGS__), EXIT_FAILED)
#define fail_library() (fail_library(), EXIT_FAILED)
#define fail_memory() (fail_memory(), EXIT_FAILED)
#endif
void usage_error(const char *command, const char *format, ...) CLI_PRINTF(2, 3);

/* Messages name `path` by `name`. Both are kept, not copied. */
void report_path_as(const char *path, const char *name);

/* Whether to leave out warnings that networks might be no chains of layers: a model may say that they are.
 * Returns whether they were left out before. */
bool report_chains_known(bool known);
/* Whether to leave out all warnings that networks might be others than they were read as: an error says it.
 */
void report_doubts_fail(bool fail);
/* Whether a line of the library's log is left out. */
bool report_leaves_out(const char *line);

/* A message that --quiet silences. */
void note(const cli_options *given, const char *format, ...) CLI_PRINTF(2, 3);

/* From now on results go to standard error: standard output is for a file. */
void report_results_as_notes(void);
/* Prints a result as a line on standard output, with the control characters of terminals written out (see
 * escape.h). */
void say(const char *format, ...) CLI_PRINTF(1, 2);

/* Prints an object on one line and drops it. Returns the exit status: NULL is an object that could not be
 * made. */
int print_json(json_t *object);
/* A number, or null where JSON has none (infinities, not-a-numbers). */
json_t *json_number(double value);
/* Text that may not be UTF-8, such as file names: bytes that JSON cannot hold become '?'. */
json_t *json_text(const char *text);
json_t *json_shape(const int64_t *shape, int64_t rank);

/* Everything that was printed has arrived; otherwise a failure. */
int finish_output(void);

#endif
