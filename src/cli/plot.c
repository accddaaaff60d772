#define _XOPEN_SOURCE 700
#include "plot.h"

#include "report.h"

#include <cairo-svg.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const plot_colour plot_black = {0.13, 0.13, 0.13}, plot_grey = {0.45, 0.45, 0.45},
                  plot_pale = {0.88, 0.88, 0.88}, plot_blue = {0.12, 0.42, 0.69},
                  plot_orange = {0.86, 0.41, 0.05}, plot_green = {0.16, 0.54, 0.24};

/* An empty file beside the target that nobody else has. */
static int make_neighbour(cli_plot *plot)
{
    size_t size = strlen(plot->path) + sizeof ".tmp-XXXXXX";
    plot->neighbour = malloc(size);
    if (!plot->neighbour)
        return fail_memory();
    snprintf(plot->neighbour, size, "%s.tmp-XXXXXX", plot->path);
    int descriptor = mkstemp(plot->neighbour);
    if (descriptor < 0)
        return fail("%s: cannot write: %s", plot->path, strerror(errno));
    plot->begun = true;
    mode_t mask = umask(0);
    umask(mask);
    int refused = fchmod(descriptor, 0666 & ~mask);
    close(descriptor);
    return refused ? fail("%s: cannot write: %s", plot->path, strerror(errno)) : EXIT_SUCCESS;
}

int plot_begin(cli_plot *plot, const char *path, double width, double height)
{
    *plot = (cli_plot){.path = path};
    int failed = make_neighbour(plot);
    cairo_surface_t *surface = cairo_svg_surface_create(failed ? NULL : plot->neighbour, width, height);
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
    cairo_surface_finish(surface);
    cairo_status_t status = cairo_status(plot->cairo);
    if (!status)
        status = cairo_surface_status(surface);
    if (!failed && status)
        failed = fail("%s: cannot write: %s", plot->path,
                      errno ? strerror(errno) : cairo_status_to_string(status));
    if (!failed && rename(plot->neighbour, plot->path))
        failed = fail("%s: cannot write: %s", plot->path, strerror(errno));
    if (failed && plot->begun)
        unlink(plot->neighbour);
    cairo_destroy(plot->cairo);
    free(plot->neighbour);
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

void plot_text_upwards(cli_plot *plot, double x, double y, const char *text)
{
    cairo_save(plot->cairo);
    cairo_translate(plot->cairo, x, y);
    cairo_rotate(plot->cairo, -1.5707963267948966);
    plot_text(plot, 0, 0, 0.5, text);
    cairo_restore(plot->cairo);
}
