/* Diagrams as SVG or PNG files: the file, text, axes, lines. */
#ifndef NFT_CLI_PLOT_H
#define NFT_CLI_PLOT_H

#include "neighbour.h"

#include <cairo.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct plot_colour {
    double red, green, blue;
} plot_colour;

extern const plot_colour plot_black, plot_grey, plot_pale, plot_blue, plot_orange, plot_green;

#define PLOT_FONT 13.0 /* pixels */

/* A drawing that becomes a file. */
typedef struct cli_plot {
    cairo_t *cairo;
    cli_neighbour file;
    bool is_png;
} cli_plot;

/* A white page of `width` × `height` pixels, PNG where the path ends in .png (of twice as many pixels). Both
 * print their failures and return the exit status; whatever plot_begin returned, plot_finish is due: it
 * writes the file, or with `failed` nothing, and returns the status. */
int plot_begin(cli_plot *plot, const char *path, double width, double height);
int plot_finish(cli_plot *plot, int failed);

void plot_set_colour(cli_plot *plot, plot_colour colour, double opacity);
/* `side`: 0 text begins at x, 0.5 is centred, 1 ends there. y is the middle of its capitals. */
void plot_text(cli_plot *plot, double x, double y, double side, const char *text);
/* As plot_text(), read from below to above. */
void plot_text_upwards(cli_plot *plot, double x, double y, const char *text);
double plot_text_width(cli_plot *plot, const char *text);

typedef struct plot_axis {
    const char *title;
    double low, high; /* low < high; of a logarithmic axis both above 0 */
    bool logarithmic;
    bool whole; /* ticks are whole numbers */
} plot_axis;

/* The limits of an axis. Logs may hold any numbers; powers of these limits still fit in a double. */
#define PLOT_LEAST 1e-100
#define PLOT_MOST 1e100

/* An axis around `n` values, with some room at both ends. `n` may be 0. */
plot_axis plot_axis_around(const char *title, const double *values, int64_t n);
/* Widens it to hold a value. */
void plot_axis_include(plot_axis *axis, double value);
/* Around two values, if both are above 0 and their ratio is so large that an axis has to be logarithmic. */
void plot_axis_fit_logarithmic(plot_axis *axis, double least, double most);

/* A part of the page with axes: the frame inside which points are drawn. */
typedef struct plot_area {
    double left, top, right, bottom;
    plot_axis x, y;
} plot_area;

/* Draws axes, ticks and titles inside the area, and shrinks it to the frame. */
void plot_draw_axes(cli_plot *plot, plot_area *area);
double plot_at_x(const plot_area *area, double x);
double plot_at_y(const plot_area *area, double y);
/* Bold text that begins at x, with control characters written out. */
void plot_title(cli_plot *plot, double x, double y, const char *text);
/* The area between two lines through n points, clipped to the frame. */
void plot_band(cli_plot *plot, const plot_area *area, const double *x, const double *low, const double *high,
               int64_t n);
/* A line through n points, clipped to the frame. */
void plot_line(cli_plot *plot, const plot_area *area, const double *x, const double *y, int64_t n);

typedef struct plot_key {
    const char *name;
    plot_colour colour;
} plot_key;

/* Names of lines in one row above the frame, at its right end. */
void plot_legend(cli_plot *plot, const plot_area *area, const plot_key *keys, int64_t count);

#endif
