/* A new file in the folder of the file that it will replace: pictures and diagrams are written there. */
#ifndef NFT_CLI_NEIGHBOUR_H
#define NFT_CLI_NEIGHBOUR_H

#include <stdio.h>

typedef struct cli_neighbour {
    const char *path; /* as the user wrote it */
    char *target;     /* the file to replace: links are followed */
    char *name;       /* NULL: the stream is a device or a pipe itself */
    FILE *stream;     /* to write to; NULL: none was begun */
} cli_neighbour;

/* Both print their failures and return the exit status. Whatever neighbour_begin returned, neighbour_finish
 * is due: it puts the file in its place, or with `failed` removes it, and returns the status. */
int neighbour_begin(cli_neighbour *neighbour, const char *path);
int neighbour_finish(cli_neighbour *neighbour, int failed);

#endif
