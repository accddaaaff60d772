/* An allocator that counts. Included after support.h. */
#ifndef NFT_TESTS_COUNTED_MEMORY_H
#define NFT_TESTS_COUNTED_MEMORY_H

#include "nft/base.h"

#include <stdlib.h>

static int64_t counted_bytes, counted_calls;

static void *counted_allocate(size_t bytes, void *user)
{
    (void)user;
    counted_bytes += (int64_t)bytes;
    counted_calls++;
    return malloc(bytes);
}

static void counted_release(void *block, void *user)
{
    (void)user;
    free(block);
}

/* Installs it. */
static void count_allocations(void)
{
    const nft_allocator allocator = {sizeof allocator, counted_allocate, counted_release, NULL};
    assert_ok(nft_set_allocator(&allocator));
}

#endif
