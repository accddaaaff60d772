/* How far long work has come: one line on a terminal that is written over; in a file, or on a terminal that
 * cannot go back in a line, a line a minute. One work at a time. */
#ifndef NFT_CLI_PROGRESS_H
#define NFT_CLI_PROGRESS_H

#include "options.h"

typedef struct cli_progress {
    bool visible;
    bool rewrites;            /* the line is written over */
    const char *what;         /* "forward" */
    const char *units;        /* "networks" */
    int64_t base;             /* done before the call of the library that is running */
    int64_t first;            /* done before this program began */
    char note[32], extra[32]; /* further parts of the line: ", loss 0.61" */
    int64_t parts;            /* of each unit, */
    const char *part_units;   /* whose speed is shown: "samples"; NULL: the units' */
    int64_t total;
    double started, shown; /* seconds of a steady clock */
    int width;             /* of the line that is on the screen */
} cli_progress;

/* Seconds of a clock that only goes forward. */
double steady_seconds(void);

/* The number of an environment variable of tests, or else the usual one. */
double environment_seconds(const char *name, double usual);

void progress_start(cli_progress *progress, const cli_options *given, const char *what, const char *units,
                    int64_t total);
void progress_show(cli_progress *progress, int64_t done);
/* Hides the line of the running work until it is shown again. Call it before anything else is printed; the
 * functions of report.h do so. */
void progress_hide(void);
/* Removes the line. */
void progress_end(cli_progress *progress);

/* An nft_progress_callback whose `user` is a cli_progress. */
int progress_callback(int64_t done, int64_t total, void *user);

#endif
