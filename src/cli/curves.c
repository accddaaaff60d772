#include "curves.h"

#include "report.h"

#include <math.h>
#include <stdlib.h>

#define MOST_QUANTILED 101 /* losses that a quantile is found among */
#define SMOOTHING 50       /* the smoothed loss is the mean over one part in so many of the steps */

static int make_curve(curve *c, int64_t capacity)
{
    *c = (curve){.x = malloc((size_t)capacity * sizeof(double) + 1),
                 .y = malloc((size_t)capacity * sizeof(double) + 1)};
    return c->x && c->y ? EXIT_SUCCESS : fail_memory();
}

void free_curve(curve *c)
{
    free(c->x);
    free(c->y);
}

static void add_point(curve *c, double x, double y)
{
    c->x[c->n] = x;
    c->y[c->n++] = y;
}

int64_t smoothing_window(const training_log *log)
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

int smooth_losses(curve *c, const training_log *log)
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

void draw_curve(cli_plot *plot, const plot_area *area, const curve *c, plot_colour colour, double opacity)
{
    plot_set_colour(plot, colour, opacity);
    cairo_set_line_width(plot->cairo, opacity < 1 ? 1 : 2);
    plot_line(plot, area, c->x, c->y, c->n);
}

int raw_losses(curve *c, const training_log *log)
{
    int failed = make_curve(c, log->step_count);
    for (int64_t i = 0; i < log->step_count && !failed; i++)
        add_point(c, (double)log->steps[i].step, log->steps[i].loss);
    return failed;
}

static int compare_numbers(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Two quantiles of the finite losses of steps first … end - 1, of which some are looked at. */
static void find_quantiles(double quantiles[2], const training_log *log, int64_t first, int64_t end)
{
    double values[MOST_QUANTILED];
    int64_t every = (end - first + MOST_QUANTILED - 1) / MOST_QUANTILED, n = 0;
    for (int64_t i = first; i < end; i += every)
        if (isfinite(log->steps[i].loss))
            values[n++] = log->steps[i].loss;
    qsort(values, (size_t)n, sizeof *values, compare_numbers);
    quantiles[0] = n ? values[(n - 1) / 10] : (double)NAN;
    quantiles[1] = n ? values[n - 1 - (n - 1) / 10] : (double)NAN;
}

int quantiles_of_losses(curve *low, curve *high, const training_log *log)
{
    int64_t n = log->step_count, every = n / MOST_POINTS + 1, window = smoothing_window(log);
    int failed = make_curve(low, n / every + 1);
    if (!failed)
        failed = make_curve(high, n / every + 1);
    for (int64_t i = 0; i < n && !failed; i += every) {
        double quantiles[2];
        int64_t first = i - window / 2 > 0 ? i - window / 2 : 0,
                end = first + window < n ? first + window : n;
        find_quantiles(quantiles, log, first, end);
        add_point(low, (double)log->steps[i].step, quantiles[0]);
        add_point(high, (double)log->steps[i].step, quantiles[1]);
    }
    return failed;
}

double loss_metric(const cli_scores *scores)
{
    return scores->loss;
}

double accuracy_metric(const cli_scores *scores)
{
    return scores->accuracy;
}

double tau_metric(const cli_scores *scores)
{
    return scores->tau;
}

double r2_metric(const cli_scores *scores)
{
    return scores->r2;
}

double psnr_metric(const cli_scores *scores)
{
    return scores->psnr;
}

int validation_curve(curve *c, const training_log *log, metric_function *metric)
{
    int failed = make_curve(c, log->validation_count);
    for (int64_t i = 0; i < log->validation_count && !failed; i++)
        add_point(c, (double)log->validations[i].step, metric(&log->validations[i].scores));
    return failed;
}

void draw_dots(cli_plot *plot, const plot_area *area, const curve *c, plot_colour colour)
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

int64_t best_validation(const training_log *log)
{
    int64_t best = -1;
    for (int64_t i = 0; i < log->validation_count; i++) {
        double loss = log->validations[i].scores.loss;
        if (isfinite(loss) && (best < 0 || loss < log->validations[best].scores.loss))
            best = i;
    }
    return best;
}
