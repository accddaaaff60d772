/* Refuses one allocation of the whole process, jansson's and the C library's included, and counts what is
 * alive: malloc and its kin are defined here, in front of glibc's. Where that cannot be (sanitizers have
 * their own) the library's and jansson's hooks serve, which leaves out the C library. Include it in one file
 * of a program. */
#ifndef NFT_TEST_INTERPOSED_MALLOC_H
#define NFT_TEST_INTERPOSED_MALLOC_H

#include "nft/base.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define INTERPOSED 0
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)
#define INTERPOSED 0
#endif
#ifndef INTERPOSED
#define INTERPOSED 1
#endif

/* All atomic. `refused` is the number of the call that fails, -1: none. */
static int interposed_armed;
static long interposed_calls, interposed_alive, interposed_refused = -1;
static int interposed_hit;

static bool interposed_refuses(void)
{
    if (!__atomic_load_n(&interposed_armed, __ATOMIC_ACQUIRE))
        return false;
    long call = __atomic_fetch_add(&interposed_calls, 1, __ATOMIC_RELAXED);
    if (call != interposed_refused)
        return false;
    interposed_hit = 1;
    errno = ENOMEM;
    return true;
}

static void *interposed_count(void *block)
{
    if (block)
        __atomic_add_fetch(&interposed_alive, 1, __ATOMIC_RELAXED);
    return block;
}

static void interposed_uncount(const void *block)
{
    if (block)
        __atomic_sub_fetch(&interposed_alive, 1, __ATOMIC_RELAXED);
}

#if INTERPOSED

extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);
extern void __libc_free(void *block);

void *malloc(size_t bytes)
{
    return interposed_refuses() ? NULL : interposed_count(__libc_malloc(bytes));
}

void *calloc(size_t count, size_t size)
{
    return interposed_refuses() ? NULL : interposed_count(__libc_calloc(count, size));
}

void *realloc(void *block, size_t bytes)
{
    if (interposed_refuses())
        return NULL;
    void *moved = __libc_realloc(block, bytes);
    if (!block)
        interposed_count(moved);
    else if (!moved && bytes == 0)
        __atomic_sub_fetch(&interposed_alive, 1, __ATOMIC_RELAXED);
    return moved;
}

void *memalign(size_t alignment, size_t bytes)
{
    return interposed_refuses() ? NULL : interposed_count(__libc_memalign(alignment, bytes));
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    return memalign(alignment, bytes);
}

int posix_memalign(void **block, size_t alignment, size_t bytes)
{
    *block = memalign(alignment, bytes);
    return *block ? 0 : ENOMEM;
}

void free(void *block)
{
    interposed_uncount(block);
    __libc_free(block);
}

static nft_status interposed_install(void)
{
    return NFT_OK;
}

#else

static void *interposed_json_allocate(size_t bytes)
{
    return interposed_refuses() ? NULL : interposed_count(malloc(bytes));
}

static void interposed_json_release(void *block)
{
    interposed_uncount(block);
    free(block);
}

static void *interposed_allocate(size_t bytes, void *user)
{
    (void)user;
    return interposed_json_allocate(bytes);
}

static void interposed_release(void *block, void *user)
{
    (void)user;
    interposed_json_release(block);
}

static nft_status interposed_install(void)
{
    const nft_allocator allocator = {sizeof allocator, interposed_allocate, interposed_release, NULL};
    json_set_alloc_funcs(interposed_json_allocate, interposed_json_release);
    return nft_set_allocator(&allocator);
}

#endif

static void interposed_arm(void)
{
    interposed_calls = 0;
    interposed_hit = 0;
    __atomic_store_n(&interposed_armed, 1, __ATOMIC_RELEASE);
}

static nft_status interposed_disarm(nft_status status)
{
    __atomic_store_n(&interposed_armed, 0, __ATOMIC_RELEASE);
    return status;
}

/* The call, with allocation number interposed_refused refused. */
#define INTERPOSE(call) (interposed_arm(), interposed_disarm(call))

#endif
