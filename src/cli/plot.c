#include "plot.h"

#include "escape.h"
#include "report.h"
#include "text.h"

#include <cairo-svg.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define TITLE_CAPACITY 512

const plot_colour plot_black = {0.13, 0.13, 0.13}, plot_grey = {0.45, 0.45, 0.45},
                  plot_pale = {0.88, 0.88, 0.88}, plot_blue = {0.12, 0.42, 0.69},
                  plot_orange = {0.86, 0.41, 0.05}, plot_green = {0.16, 0.54, 0.24};

static cairo_status_t write_bytes(void *stream, const unsigned char *data, unsigned int bytes)
{
    return fwrite(data, 1, bytes, stream) == bytes ? CAIRO_STATUS_SUCCESS : CAIRO_STATUS_WRITE_ERROR;
}

#define PIXELS 2 /* of an image, for each of the drawing's */

static cairo_surface_t *make_image(double width, double height)
{
    cairo_surface_t *surface =
        cairo_image_surface_create(CAIRO_FORMAT_RGB24, PIXELS * (int)width, PIXELS * (int)height);
    cairo_surface_set_device_scale(surface, PIXELS, PIXELS);
    return surface;
}

int plot_begin(cli_plot *plot, const char *path, double width, double height)
{
    int failed = neighbour_begin(&plot->file, path);
    plot->is_png = text_ends_with(path, ".png");
    cairo_surface_t *surface = plot->is_png
                                   ? make_image(width, height)
                                   : cairo_svg_surface_create_for_stream(failed ? NULL : write_bytes,
                                                                         plot->file.stream, width, height);
    if (!plot->is_png)
        cairo_svg_surface_set_document_unit(surface, CAIRO_SVG_UNIT_PX);
    plot->cairo = cairo_create(surface);
    cairo_surface_destroy(surface); /* the context keeps it */
    cairo_set_source_rgb(plot->cairo, 1, 1, 1);
    cairo_paint(plot->cairo);
    cairo_select_font_face(plot->cairo, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(plot->cairo, PLOT_FONT);
    cairo_set_line_join(plot->cairo, CAIRO_LINE_JOIN_ROUND);
    return failed;
}

int plot_finish(cli_plot *plot, int failed)
{
    errno = 0;
    cairo_surface_t *surface = cairo_get_target(plot->cairo);
    cairo_status_t status = cairo_status(plot->cairo);
    if (plot->is_png && !failed && !status)
        status = cairo_surface_write_to_png_stream(surface, write_bytes, plot->file.stream);
    cairo_surface_finish(surface);
    if (!status)
        status = cairo_status(plot->cairo);
    if (!status)
        status = cairo_surface_status(surface);
    if (!failed && status)
        failed = fail("%s: cannot write: %s", plot->file.path,
                      errno ? strerror(errno) : cairo_status_to_string(status));
    cairo_destroy(plot->cairo); /* before its stream: a surface in error is finished here */
    failed = neighbour_finish(&plot->file, failed);
    *plot = (cli_plot){0};
    return failed;
}

void plot_set_colour(cli_plot *plot, plot_colour colour, double opacity)
{
    cairo_set_source_rgba(plot->cairo, colour.red, colour.green, colour.blue, opacity);
}

double plot_text_width(cli_plot *plot, const char *text)
{
    cairo_text_extents_t extents;
    cairo_text_extents(plot->cairo, text, &extents);
    return extents.x_advance;
}

/* Half the height of a capital. */
static double half_capital(cli_plot *plot)
{
    cairo_text_extents_t extents;
    cairo_text_extents(plot->cairo, "H", &extents);
    return extents.height / 2;
}

void plot_text(cli_plot *plot, double x, double y, double side, const char *text)
{
    cairo_move_to(plot->cairo, x - side * plot_text_width(plot, text), y + half_capital(plot));
    cairo_show_text(plot->cairo, text);
    cairo_new_path(plot->cairo);
}

void plot_title(cli_plot *plot, double x, double y, const char *text)
{
    char line[TITLE_CAPACITY];
    escape_text(line, sizeof line, text);
    cairo_save(plot->cairo);
    cairo_select_font_face(plot->cairo, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_BOLD);
    plot_set_colour(plot, plot_black, 1);
    plot_text(plot, x, y, 0, line);
    cairo_restore(plot->cairo);
}

void plot_text_upwards(cli_plot *plot, double x, double y, const char *text)
{
    cairo_save(plot->cairo);
    cairo_translate(plot->cairo, x, y);
    cairo_rotate(plot->cairo, -1.5707963267948966);
    plot_text(plot, 0, 0, 0.5, text);
    cairo_restore(plot->cairo);
}
