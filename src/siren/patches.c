#include "siren/patches.h"

#include "siren/siren.h"

#include <string.h>

int64_t nft_decoder_patch(int64_t index, int64_t size, int64_t patches)
{
    if (size == 1)
        return 0;
    int64_t numerator = (patches - 1) * index, denominator = size - 1;
    int64_t quotient = numerator / denominator, twice = 2 * (numerator % denominator);
    return quotient + (twice > denominator || (twice == denominator && quotient % 2));
}

/* The first pixel whose patch is `patch` or a later one; patches come in order. */
static int64_t first_pixel(int64_t patch, int64_t size, int64_t patches)
{
    int64_t low = 0, high = size;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (nft_decoder_patch(middle, size, patches) < patch)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int64_t largest_side(int64_t size, int64_t patches)
{
    int64_t largest = 0, first = 0;
    for (int64_t patch = 0; patch < patches; patch++) {
        int64_t end = first_pixel(patch + 1, size, patches);
        largest = end - first > largest ? end - first : largest;
        first = end;
    }
    return largest;
}

int64_t nft_patch_largest(const nft_patches *patches)
{
    return largest_side(patches->height, patches->side) * largest_side(patches->width, patches->side);
}

nft_patch nft_patch_at(const nft_patches *patches, int64_t index)
{
    int64_t side = patches->side, row = index / side, column = index % side;
    int64_t top = first_pixel(row, patches->height, side),
            bottom = first_pixel(row + 1, patches->height, side);
    int64_t left = first_pixel(column, patches->width, side),
            right = first_pixel(column + 1, patches->width, side);
    return (nft_patch){top, left, right - left, (bottom - top) * (right - left)};
}

void nft_patch_coordinates(const nft_patches *patches, const nft_patch *patch, int64_t first, int64_t count,
                           float *coordinates)
{
    for (int64_t i = 0; i < count; i++) {
        int64_t y = patch->top + (first + i) / patch->width, x = patch->left + (first + i) % patch->width;
        coordinates[2 * i] = nft_grid_coordinate(y, patches->height);
        coordinates[2 * i + 1] = nft_grid_coordinate(x, patches->width);
    }
}

/* Where a pixel of the patch is in the image. */
static int64_t place(const nft_patches *patches, const nft_patch *patch, int64_t pixel)
{
    return (patch->top + pixel / patch->width) * patches->width + patch->left + pixel % patch->width;
}

void nft_patch_gather(const nft_patches *patches, const nft_patch *patch, int64_t first, int64_t count,
                      int64_t channels, const float *image, float *values)
{
    for (int64_t i = 0; i < count; i++)
        memcpy(values + i * channels, image + place(patches, patch, first + i) * channels,
               (size_t)channels * sizeof *values);
}

void nft_patch_scatter(const nft_patches *patches, const nft_patch *patch, int64_t first, int64_t count,
                       int64_t channels, const float *values, float *image)
{
    for (int64_t i = 0; i < count; i++)
        memcpy(image + place(patches, patch, first + i) * channels, values + i * channels,
               (size_t)channels * sizeof *values);
}
