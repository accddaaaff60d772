#define _POSIX_C_SOURCE 200809L
#include "progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define SECONDS_BETWEEN 0.1

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
    progress->visible = !given->quiet && isatty(STDERR_FILENO);
    progress->what = what;
    progress->units = units;
    progress->base = progress->first = 0;
    progress->note[0] = progress->beside[0] = 0;
    progress->parts = 1;
    progress->part_units = NULL;
    progress->total = total;
    progress->started = now;
    progress->shown = now;
    progress->width = 0;
}

static void show_line(cli_progress *progress, int64_t done, double elapsed)
{
    char line[240];
    double rate = (double)(done - progress->first) / elapsed, left = (double)(progress->total - done) / rate;
    int width = snprintf(line, sizeof line, "%s: %" PRId64 " of %" PRId64 " %s%s%s", progress->what, done,
                         progress->total, progress->units, progress->note, progress->beside);
    double speed = rate * (double)progress->parts;
    if (done > progress->first)
        width += snprintf(line + width, sizeof line - (size_t)width, ", %.*f%s%s a second, %.0f s left",
                          speed < 10 ? 2 : 0, speed, progress->part_units ? " " : "",
                          progress->part_units ? progress->part_units : "", left);
    int stale = progress->width - width;
    fprintf(stderr, "\r%s%*s", line, stale > 0 ? stale : 0, "");
    fflush(stderr);
    progress->width = width;
}

void progress_show(cli_progress *progress, int64_t done)
{
    if (!progress->visible)
        return;
    double now = steady_seconds();
    if (now - progress->shown < SECONDS_BETWEEN)
        return;
    progress->shown = now;
    show_line(progress, done, now - progress->started);
}

void progress_hide(cli_progress *progress)
{
    if (progress->visible && progress->width)
        fprintf(stderr, "\r%*s\r", progress->width, "");
    progress->width = 0;
}

void progress_end(cli_progress *progress)
{
    progress_hide(progress);
    progress->visible = false;
}

int progress_callback(int64_t done, int64_t total, void *user)
{
    cli_progress *progress = user;
    (void)total;
    progress_show(progress, progress->base + done);
    return 0;
}
