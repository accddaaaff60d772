/* A contact sheet: groups of images, each group in one cell with its images side by side. */
#ifndef NFT_CLI_SHEET_H
#define NFT_CLI_SHEET_H

#include "picture.h"

#include <stdbool.h>

typedef struct sheet {
    picture image;        /* each of them */
    picture whole;        /* the sheet */
    int64_t members;      /* images of a group */
    int64_t zoom;         /* an image's pixel is zoom × zoom of the sheet's */
    int64_t columns, gap; /* in groups; pixels between two groups */
    int64_t caption;      /* height of the line below a group, 0 without captions */
    int64_t heading;      /* of the line above all groups, 0 without a heading */
    unsigned char *pixels;
} sheet;

/* How a sheet is laid out. */
typedef struct sheet_layout {
    int64_t groups, members, zoom;
    bool captions; /* in colour, whatever the images are */
    bool heading;
} sheet_layout;

/* About as wide as high, in images. Groups of several images, or with captions, have a grey gap between them.
 * Prints its failure (`path` is the file that it is for) and returns the exit status; the caller frees
 * `pixels`. */
int make_sheet(sheet *made, const picture *image, const sheet_layout *layout, const char *path);
/* Of values (height, width, colours), -1 … 1. */
void place_on_sheet(sheet *made, int64_t group, int64_t member, const float *values);
/* Writes a short text below a group, as small as it must be to fit; black or, to be noticed, red. Prints its
 * failure and returns the exit status. */
int caption_on_sheet(sheet *made, int64_t group, const char *text, bool red);
/* The same above all groups, in black. */
int heading_on_sheet(sheet *made, const char *text);

#endif
