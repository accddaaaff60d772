/* Refuses the 1st, 2nd, 3rd … allocation of an operation until it needs no more of them. Include it in one
 * file of a program, after support.h. */
#ifndef NFT_TEST_REFUSALS_H
#define NFT_TEST_REFUSALS_H

#include "unit/interposed_malloc.h"
#include "unit/support.h"

typedef struct operation {
    const char *name;
    nft_status (*run)(void);
    int least; /* allocations that it makes at the least */
} operation;

/* Out of memory, but: sorting and threads, for which the C library has none, are done without; and jansson
 * calls a text for which there is no memory an invalid token. */
static bool is_honest(nft_status status)
{
    if (!interposed_hit)
        return status == NFT_OK;
    return status == NFT_ERROR_MEMORY || (status == NFT_OK && interposed_of == OF_LIBC) ||
           (status == NFT_ERROR_FORMAT && interposed_of == OF_JANSSON);
}

/* Blocks that are left after the operation without allocation `n`. A BLAS may enlarge its pools once, when
 * its threads meet in a new way. A leak does so every time. */
static long blocks_left(const operation *o, long n, nft_status *status)
{
    long left = 1;
    for (int attempt = 0; attempt < 3 && left; attempt++) {
        long alive = interposed_alive;
        interposed_refused = n;
        *status = o->run();
        interposed_refused = -1;
        left = interposed_alive - alive;
    }
    return left;
}

static void refuse_each(const char *name, const operation *o)
{
    interposed_refused = -1;
    for (int warm_up = 0; warm_up < 2; warm_up++)
        assert_ok(o->run());
    long n = 0;
    for (bool hit = true; hit; n++) {
        nft_status status = NFT_OK;
        long left = blocks_left(o, n, &status);
        hit = interposed_hit;
        if (!is_honest(status))
            fail_msg("%s, %s, without allocation %ld: %s: %s", name, o->name, n, nft_status_name(status),
                     nft_error_message());
        if (left)
            fail_msg("%s, %s, without allocation %ld: %ld blocks are left", name, o->name, n, left);
    }
    if (n - 1 < o->least)
        fail_msg("%s, %s: %ld allocations, expected %d at the least", name, o->name, n - 1, o->least);
    print_message("%s, %s: %ld allocations refused\n", name, o->name, n - 1);
}

#endif
