#include "sheet.h"

#include "report.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define GAP 2
#define GREY 128 /* of gaps, and of cells that no group fills */
#define LARGEST (INT64_MAX / 16)

/* a · b, or LARGEST where it is more. */
static int64_t multiply(int64_t a, int64_t b)
{
    return a < LARGEST / b ? a * b : LARGEST;
}

int make_sheet(sheet *made, const picture *image, int64_t groups, int64_t members, const char *path)
{
    *made = (sheet){.image = *image, .members = members, .gap = members > 1 ? GAP : 0};
    for (made->columns = 1; made->columns * made->columns * members < groups;)
        made->columns++;
    int64_t rows = (groups + made->columns - 1) / made->columns;
    made->whole.height = multiply(image->height + made->gap, rows) - made->gap;
    made->whole.width = multiply(multiply(image->width, members) + made->gap, made->columns) - made->gap;
    made->whole.colours = image->colours;
    int64_t bytes = multiply(multiply(made->whole.height, made->whole.width), image->colours);
    if (bytes == LARGEST)
        return fail("%s: %" PRId64 " images of %" PRId64 " × %" PRId64 " are too large", path,
                    groups * members, image->height, image->width);
    made->pixels = calloc((size_t)bytes, 1);
    if (!made->pixels)
        return fail_memory();
    if (members > 1)
        memset(made->pixels, GREY, (size_t)bytes);
    return EXIT_SUCCESS;
}

/* round(255 (x/2 + ½)), clamped; what is not a number is black. */
static unsigned char pixel_of(float value)
{
    double level = 255 * ((double)value / 2 + 0.5);
    if (!(level > 0))
        return 0;
    return level >= 255 ? 255 : (unsigned char)lround(level);
}

void place_on_sheet(sheet *made, int64_t group, int64_t member, const float *values)
{
    int64_t line = made->image.width * made->image.colours,
            sheet_line = made->whole.width * made->image.colours;
    int64_t top = group / made->columns * (made->image.height + made->gap);
    int64_t left =
        group % made->columns * (made->image.width * made->members + made->gap) + member * made->image.width;
    unsigned char *corner = made->pixels + top * sheet_line + left * made->image.colours;
    for (int64_t y = 0; y < made->image.height; y++)
        for (int64_t i = 0; i < line; i++)
            corner[y * sheet_line + i] = pixel_of(values[y * line + i]);
}
