/* Axes of a diagram, and lines between them. */
#include "plot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define GAP 7.0         /* between neighbours */
#define TICK 4.0        /* length */
#define X_DISTANCE 65.0 /* of ticks, at least */
#define Y_DISTANCE 45.0
#define ROOM 0.04      /* of an axis, beyond its values */
#define LABEL_BYTES 32 /* of a tick */
#define SAME 1e-9      /* values no further apart, compared with their size, are one value, rounded */
#define WIDE 10.0      /* the ratio of two values that are on a logarithmic axis */
#define OUTSIDE 100.0  /* axes: no point is drawn further away, where coordinates would overflow */

plot_axis plot_axis_around(const char *title, const double *values, int64_t n)
{
    plot_axis axis = {.title = title, .low = INFINITY, .high = -INFINITY};
    for (int64_t i = 0; i < n; i++)
        plot_axis_include(&axis, values[i]);
    if (!(axis.low <= axis.high))
        axis.low = axis.high = 0;
    double width = axis.high - axis.low, size = fmax(fabs(axis.low), fabs(axis.high));
    double room = width > SAME * size && width > PLOT_LEAST ? ROOM * width : ROOM * fmax(1, size);
    axis.low -= room;
    axis.high += room;
    return axis;
}

void plot_axis_include(plot_axis *axis, double value)
{
    if (!isfinite(value))
        return;
    value = fmax(fmin(value, PLOT_MOST), -PLOT_MOST);
    axis->low = fmin(axis->low, value);
    axis->high = fmax(axis->high, value);
}

/* 0 … 1 inside the axis; of NaN, NaN. */
static double place(const plot_axis *axis, double value)
{
    double at = (value - axis->low) / (axis->high - axis->low);
    if (axis->logarithmic)
        at = value > 0 ? log(value / axis->low) / log(axis->high / axis->low) : -1;
    return at < -OUTSIDE ? -OUTSIDE : at > OUTSIDE ? OUTSIDE : at;
}

void plot_axis_fit_logarithmic(plot_axis *axis, double least, double most)
{
    if (!(least > 0))
        return;
    least = fmax(least, PLOT_LEAST);
    most = fmin(most, PLOT_MOST);
    if (!(most / WIDE > least))
        return;
    double room = pow(most / least, ROOM);
    axis->low = least / room;
    axis->high = most * room;
    axis->logarithmic = true;
}

double plot_at_x(const plot_area *area, double x)
{
    return area->left + place(&area->x, x) * (area->right - area->left);
}

double plot_at_y(const plot_area *area, double y)
{
    return area->bottom - place(&area->y, y) * (area->bottom - area->top);
}

/* Where an axis has ticks: at most MAX_TICKS. */
#define MAX_TICKS 16
typedef struct ticks {
    int count;
    double values[MAX_TICKS];
    char labels[MAX_TICKS][LABEL_BYTES];
} ticks;

/* Where its label is to be written; NULL if the axis does not reach it. */
static char *add_tick(ticks *all, const plot_axis *axis, double value)
{
    double at = place(axis, value);
    if (all->count == MAX_TICKS || at < -1e-9 || at > 1 + 1e-9)
        return NULL;
    all->values[all->count] = value;
    return all->labels[all->count++];
}

/* Multiples of 1, 2 or 5 times a power of ten, at most `most` of them. */
static void linear_ticks(ticks *all, const plot_axis *axis, double most)
{
    double raw = (axis->high - axis->low) / fmax(most, 2), power = pow(10, floor(log10(raw)));
    double step = power * (raw <= power ? 1 : raw <= 2 * power ? 2 : raw <= 5 * power ? 5 : 10);
    step = axis->whole ? fmax(step, 1) : step;
    int decimals = (int)fmax(0, -floor(log10(step) + 1e-9));
    double first = ceil(axis->low / step - 1e-9);
    for (int i = 0; i < MAX_TICKS && (first + i) * step <= axis->high + 1e-9 * step; i++) {
        double value = (first + i) * step + 0.0; /* no -0 */
        char *label = add_tick(all, axis, value);
        bool plain = fabs(value) < 1e7 && decimals <= 6;
        if (label)
            snprintf(label, LABEL_BYTES, plain ? "%.*f" : "%.*g", plain ? decimals : 4, value);
    }
}

/* Powers of ten, and 2 and 5 times those of an axis that has few. */
static void logarithmic_ticks(ticks *all, const plot_axis *axis)
{
    int first = (int)floor(log10(axis->low)), last = (int)ceil(log10(axis->high));
    int every = (last - first + 7) / 8, factors = last - first <= 3 ? 3 : 1;
    for (int power = first; power <= last; power += every)
        for (int i = 0; i < factors; i++) {
            static const int all_factors[] = {1, 2, 5};
            double value = all_factors[i] * pow(10, power);
            char *label = add_tick(all, axis, value);
            if (label && abs(power) <= 4)
                snprintf(label, LABEL_BYTES, "%.*f", power < 0 ? -power : 0, value);
            else if (label)
                snprintf(label, LABEL_BYTES, "%de%d", all_factors[i], power);
        }
}

static ticks find_ticks(const plot_axis *axis, double most)
{
    ticks all = {0};
    if (axis->logarithmic)
        logarithmic_ticks(&all, axis);
    else
        linear_ticks(&all, axis, most);
    return all;
}

static double widest(cli_plot *plot, const ticks *all)
{
    double width = plot_text_width(plot, "0.000"); /* so that diagrams below each other align */
    for (int i = 0; i < all->count; i++)
        width = fmax(width, plot_text_width(plot, all->labels[i]));
    return width;
}

static void draw_segment(cli_plot *plot, double x0, double y0, double x1, double y1)
{
    cairo_move_to(plot->cairo, x0, y0);
    cairo_line_to(plot->cairo, x1, y1);
    cairo_stroke(plot->cairo);
}

static void draw_x_ticks(cli_plot *plot, const plot_area *area, const ticks *all)
{
    for (int i = 0; i < all->count; i++) {
        double x = plot_at_x(area, all->values[i]);
        plot_set_colour(plot, plot_pale, 1);
        draw_segment(plot, x, area->top, x, area->bottom);
        plot_set_colour(plot, plot_black, 1);
        draw_segment(plot, x, area->bottom, x, area->bottom + TICK);
        plot_text(plot, x, area->bottom + TICK + GAP + PLOT_FONT / 2, 0.5, all->labels[i]);
    }
}

static void draw_y_ticks(cli_plot *plot, const plot_area *area, const ticks *all)
{
    for (int i = 0; i < all->count; i++) {
        double y = plot_at_y(area, all->values[i]);
        plot_set_colour(plot, plot_pale, 1);
        draw_segment(plot, area->left, y, area->right, y);
        plot_set_colour(plot, plot_black, 1);
        draw_segment(plot, area->left - TICK, y, area->left, y);
        plot_text(plot, area->left - TICK - GAP, y, 1, all->labels[i]);
    }
}

void plot_draw_axes(cli_plot *plot, plot_area *area)
{
    double bottom = area->bottom, left = area->left;
    area->top += PLOT_FONT + GAP;
    area->bottom -= 2 * (PLOT_FONT + GAP) + TICK + GAP;
    ticks y = find_ticks(&area->y, (area->bottom - area->top) / Y_DISTANCE);
    area->left += PLOT_FONT + 3 * GAP + TICK + widest(plot, &y);
    area->right -= 3 * PLOT_FONT; /* half of the last tick's label */
    ticks x = find_ticks(&area->x, (area->right - area->left) / X_DISTANCE);
    cairo_set_line_width(plot->cairo, 1);
    draw_x_ticks(plot, area, &x);
    draw_y_ticks(plot, area, &y);
    cairo_rectangle(plot->cairo, area->left, area->top, area->right - area->left, area->bottom - area->top);
    cairo_stroke(plot->cairo);
    plot_text(plot, (area->left + area->right) / 2, bottom - PLOT_FONT / 2 - GAP, 0.5, area->x.title);
    plot_text_upwards(plot, left + PLOT_FONT / 2 + GAP, (area->top + area->bottom) / 2, area->y.title);
}

void plot_band(cli_plot *plot, const plot_area *area, const double *x, const double *low, const double *high,
               int64_t n)
{
    cairo_save(plot->cairo);
    cairo_rectangle(plot->cairo, area->left, area->top, area->right - area->left, area->bottom - area->top);
    cairo_clip(plot->cairo);
    cairo_new_path(plot->cairo);
    for (int64_t i = 0; i < n; i++)
        if (isfinite(high[i]) && isfinite(low[i]))
            cairo_line_to(plot->cairo, plot_at_x(area, x[i]), plot_at_y(area, high[i]));
    for (int64_t i = n; i-- > 0;)
        if (isfinite(high[i]) && isfinite(low[i]))
            cairo_line_to(plot->cairo, plot_at_x(area, x[i]), plot_at_y(area, low[i]));
    cairo_fill(plot->cairo);
    cairo_restore(plot->cairo);
}

void plot_line(cli_plot *plot, const plot_area *area, const double *x, const double *y, int64_t n)
{
    cairo_save(plot->cairo);
    cairo_rectangle(plot->cairo, area->left, area->top, area->right - area->left, area->bottom - area->top);
    cairo_clip(plot->cairo);
    bool open = false;
    for (int64_t i = 0; i < n; i++) {
        bool drawn = isfinite(x[i]) && isfinite(y[i]);
        if (drawn && open)
            cairo_line_to(plot->cairo, plot_at_x(area, x[i]), plot_at_y(area, y[i]));
        else if (drawn)
            cairo_move_to(plot->cairo, plot_at_x(area, x[i]), plot_at_y(area, y[i]));
        open = drawn;
    }
    cairo_stroke(plot->cairo);
    cairo_restore(plot->cairo);
}

void plot_legend(cli_plot *plot, const plot_area *area, const plot_key *keys, int64_t count)
{
    double x = area->right, y = area->top - GAP - PLOT_FONT / 2;
    for (int64_t i = count; i-- > 0;) {
        plot_set_colour(plot, plot_black, 1);
        plot_text(plot, x, y, 1, keys[i].name);
        x -= plot_text_width(plot, keys[i].name) + GAP;
        plot_set_colour(plot, keys[i].colour, 1);
        cairo_set_line_width(plot->cairo, 3);
        draw_segment(plot, x - 2 * PLOT_FONT, y, x, y);
        x -= 2 * PLOT_FONT + 3 * GAP;
    }
}
