#include "plot_curves.h"

#include "curves.h"
#include "report.h"
#include "text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define MARGIN 12.0
#define TOP (2 * MARGIN + PLOT_FONT) /* below the title */
#define WIDTH 780.0
#define LOSS_HEIGHT 400.0
#define METRIC_HEIGHT 260.0
#define LEAST_R2 (-1.0) /* it has no lower bound */

/* Each loss where they are few, else a band. */
static int draw_raw_losses(cli_plot *plot, const plot_area *area, const training_log *log, plot_colour colour)
{
    curve low = {0}, high = {0};
    bool few = log->step_count <= MOST_POINTS;
    int failed = few ? raw_losses(&low, log) : quantiles_of_losses(&low, &high, log);
    if (!failed && few)
        draw_curve(plot, area, &low, colour, 0.25);
    if (!failed && !few) {
        plot_set_colour(plot, colour, 0.2);
        plot_band(plot, area, low.x, low.y, high.y, low.n);
    }
    free_curve(&low);
    free_curve(&high);
    return failed;
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
    plot_axis_fit_logarithmic(&both, least, most);
    return both;
}

/* A ring around it. */
static void mark_best(cli_plot *plot, const plot_area *area, const training_log *log, plot_colour colour)
{
    int64_t best = best_validation(log);
    double y = best < 0 ? (double)NAN : plot_at_y(area, log->validations[best].scores.loss);
    if (!isfinite(y) || y < area->top || y > area->bottom)
        return;
    plot_set_colour(plot, colour, 1);
    cairo_set_line_width(plot->cairo, 2);
    cairo_arc(plot->cairo, plot_at_x(area, (double)log->validations[best].step), y, 7, 0, 6.283185307179586);
    cairo_stroke(plot->cairo);
}

static void name_losses(cli_plot *plot, const plot_area *area, const training_log *log)
{
    char training[TEXT_CAPACITY], validation[TEXT_CAPACITY];
    int64_t window = smoothing_window(log), best = best_validation(log);
    snprintf(training, sizeof training, "training loss, mean of %" PRId64 " steps%s", window,
             log->step_count > MOST_POINTS ? " and 10 % to 90 %" : "");
    if (best >= 0)
        snprintf(validation, sizeof validation, "validation loss, lowest at step %" PRId64,
                 log->validations[best].step);
    else
        snprintf(validation, sizeof validation, "validation loss");
    plot_key keys[] = {{window > 1 ? training : "training loss", plot_blue}, {validation, plot_orange}};
    plot_legend(plot, area, keys, log->validation_count ? 2 : 1);
}

static int draw_losses(cli_plot *plot, const training_log *log)
{
    curve smooth = {0}, validation = {0};
    int failed = smooth_losses(&smooth, log);
    if (!failed)
        failed = validation_curve(&validation, log, loss_metric);
    if (!failed) {
        plot_area area = {
            MARGIN, TOP, WIDTH - MARGIN, LOSS_HEIGHT, step_axis(log), loss_axis(&smooth, &validation)};
        plot_draw_axes(plot, &area);
        failed = draw_raw_losses(plot, &area, log, plot_blue);
        draw_curve(plot, &area, &smooth, plot_blue, 1);
        draw_curve(plot, &area, &validation, plot_orange, 1);
        draw_dots(plot, &area, &validation, plot_orange);
        mark_best(plot, &area, log, plot_orange);
        name_losses(plot, &area, log);
    }
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

int plot_curves(const char *path, const char *title, const training_log *log)
{
    bool metrics = has_metrics(log);
    cli_plot plot;
    int failed = plot_begin(&plot, path, WIDTH, LOSS_HEIGHT + MARGIN + (metrics ? METRIC_HEIGHT : 0));
    if (!failed) {
        plot_title(&plot, MARGIN, MARGIN + PLOT_FONT / 2, title);
        failed = draw_losses(&plot, log);
    }
    if (!failed && metrics)
        failed = draw_metrics(&plot, log);
    return plot_finish(&plot, failed);
}
