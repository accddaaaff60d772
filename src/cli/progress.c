#define _POSIX_C_SOURCE 200809L
#include "progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define SECONDS_BETWEEN 0.1
#define SECONDS_BETWEEN_LINES 60.0

static cli_progress *current; /* whose line a terminal shows */

double steady_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void progress_start(cli_progress *progress, const cli_options *given, const char *what, const char *units,
                    int64_t total)
{
    double now = steady_seconds();
    const char *terminal = getenv("TERM");
    progress->visible = !given->quiet;
    progress->rewrites = isatty(STDERR_FILENO) && terminal && *terminal && strcmp(terminal, "dumb") != 0;
    progress->what = what;
    progress->units = units;
    progress->base = progress->first = 0;
    progress->note[0] = progress->extra[0] = 0;
    progress->parts = 1;
    progress->part_units = NULL;
    progress->total = total;
    progress->started = now;
    progress->shown = now;
    progress->width = 0;
    current = progress->visible && progress->rewrites ? progress : NULL;
}

/* How many characters fit into a line of the terminal, without the last, behind which it would wrap. */
static int terminal_width(void)
{
    struct winsize size;
    return !ioctl(STDERR_FILENO, TIOCGWINSZ, &size) && size.ws_col > 1 ? size.ws_col - 1 : 79;
}

/* Returns its length, as snprintf() does. `terse` leaves out words. */
static int describe(char *line, size_t capacity, const cli_progress *progress, int64_t done, double elapsed,
                    bool terse)
{
    double rate = (double)(done - progress->first) / elapsed, left = (double)(progress->total - done) / rate;
    double speed = rate * (double)progress->parts;
    const char *parts = !terse && progress->part_units ? progress->part_units : "";
    int width = snprintf(line, capacity, "%s: %" PRId64 "%s%" PRId64 "%s%s%s%s", progress->what, done,
                         terse ? "/" : " of ", progress->total, terse ? "" : " ",
                         terse ? "" : progress->units, progress->note, progress->extra);
    if (done > progress->first && width < (int)capacity)
        width +=
            snprintf(line + width, capacity - (size_t)width, ", %.*f%s%s%s, %.0f s left", speed < 10 ? 2 : 0,
                     speed, *parts ? " " : "", parts, terse ? "/s" : " a second", left);
    return width;
}

static void show_line(cli_progress *progress, int64_t done, double elapsed)
{
    char line[240];
    int most = terminal_width();
    most = most < (int)sizeof line ? most : (int)sizeof line - 1;
    int width = describe(line, sizeof line, progress, done, elapsed, false);
    if (width > most)
        width = describe(line, sizeof line, progress, done, elapsed, true);
    width = width > most ? most : width;
    line[width] = 0;
    int stale = progress->width - width;
    fprintf(stderr, "\r%s%*s", line, stale > 0 && progress->width <= most ? stale : 0, "");
    fflush(stderr);
    progress->width = width;
}

double environment_seconds(const char *name, double usual)
{
    const char *text = getenv(name);
    double seconds = text ? strtod(text, NULL) : 0;
    return seconds > 0 ? seconds : usual;
}

static void add_line(const cli_progress *progress, int64_t done, double elapsed)
{
    char line[240];
    describe(line, sizeof line, progress, done, elapsed, false);
    fprintf(stderr, "%s\n", line);
}

void progress_show(cli_progress *progress, int64_t done)
{
    if (!progress->visible)
        return;
    double now = steady_seconds();
    if (now - progress->shown < (progress->rewrites
                                     ? SECONDS_BETWEEN
                                     : environment_seconds("NFTOOL_PROGRESS_SECONDS", SECONDS_BETWEEN_LINES)))
        return;
    progress->shown = now;
    if (progress->rewrites)
        show_line(progress, done, now - progress->started);
    else
        add_line(progress, done, now - progress->started);
}

void progress_hide(void)
{
    int most = terminal_width();
    if (current && current->width)
        fprintf(stderr, "\r%*s\r", current->width < most ? current->width : most, "");
    if (current)
        current->width = 0;
}

void progress_end(cli_progress *progress)
{
    progress_hide();
    progress->visible = false;
    current = NULL;
}

int progress_callback(int64_t done, int64_t total, void *user)
{
    cli_progress *progress = user;
    (void)total;
    progress_show(progress, progress->base + done);
    return 0;
}
