#define _POSIX_C_SOURCE 200809L
#include "base/nearest.h"

#include <string.h>

#define LONGEST 64

/* Levenshtein's distance of the first LONGEST bytes of both. */
static int edit_distance(const char *a, const char *b)
{
    size_t m = strnlen(a, LONGEST), n = strnlen(b, LONGEST);
    int row[LONGEST + 1];
    for (size_t j = 0; j <= n; j++)
        row[j] = (int)j;
    for (size_t i = 1; i <= m; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= n; j++) {
            int above = row[j];
            int best = diagonal + (a[i - 1] != b[j - 1]);
            best = above + 1 < best ? above + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            diagonal = above;
            row[j] = best;
        }
    }
    return row[n];
}

int nft_nearest(const char *text, const char *const *words, int count)
{
    int best = -1, least = 2 * LONGEST;
    size_t length = strnlen(text, LONGEST);
    for (int i = 0; i < count; i++) {
        int distance = edit_distance(text, words[i]);
        size_t word = strnlen(words[i], LONGEST), longer = word > length ? word : length;
        if (distance < least && 2 * (size_t)distance <= longer) {
            least = distance;
            best = i;
        }
    }
    return best;
}
