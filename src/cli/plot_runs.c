#include "plot_runs.h"

#include "curves.h"
#include "report.h"
#include "text.h"

#include <math.h>
#include <stdlib.h>

#define MARGIN 12.0
#define TOP (2 * MARGIN + PLOT_FONT) /* below the title */
#define WIDTH 780.0
#define HEIGHT 360.0
#define KEYS 6 /* runs that a legend names */
#define NAME_ROOM 18

static const plot_colour palette[] = {{0.12, 0.42, 0.69}, {0.86, 0.41, 0.05}, {0.16, 0.54, 0.24},
                                      {0.60, 0.20, 0.55}, {0.75, 0.15, 0.20}, {0.35, 0.35, 0.35},
                                      {0.55, 0.45, 0.10}, {0.10, 0.55, 0.60}};
#define COLOURS (int64_t)(sizeof palette / sizeof *palette)

typedef int curve_maker(curve *c, const training_log *log);

static int validation_losses(curve *c, const training_log *log)
{
    return validation_curve(c, log, loss_metric);
}

/* Around all points, from the first step of all to the last. */
static void fit_axes(plot_area *area, const char *title, const curve *curves, int64_t count)
{
    double ends[2] = {INFINITY, -INFINITY}, steps[2] = {INFINITY, -INFINITY};
    for (int64_t r = 0; r < count; r++)
        for (int64_t i = 0; i < curves[r].n; i++) {
            ends[0] = fmin(ends[0], curves[r].y[i]);
            ends[1] = fmax(ends[1], curves[r].y[i]);
            steps[0] = fmin(steps[0], curves[r].x[i]);
            steps[1] = fmax(steps[1], curves[r].x[i]);
        }
    area->y = plot_axis_around(title, ends, 2);
    plot_axis_fit_logarithmic(&area->y, ends[0], ends[1]);
    area->x = plot_axis_around("step", NULL, 0);
    area->x.low = isfinite(steps[0]) ? steps[0] : 0;
    area->x.high = steps[1] > area->x.low ? steps[1] : area->x.low + 1;
    area->x.whole = true;
}

static void name_runs(cli_plot *plot, const plot_area *area, const training_run *runs, int64_t count)
{
    char names[KEYS][TEXT_CAPACITY];
    plot_key keys[KEYS];
    int64_t named = count < KEYS ? count : KEYS;
    for (int64_t r = 0; r < named; r++) {
        snprintf(names[r], sizeof names[r], "%.*s", NAME_ROOM, runs[r].name);
        keys[r] = (plot_key){names[r], palette[r % COLOURS]};
    }
    plot_legend(plot, area, keys, named);
}

static void draw_curves(cli_plot *plot, const plot_area *area, const curve *curves, int64_t count)
{
    for (int64_t r = 0; r < count; r++) {
        draw_curve(plot, area, &curves[r], palette[r % COLOURS], 1);
        draw_dots(plot, area, &curves[r], palette[r % COLOURS]);
    }
}

/* One line for each run; with a legend in the first part. */
static int draw_part(cli_plot *plot, plot_area area, const char *title, curve_maker *make,
                     const training_run *runs, int64_t count, bool named)
{
    curve *curves = calloc((size_t)count, sizeof *curves);
    int failed = curves ? EXIT_SUCCESS : fail_memory();
    for (int64_t r = 0; r < count && !failed; r++)
        failed = make(&curves[r], &runs[r].log);
    if (!failed) {
        fit_axes(&area, title, curves, count);
        plot_draw_axes(plot, &area);
        draw_curves(plot, &area, curves, count);
        if (named)
            name_runs(plot, &area, runs, count);
    }
    for (int64_t r = 0; r < count && curves; r++)
        free_curve(&curves[r]);
    free(curves);
    return failed;
}

static bool has_validations(const training_run *runs, int64_t count)
{
    for (int64_t r = 0; r < count; r++)
        if (runs[r].log.validation_count)
            return true;
    return false;
}

int plot_runs(const char *path, const char *title, const training_run *runs, int64_t count)
{
    bool validated = has_validations(runs, count);
    cli_plot plot;
    int failed = plot_begin(&plot, path, WIDTH, MARGIN + (validated ? 2 : 1) * HEIGHT);
    plot_area first = {.left = MARGIN, .top = TOP, .right = WIDTH - MARGIN, .bottom = HEIGHT};
    plot_area second = {
        .left = MARGIN, .top = HEIGHT + MARGIN, .right = WIDTH - MARGIN, .bottom = 2 * HEIGHT};
    if (!failed) {
        plot_title(&plot, MARGIN, MARGIN + PLOT_FONT / 2, title);
        failed = draw_part(&plot, first, "training loss", smooth_losses, runs, count, true);
    }
    if (!failed && validated)
        failed = draw_part(&plot, second, "validation loss", validation_losses, runs, count, false);
    return plot_finish(&plot, failed);
}
