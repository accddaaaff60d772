#include "plot_curves.h"

#include "plot.h"
#include "report.h"
#include "text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define MARGIN 12.0
#define WIDTH 780.0
#define LOSS_HEIGHT 380.0
#define METRIC_HEIGHT 260.0
#define MOST_POINTS 600 /* of a curve */
#define SMOOTHING 50    /* the smoothed loss is the mean over one part in so many of the steps */
#define WIDE 10.0       /* a loss that changes by such a factor gets a logarithmic axis */
#define LEAST_R2 (-1.0) /* it has no lower bound */

/* Points of one line. */
typedef struct curve {
    int64_t n;
    double *x, *y;
} curve;

static int make_curve(curve *c, int64_t capacity)
{
    *c = (curve){.x = malloc((size_t)capacity * sizeof(double) + 1),
                 .y = malloc((size_t)capacity * sizeof(double) + 1)};
    return c->x && c->y ? EXIT_SUCCESS : fail_memory();
}

static void free_curve(curve *c)
{
    free(c->x);
    free(c->y);
}

static void add_point(curve *c, double x, double y)
{
    c->x[c->n] = x;
    c->y[c->n++] = y;
}

static int64_t smoothing_window(const training_log *log)
{
    return log->step_count / SMOOTHING + 1;
}

static double mean_loss(const training_log *log, int64_t first, int64_t end)
{
    double sum = 0;
    for (int64_t i = first; i < end; i++)
        sum += log->steps[i].loss;
    return sum / (double)(end - first);
}

/* The mean over a window around each of at most MOST_POINTS steps. */
static int smooth_losses(curve *c, const training_log *log)
{
    int64_t n = log->step_count, every = n / MOST_POINTS + 1, window = smoothing_window(log);
    int failed = make_curve(c, n / every + 1);
    for (int64_t i = 0; i < n && !failed; i += every) {
        int64_t first = i - window / 2 > 0 ? i - window / 2 : 0,
                end = first + window < n ? first + window : n;
        add_point(c, (double)log->steps[i].step, mean_loss(log, first, end));
    }
    return failed;
}

/* The losses as they were; where they are too many, the least and the greatest of each few. */
static int raw_losses(curve *c, const training_log *log)
{
    int64_t n = log->step_count, every = n / MOST_POINTS + 1;
    int failed = make_curve(c, 2 * (n / every + 1));
    for (int64_t i = 0; i < n && !failed; i += every) {
        double least = log->steps[i].loss, most = least, x = (double)log->steps[i].step;
        for (int64_t k = i; k < n && k < i + every; k++) {
            least = fmin(least, log->steps[k].loss);
            most = fmax(most, log->steps[k].loss);
        }
        add_point(c, x, least);
        if (every > 1)
            add_point(c, x, most);
    }
    return failed;
}

typedef double metric_function(const cli_scores *scores);

static double loss_metric(const cli_scores *scores)
{
    return scores->loss;
}

static double accuracy_metric(const cli_scores *scores)
{
    return scores->accuracy;
}

static double tau_metric(const cli_scores *scores)
{
    return scores->tau;
}

static double r2_metric(const cli_scores *scores)
{
    return scores->r2;
}

static double psnr_metric(const cli_scores *scores)
{
    return scores->psnr;
}

static int validation_curve(curve *c, const training_log *log, metric_function *metric)
{
    int failed = make_curve(c, log->validation_count);
    for (int64_t i = 0; i < log->validation_count && !failed; i++)
        add_point(c, (double)log->validations[i].step, metric(&log->validations[i].scores));
    return failed;
}

static void draw_curve(cli_plot *plot, const plot_area *area, const curve *c, plot_colour colour,
                       double opacity)
{
    plot_set_colour(plot, colour, opacity);
    cairo_set_line_width(plot->cairo, opacity < 1 ? 1 : 2);
    plot_line(plot, area, c->x, c->y, c->n);
}

/* Dots where a curve has few points. */
static void draw_dots(cli_plot *plot, const plot_area *area, const curve *c, plot_colour colour)
{
    plot_set_colour(plot, colour, 1);
    for (int64_t i = 0; i < c->n && c->n <= 40; i++) {
        double y = plot_at_y(area, c->y[i]);
        if (!isfinite(y) || y > area->bottom)
            continue;
        cairo_arc(plot->cairo, plot_at_x(area, c->x[i]), y, 3, 0, 6.283185307179586);
        cairo_fill(plot->cairo);
    }
}

/* An axis of steps that begins where the log does. */
static plot_axis step_axis(const training_log *log)
{
    double ends[2] = {0, 1};
    int64_t n = log->step_count;
    if (n) {
        ends[0] = (double)log->steps[0].step;
        ends[1] = (double)log->steps[n - 1].step + 1;
    }
    plot_axis axis = plot_axis_around("step", NULL, 0);
    axis.low = ends[0];
    axis.high = ends[1];
    axis.whole = true;
    return axis;
}

/* Around the smoothed loss and the validation's. */
static plot_axis loss_axis(const curve *smooth, const curve *validation)
{
    double least = INFINITY, most = -INFINITY;
    const curve *curves[] = {smooth, validation};
    for (int c = 0; c < 2; c++)
        for (int64_t i = 0; i < curves[c]->n; i++) {
            least = fmin(least, curves[c]->y[i]);
            most = fmax(most, curves[c]->y[i]);
        }
    double ends[] = {least, most};
    plot_axis both = plot_axis_around("loss", ends, 2);
    if (least > 0 && most > WIDE * PLOT_LEAST && most / WIDE > least)
        plot_axis_make_logarithmic(&both, least, most);
    return both;
}

static int draw_losses(cli_plot *plot, const training_log *log)
{
    char training[TEXT_CAPACITY];
    curve raw = {0}, smooth = {0}, validation = {0};
    int failed = raw_losses(&raw, log);
    if (!failed)
        failed = smooth_losses(&smooth, log);
    if (!failed)
        failed = validation_curve(&validation, log, loss_metric);
    if (!failed) {
        plot_area area = {MARGIN,      MARGIN,         WIDTH - MARGIN,
                          LOSS_HEIGHT, step_axis(log), loss_axis(&smooth, &validation)};
        plot_draw_axes(plot, &area);
        draw_curve(plot, &area, &raw, plot_blue, 0.25);
        draw_curve(plot, &area, &smooth, plot_blue, 1);
        draw_curve(plot, &area, &validation, plot_orange, 1);
        draw_dots(plot, &area, &validation, plot_orange);
        snprintf(training, sizeof training, "training loss, mean of %" PRId64 " steps",
                 smoothing_window(log));
        plot_key keys[] = {{smoothing_window(log) > 1 ? training : "training loss", plot_blue},
                           {"validation loss", plot_orange}};
        plot_legend(plot, &area, keys, log->validation_count ? 2 : 1);
    }
    free_curve(&raw);
    free_curve(&smooth);
    free_curve(&validation);
    return failed;
}

typedef struct metric_curve {
    plot_key key;
    metric_function *metric;
    double least; /* of the axis */
    curve points;
} metric_curve;

static plot_axis metric_axis(const metric_curve *curves, int count)
{
    double ends[] = {INFINITY, -INFINITY};
    for (int c = 0; c < count; c++)
        for (int64_t i = 0; i < curves[c].points.n; i++) {
            double y = fmax(curves[c].points.y[i], curves[c].least);
            if (!isfinite(curves[c].points.y[i])) /* a tau of equal predictions, for example */
                continue;
            ends[0] = fmin(ends[0], y);
            ends[1] = fmax(ends[1], y);
        }
    return plot_axis_around("validation", ends, 2);
}

/* Whether the validations have more than a loss. */
static bool has_metrics(const training_log *log)
{
    const cli_scores *scores =
        log->validation_count ? &log->validations[log->validation_count - 1].scores : NULL;
    return scores &&
           (isfinite(scores->accuracy) || isfinite(scores->mean_absolute_error) || isfinite(scores->psnr));
}

/* The metrics of the last validation, one or two; how many. */
static int choose_metrics(metric_curve *curves, const training_log *log)
{
    const cli_scores *scores = &log->validations[log->validation_count - 1].scores;
    curves[0] = (metric_curve){{"Kendall's tau", plot_blue}, tau_metric, -INFINITY, {0}};
    curves[1] = (metric_curve){{"R²", plot_green}, r2_metric, LEAST_R2, {0}};
    if (isfinite(scores->accuracy))
        curves[0] = (metric_curve){{"accuracy", plot_blue}, accuracy_metric, -INFINITY, {0}};
    else if (isfinite(scores->psnr))
        curves[0] = (metric_curve){{"PSNR in dB", plot_blue}, psnr_metric, -INFINITY, {0}};
    return isfinite(scores->mean_absolute_error) ? 2 : 1;
}

static int draw_metrics(cli_plot *plot, const training_log *log)
{
    metric_curve curves[2];
    int failed = EXIT_SUCCESS, count = choose_metrics(curves, log);
    for (int i = 0; i < count && !failed; i++)
        failed = validation_curve(&curves[i].points, log, curves[i].metric);
    if (!failed) {
        plot_area area = {MARGIN,         LOSS_HEIGHT + MARGIN,
                          WIDTH - MARGIN, LOSS_HEIGHT + METRIC_HEIGHT,
                          step_axis(log), metric_axis(curves, count)};
        plot_key keys[] = {curves[0].key, curves[1].key};
        plot_draw_axes(plot, &area);
        for (int i = 0; i < count; i++) {
            draw_curve(plot, &area, &curves[i].points, curves[i].key.colour, 1);
            draw_dots(plot, &area, &curves[i].points, curves[i].key.colour);
        }
        plot_legend(plot, &area, keys, count);
    }
    for (int i = 0; i < count; i++)
        free_curve(&curves[i].points);
    return failed;
}

int plot_curves(const char *path, const training_log *log)
{
    bool metrics = has_metrics(log);
    cli_plot plot;
    int failed = plot_begin(&plot, path, WIDTH, LOSS_HEIGHT + MARGIN + (metrics ? METRIC_HEIGHT : 0));
    if (!failed)
        failed = draw_losses(&plot, log);
    if (!failed && metrics)
        failed = draw_metrics(&plot, log);
    return plot_finish(&plot, failed);
}
