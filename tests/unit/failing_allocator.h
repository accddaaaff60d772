/* An allocator that refuses one call, so that every site of a function can be made to fail in turn. */
#ifndef NFT_TEST_FAILING_ALLOCATOR_H
#define NFT_TEST_FAILING_ALLOCATOR_H

#include "nft/base.h"

#include <stdlib.h>

static long allocator_calls, allocator_refused = -1, allocator_blocks;

static void *allocator_allocate(size_t bytes, void *user)
{
    (void)user;
    if (allocator_calls++ == allocator_refused)
        return NULL;
    allocator_blocks++;
    return malloc(bytes);
}

static void allocator_release(void *block, void *user)
{
    (void)user;
    allocator_blocks--;
    free(block);
}

/* Runs `work` until it succeeds, each time with the next allocation refused. Returns how many were refused,
 * -1 if a failure was not NFT_ERROR_MEMORY, -2 if something leaked. `work` frees all that it makes. */
static inline long fail_every_allocation(nft_status (*work)(void))
{
    const nft_allocator allocator = {sizeof allocator, allocator_allocate, allocator_release, NULL};
    long refused = 0;
    if (nft_set_allocator(&allocator))
        return -1;
    nft_status status = NFT_ERROR_MEMORY;
    for (; status == NFT_ERROR_MEMORY && !allocator_blocks; refused++) {
        allocator_calls = 0;
        allocator_refused = refused;
        status = work();
    }
    allocator_refused = -1;
    if (allocator_blocks)
        return -2;
    if (nft_set_allocator(NULL) || status)
        return -1;
    return refused - 1;
}

#endif
