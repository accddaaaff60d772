#include "plot_predictions.h"

#include "escape.h"
#include "metrics.h"
#include "plot.h"
#include "report.h"
#include "text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARGIN 16.0
#define TITLE_HEIGHT (PLOT_FONT + 10)
#define SCATTER_WIDTH 532.0 /* with the axes: without their room the frame is a square */
#define SCATTER_HEIGHT 487.0
#define MOST_POINTS 4000 /* of more the density is drawn */
#define DENSITY_CELLS 100
#define MATRIX_SIDE 440.0
#define LARGEST_NAME (9 * PLOT_FONT)
#define MOST_NUMBERED 32 /* classes whose numbers have room */

/* A caption above the frame. */
static void draw_caption(cli_plot *plot, double x, const char *text)
{
    plot_set_colour(plot, plot_black, 1);
    plot_text(plot, x, MARGIN + PLOT_FONT / 2, 0, text);
}

/* --- predicted against actual --- */

static void draw_points(cli_plot *plot, const plot_area *area, const cli_predictions *p, int64_t n)
{
    plot_set_colour(plot, plot_blue, 0.5);
    for (int64_t i = 0; i < n; i++) {
        cairo_arc(plot->cairo, plot_at_x(area, (double)p->targets[i]), plot_at_y(area, (double)p->values[i]),
                  2.5, 0, 6.283185307179586);
        cairo_fill(plot->cairo);
    }
}

static int64_t cell_of(double at, double low, double high)
{
    int64_t cell = (int64_t)((at - low) / (high - low) * DENSITY_CELLS);
    return cell < 0 ? 0 : cell < DENSITY_CELLS ? cell : DENSITY_CELLS - 1;
}

/* The number of points in each cell of a grid, on a logarithmic scale of colour. */
static int draw_density(cli_plot *plot, const plot_area *area, const cli_predictions *p, int64_t n)
{
    int64_t *counts = calloc((size_t)DENSITY_CELLS * DENSITY_CELLS, sizeof *counts), most = 1;
    double width = (area->right - area->left) / DENSITY_CELLS,
           height = (area->bottom - area->top) / DENSITY_CELLS;
    if (!counts)
        return fail_memory();
    for (int64_t i = 0; i < n; i++) {
        int64_t row = cell_of((double)p->values[i], area->y.low, area->y.high);
        int64_t column = cell_of((double)p->targets[i], area->x.low, area->x.high);
        int64_t count = ++counts[row * DENSITY_CELLS + column];
        most = count > most ? count : most;
    }
    for (int64_t i = 0; i < DENSITY_CELLS * DENSITY_CELLS; i++) {
        if (!counts[i])
            continue;
        int64_t row = i / DENSITY_CELLS, column = i % DENSITY_CELLS;
        double opacity = 0.25 + 0.75 * log((double)counts[i]) / log((double)most + 1);
        plot_set_colour(plot, plot_blue, opacity);
        cairo_rectangle(plot->cairo, area->left + width * (double)column,
                        area->bottom - height * (double)(row + 1), width, height);
        cairo_fill(plot->cairo);
    }
    free(counts);
    return EXIT_SUCCESS;
}

static plot_area scatter_area(const cli_predictions *p, int64_t n)
{
    plot_area area = {.left = MARGIN,
                      .top = 2 * MARGIN,
                      .right = MARGIN + SCATTER_WIDTH,
                      .bottom = 2 * MARGIN + SCATTER_HEIGHT};
    double ends[4] = {INFINITY, -INFINITY, INFINITY, -INFINITY};
    for (int64_t i = 0; i < n; i++) {
        ends[0] = fmin(ends[0], fmin((double)p->targets[i], (double)p->values[i]));
        ends[1] = fmax(ends[1], fmax((double)p->targets[i], (double)p->values[i]));
    }
    area.x = plot_axis_around("actual", ends, 2);
    area.y = area.x;
    area.y.title = "predicted";
    return area;
}

/* `text` has 16 bytes. */
static const char *describe(char *text, double score)
{
    snprintf(text, 16, isfinite(score) ? "%.4f" : "undefined", score);
    return text;
}

static int draw_scatter(cli_plot *plot, const cli_predictions *p, const cli_scores *scores)
{
    int64_t n = p->rows * p->width;
    char caption[2 * TEXT_CAPACITY], count[TEXT_CAPACITY], tau[16], r2[16];
    plot_area area = scatter_area(p, n);
    double diagonal[] = {area.x.low, area.x.high};
    plot_draw_axes(plot, &area);
    plot_set_colour(plot, plot_grey, 1);
    cairo_set_line_width(plot->cairo, 1);
    plot_line(plot, &area, diagonal, diagonal, 2);
    snprintf(caption, sizeof caption, "tau %s    R² %s    mae %.4g    %s", describe(tau, scores->tau),
             describe(r2, scores->r2), scores->mean_absolute_error, text_plural(count, p->rows, "network"));
    draw_caption(plot, area.left, caption);
    if (n > MOST_POINTS)
        return draw_density(plot, &area, p, n);
    draw_points(plot, &area, p, n);
    return EXIT_SUCCESS;
}

/* --- confusion matrix --- */

typedef struct confusion {
    int64_t classes;
    int64_t *counts; /* [label · classes + predicted] */
    double left, top, cell;
    double names; /* room for the names of classes; 0 for their numbers */
} confusion;

/* Room for the longest name, as far as it is not longer than most are. */
static double room_for_names(const json_t *names)
{
    size_t longest = 0;
    for (size_t i = 0; i < json_array_size(names); i++) {
        size_t length = strlen(json_string_value(json_array_get(names, i)));
        longest = length > longest ? length : longest;
    }
    return names ? fmin(0.6 * PLOT_FONT * (double)longest + PLOT_FONT, LARGEST_NAME) : 0;
}

static int count_pairs(confusion *c, const cli_predictions *p)
{
    c->classes = p->width;
    c->counts = calloc((size_t)(p->width * p->width), sizeof *c->counts);
    if (!c->counts)
        return fail_memory();
    for (int64_t i = 0; i < p->rows; i++)
        c->counts[p->classes[i] * p->width + metrics_largest(p->values + i * p->width, p->width)]++;
    return EXIT_SUCCESS;
}

static void draw_cell(cli_plot *plot, const confusion *c, int64_t label, int64_t predicted, int64_t total)
{
    char text[24];
    int64_t count = c->counts[label * c->classes + predicted];
    if (!count && c->classes > MOST_NUMBERED)
        return;
    double share = total ? (double)count / (double)total : 0;
    double x = c->left + c->cell * (double)predicted, y = c->top + c->cell * (double)label;
    plot_set_colour(plot, plot_blue, share);
    cairo_rectangle(plot->cairo, x, y, c->cell, c->cell);
    if (c->classes > MOST_NUMBERED) {
        cairo_fill(plot->cairo);
        return;
    }
    cairo_fill_preserve(plot->cairo);
    plot_set_colour(plot, plot_pale, 1);
    cairo_set_line_width(plot->cairo, 1);
    cairo_stroke(plot->cairo);
    if (!count)
        return;
    snprintf(text, sizeof text, "%" PRId64, count);
    cairo_save(plot->cairo);
    double room = 0.86 * c->cell / plot_text_width(plot, text);
    cairo_set_font_size(plot->cairo, fmin(PLOT_FONT, PLOT_FONT * room));
    plot_set_colour(plot, share > 0.55 ? (plot_colour){1, 1, 1} : plot_black, 1);
    plot_text(plot, x + c->cell / 2, y + c->cell / 2, 0.5, text);
    cairo_restore(plot->cairo);
}

/* Class numbers left of the rows and below the columns, as many as there is room for. */
static void draw_numbers(cli_plot *plot, const confusion *c)
{
    char text[24];
    double side = c->cell * (double)c->classes, middle = c->cell / 2;
    snprintf(text, sizeof text, "%" PRId64, c->classes - 1);
    double needed = fmax(plot_text_width(plot, text) + PLOT_FONT / 2, 1.2 * PLOT_FONT);
    int64_t every = (int64_t)ceil(needed / c->cell);
    for (int64_t i = 0; i < c->classes; i += every) {
        snprintf(text, sizeof text, "%" PRId64, i);
        plot_text(plot, c->left - 6, c->top + c->cell * (double)i + middle, 1, text);
        plot_text(plot, c->left + c->cell * (double)i + middle, c->top + side + PLOT_FONT, 0.5, text);
    }
}

/* The same with names, those of columns upwards; long ones are smaller. */
static void draw_names(cli_plot *plot, const confusion *c, const json_t *names)
{
    char text[TEXT_CAPACITY];
    double side = c->cell * (double)c->classes, middle = c->cell / 2;
    int64_t every = (int64_t)ceil(1.2 * PLOT_FONT / c->cell);
    for (int64_t i = 0; i < c->classes; i += every) {
        escape_text(text, sizeof text, json_string_value(json_array_get(names, (size_t)i)));
        double at = c->cell * (double)i + middle;
        double size = fmin(1, c->names / fmax(plot_text_width(plot, text), 1));
        cairo_save(plot->cairo);
        cairo_set_font_size(plot->cairo, PLOT_FONT * size);
        plot_text(plot, c->left - 6, c->top + at, 1, text);
        plot_text_upwards(plot, c->left + at, c->top + side + 6 + plot_text_width(plot, text) / 2, text);
        cairo_restore(plot->cairo);
    }
}

static void draw_classes(cli_plot *plot, const confusion *c, const json_t *names)
{
    double side = c->cell * (double)c->classes, below = names ? c->names + 1.6 * PLOT_FONT : 2.4 * PLOT_FONT;
    plot_set_colour(plot, plot_black, 1);
    if (names)
        draw_names(plot, c, names);
    else
        draw_numbers(plot, c);
    cairo_set_line_width(plot->cairo, 1);
    cairo_rectangle(plot->cairo, c->left, c->top, side, side);
    cairo_stroke(plot->cairo);
    plot_text(plot, c->left + side / 2, c->top + side + below, 0.5, "predicted class");
    plot_text_upwards(plot, MARGIN + PLOT_FONT / 2, c->top + side / 2, "actual class");
}

static int draw_confusion(cli_plot *plot, const cli_predictions *p, const cli_scores *scores)
{
    char caption[TEXT_CAPACITY], count[TEXT_CAPACITY];
    double names = room_for_names(p->names);
    confusion c = {.left = MARGIN + (names > 0 ? 2 * PLOT_FONT + names : 4 * PLOT_FONT),
                   .names = names,
                   .top = 2 * MARGIN + PLOT_FONT,
                   .cell = MATRIX_SIDE / (double)p->width};
    int failed = count_pairs(&c, p);
    for (int64_t label = 0; label < p->width && !failed; label++) {
        int64_t total = 0;
        for (int64_t i = 0; i < p->width; i++)
            total += c.counts[label * p->width + i];
        for (int64_t i = 0; i < p->width; i++)
            draw_cell(plot, &c, label, i, total);
    }
    if (!failed)
        draw_classes(plot, &c, p->names);
    snprintf(caption, sizeof caption, "accuracy %.4f    %s", scores->accuracy,
             text_plural(count, p->rows, "network"));
    draw_caption(plot, c.left, caption);
    free(c.counts);
    return failed;
}

int plot_predictions(const char *path, const char *title, const cli_predictions *predictions,
                     const cli_scores *scores)
{
    bool classes = scores->kind == LOSS_CROSS_ENTROPY;
    double names = room_for_names(predictions->names);
    double width = classes ? MATRIX_SIDE + 2 * MARGIN + (names > 0 ? 3 : 5) * PLOT_FONT + names
                           : SCATTER_WIDTH + 2 * MARGIN;
    double height = classes ? MATRIX_SIDE + 3 * MARGIN + 4 * PLOT_FONT + names : SCATTER_HEIGHT + 3 * MARGIN;
    cli_plot plot;
    int failed = plot_begin(&plot, path, width, height + TITLE_HEIGHT);
    if (!failed)
        plot_title(&plot, MARGIN, MARGIN + PLOT_FONT / 2, title);
    cairo_translate(plot.cairo, 0, TITLE_HEIGHT);
    if (!failed)
        failed = (classes ? draw_confusion : draw_scatter)(&plot, predictions, scores);
    return plot_finish(&plot, failed);
}
