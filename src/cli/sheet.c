#include "sheet.h"

#include "report.h"

#include <cairo.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define GAP 2
#define GREY 128 /* of gaps, and of cells that no group fills */
#define LINE 14  /* pixels of a caption, and more where images are enlarged more than twice */
#define FONT 0.8 /* of the line */
#define LARGEST (INT64_MAX / 16)

/* a · b, or LARGEST where it is more. */
static int64_t multiply(int64_t a, int64_t b)
{
    return a < LARGEST / b ? a * b : LARGEST;
}

/* Of a group in its cell, without the gap. */
static int64_t cell_width(const sheet *made)
{
    return multiply(multiply(made->image.width, made->members), made->zoom);
}

static int64_t cell_height(const sheet *made)
{
    return multiply(made->image.height, made->zoom) + made->caption;
}

int make_sheet(sheet *made, const picture *image, const sheet_layout *layout, const char *path)
{
    bool gaps = layout->members > 1 || layout->captions;
    *made = (sheet){.image = *image,
                    .members = layout->members,
                    .zoom = layout->zoom,
                    .gap = gaps ? GAP : 0,
                    .caption = !layout->captions  ? 0
                               : layout->zoom > 2 ? LINE * layout->zoom / 2
                                                  : LINE};
    for (made->columns = 1; made->columns * made->columns * made->members < layout->groups;)
        made->columns++;
    int64_t rows = (layout->groups + made->columns - 1) / made->columns;
    made->heading = layout->heading ? LINE * (layout->zoom > 2 ? layout->zoom / 2 : 1) : 0;
    made->whole.height = multiply(cell_height(made) + made->gap, rows) - made->gap + made->heading;
    made->whole.width = multiply(cell_width(made) + made->gap, made->columns) - made->gap;
    made->whole.colours = layout->captions ? 3 : image->colours;
    int64_t pixels = multiply(made->whole.height, made->whole.width), bytes = pixels * made->whole.colours;
    if (pixels > PICTURE_MOST_PIXELS)
        return fail("%s: would be a picture of %" PRId64 " × %" PRId64 " pixels, more than %" PRId64
                    "; draw fewer, with --count, or smaller",
                    path, made->whole.height, made->whole.width, PICTURE_MOST_PIXELS);
    made->pixels = calloc((size_t)bytes, 1);
    if (!made->pixels)
        return fail_memory();
    if (gaps)
        memset(made->pixels, GREY, (size_t)bytes);
    return EXIT_SUCCESS;
}

/* round(255 (x/2 + ½)), clamped; NaN is black. */
static unsigned char pixel_of(float value)
{
    double level = 255 * ((double)value / 2 + 0.5);
    if (!(level > 0))
        return 0;
    return level >= 255 ? 255 : (unsigned char)lround(level);
}

/* A pixel of the sheet. */
static unsigned char *pixel_at(const sheet *made, int64_t y, int64_t x)
{
    return made->pixels + (y * made->whole.width + x) * made->whole.colours;
}

static int64_t top_of(const sheet *made, int64_t group)
{
    return made->heading + group / made->columns * (cell_height(made) + made->gap);
}

static int64_t left_of(const sheet *made, int64_t group)
{
    return group % made->columns * (cell_width(made) + made->gap);
}

void place_on_sheet(sheet *made, int64_t group, int64_t member, const float *values)
{
    int64_t height = made->image.height * made->zoom, width = made->image.width * made->zoom;
    int64_t top = top_of(made, group), left = left_of(made, group) + member * width;
    int64_t colours = made->image.colours;
    for (int64_t y = 0; y < height; y++)
        for (int64_t x = 0; x < width; x++) {
            const float *from = values + (y / made->zoom * made->image.width + x / made->zoom) * colours;
            unsigned char *to = pixel_at(made, top + y, left + x);
            for (int64_t c = 0; c < made->whole.colours; c++)
                to[c] = pixel_of(from[colours == 1 ? 0 : c]);
        }
}

/* White, with the text in its middle. */
static void draw_caption(cairo_t *cairo, double width, double height, const char *text, bool red)
{
    cairo_text_extents_t extents, capital;
    cairo_set_source_rgb(cairo, 1, 1, 1);
    cairo_paint(cairo);
    cairo_set_source_rgb(cairo, red ? 0.8 : 0, 0, 0);
    cairo_select_font_face(cairo, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(cairo, FONT * height);
    cairo_text_extents(cairo, text, &extents);
    if (extents.x_advance > width) {
        cairo_set_font_size(cairo, FONT * height * width / extents.x_advance);
        cairo_text_extents(cairo, text, &extents);
    }
    cairo_text_extents(cairo, "H", &capital);
    cairo_move_to(cairo, (width - extents.x_advance) / 2, (height + capital.height) / 2);
    cairo_show_text(cairo, text);
}

/* A line of the sheet. */
typedef struct strip {
    int64_t top, left, width, height;
} strip;

/* Converts cairo's RGB24, a 32-bit number 0xRRGGBB for each pixel. A grey sheet takes the lowest byte. */
static void copy_strip(sheet *made, const strip *at, cairo_surface_t *surface)
{
    const unsigned char *lines = cairo_image_surface_get_data(surface);
    int64_t stride = cairo_image_surface_get_stride(surface), colours = made->whole.colours;
    for (int64_t y = 0; y < at->height; y++)
        for (int64_t x = 0; x < at->width; x++) {
            uint32_t colour = 0;
            memcpy(&colour, lines + y * stride + x * (int64_t)sizeof colour, sizeof colour);
            for (int64_t c = 0; c < colours; c++)
                pixel_at(made, at->top + y, at->left + x)[c] =
                    (unsigned char)(colour >> 8 * (colours - 1 - c));
        }
}

static int write_strip(sheet *made, const strip *at, const char *text, bool red)
{
    if (at->width > INT16_MAX)
        return fail("captions are for at most %d pixels of images side by side, found %" PRId64
                    "; draw them smaller",
                    INT16_MAX, at->width);
    cairo_surface_t *surface =
        cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)at->width, (int)at->height);
    cairo_t *cairo = cairo_create(surface);
    draw_caption(cairo, (double)at->width, (double)at->height, text, red);
    cairo_surface_flush(surface);
    cairo_status_t status = cairo_status(cairo);
    if (!status)
        copy_strip(made, at, surface);
    cairo_destroy(cairo);
    cairo_surface_destroy(surface);
    return status ? fail("cannot write captions: %s", cairo_status_to_string(status)) : EXIT_SUCCESS;
}

int caption_on_sheet(sheet *made, int64_t group, const char *text, bool red)
{
    const strip at = {top_of(made, group) + cell_height(made) - made->caption, left_of(made, group),
                      cell_width(made), made->caption};
    return write_strip(made, &at, text, red);
}

int heading_on_sheet(sheet *made, const char *text)
{
    const strip at = {0, 0, made->whole.width, made->heading};
    return write_strip(made, &at, text, false);
}
