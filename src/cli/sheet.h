/* A contact sheet: groups of images, each group in one cell with its images side by side. */
#ifndef NFT_CLI_SHEET_H
#define NFT_CLI_SHEET_H

#include "picture.h"

typedef struct sheet {
    picture image;        /* each of them */
    picture whole;        /* the sheet */
    int64_t members;      /* images of a group */
    int64_t columns, gap; /* in groups; pixels between two groups */
    unsigned char *pixels;
} sheet;

/* About as wide as high, in images. Groups of several images have a grey gap between them. Prints its failure
 * (`path` is the file that it is for) and returns the exit status; the caller frees `pixels`. */
int make_sheet(sheet *made, const picture *image, int64_t groups, int64_t members, const char *path);
/* Of values (height, width, colours), -1 … 1. */
void place_on_sheet(sheet *made, int64_t group, int64_t member, const float *values);

#endif
