#include "plot_scaling.h"

#include "plot.h"
#include "report.h"
#include "text.h"

#include <math.h>
#include <stdlib.h>

#define MARGIN 12.0
#define TOP (2 * MARGIN + PLOT_FONT) /* below the title */
#define WIDTH 780.0
#define HEIGHT 360.0
#define MOST_LINES 3
#define MEGABYTE 1048576.0

typedef double scaling_value(const scaling_row *row);

static double milliseconds(const scaling_row *row)
{
    return 1e3 * row->seconds;
}

/* The time that sgemm would take for the formula's arithmetic. */
static double formula_milliseconds(const scaling_row *row)
{
    return 1e-6 * (double)row->flops / row->sgemm;
}

static double planned(const scaling_row *row)
{
    return (double)row->planned_bytes / MEGABYTE;
}

static double peak(const scaling_row *row)
{
    return (double)row->peak_bytes / MEGABYTE;
}

/* A line of the diagram: a value of the rows with this number of threads. */
typedef struct scaling_line {
    scaling_value *value;
    int threads;
    plot_colour colour;
    char name[TEXT_CAPACITY];
} scaling_line;

static int64_t points_of(const scaling_line *line, const scaling_row *rows, int64_t count, double *x,
                         double *y)
{
    int64_t n = 0;
    for (int64_t i = 0; i < count; i++)
        if (rows[i].threads == line->threads && isfinite(line->value(&rows[i]))) {
            x[n] = (double)rows[i].weights;
            y[n++] = line->value(&rows[i]);
        }
    return n;
}

static void draw_line(cli_plot *plot, const plot_area *area, const scaling_line *line, const double *x,
                      const double *y, int64_t n)
{
    plot_set_colour(plot, line->colour, 1);
    cairo_set_line_width(plot->cairo, 2);
    plot_line(plot, area, x, y, n);
    for (int64_t i = 0; i < n; i++) {
        cairo_arc(plot->cairo, plot_at_x(area, x[i]), plot_at_y(area, y[i]), 3, 0, 6.283185307179586);
        cairo_fill(plot->cairo);
    }
}

/* Around the values of all lines. */
static void fit_axes(plot_area *area, const char *title, const scaling_line *lines, int64_t line_count,
                     const scaling_row *rows, int64_t count)
{
    double ends[2] = {INFINITY, -INFINITY};
    double sizes[2] = {(double)rows[0].weights, (double)rows[count - 1].weights};
    for (int64_t k = 0; k < line_count; k++)
        for (int64_t i = 0; i < count; i++)
            if (rows[i].threads == lines[k].threads) {
                ends[0] = fmin(ends[0], lines[k].value(&rows[i]));
                ends[1] = fmax(ends[1], lines[k].value(&rows[i]));
            }
    area->x = plot_axis_around("weights of a network", sizes, 2);
    plot_axis_fit_logarithmic(&area->x, sizes[0], sizes[1]);
    area->y = plot_axis_around(title, ends, 2);
    plot_axis_fit_logarithmic(&area->y, ends[0], ends[1]);
}

static int draw_part(cli_plot *plot, plot_area area, const char *title, const scaling_line *lines,
                     int64_t line_count, const scaling_row *rows, int64_t count)
{
    double *points = calloc((size_t)count, 2 * sizeof *points);
    plot_key keys[MOST_LINES];
    if (!points)
        return fail_memory();
    fit_axes(&area, title, lines, line_count, rows, count);
    plot_draw_axes(plot, &area);
    for (int64_t k = 0; k < line_count; k++) {
        int64_t n = points_of(&lines[k], rows, count, points, points + count);
        draw_line(plot, &area, &lines[k], points, points + count, n);
        keys[k] = (plot_key){lines[k].name, lines[k].colour};
    }
    plot_legend(plot, &area, keys, line_count);
    free(points);
    return EXIT_SUCCESS;
}

static scaling_line line_of(scaling_value *value, int threads, plot_colour colour, const char *name)
{
    scaling_line line = {.value = value, .threads = threads, .colour = colour};
    char text[TEXT_CAPACITY];
    snprintf(line.name, sizeof line.name, "%.60s, %.60s", name, text_plural(text, threads, "thread"));
    return line;
}

int plot_scaling(const char *path, const char *title, const scaling_row *rows, int64_t count)
{
    int least = rows[0].threads, most = rows[count - 1].threads;
    int64_t lines = least == most ? 1 : 2;
    const scaling_line times[] = {
        line_of(formula_milliseconds, least, plot_grey, "sgemm of the same arithmetic"),
        line_of(milliseconds, least, plot_blue, "time"),
        line_of(milliseconds, most, plot_orange, "time"),
    };
    const scaling_line memories[] = {
        line_of(planned, least, plot_blue, "planned"),
        line_of(peak, most, plot_grey, "peak"),
    };
    cli_plot plot;
    int failed = plot_begin(&plot, path, WIDTH, MARGIN + 2 * HEIGHT);
    plot_area first = {.left = MARGIN, .top = TOP, .right = WIDTH - MARGIN, .bottom = HEIGHT};
    plot_area second = {
        .left = MARGIN, .top = HEIGHT + MARGIN, .right = WIDTH - MARGIN, .bottom = 2 * HEIGHT};
    if (!failed) {
        plot_title(&plot, MARGIN, MARGIN + PLOT_FONT / 2, title);
        failed = draw_part(&plot, first, "milliseconds a sample", times, 1 + lines, rows, count);
    }
    if (!failed)
        failed = draw_part(&plot, second, "memory, MiB", memories, 2, rows, count);
    return plot_finish(&plot, failed);
}
