/* Refuses one allocation of the whole process, jansson's and the C library's included, and counts the blocks
 * that are alive. malloc and its kin are defined here, in front of glibc's. Where that is not possible
 * (sanitizers have their own) the library's and jansson's hooks serve, without the C library. Include it in
 * one file of a program. */
#ifndef NFT_TEST_INTERPOSED_MALLOC_H
#define NFT_TEST_INTERPOSED_MALLOC_H

#include "nft/base.h"

#include <errno.h>
#include <jansson.h>
#include <link.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

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

/* Who asks for memory, as far as it matters. */
enum interposed_caller { OF_LIBRARY, OF_JANSSON, OF_LIBC, OF_BLAS };

/* All atomic. `refused` is the number of the call that fails, -1: none. */
static int interposed_armed, interposed_hit;
static enum interposed_caller interposed_of; /* whose call was refused */
static long interposed_calls, interposed_alive, interposed_refused = -1;

static bool interposed_refuses(size_t bytes, enum interposed_caller caller)
{
    bool lexer = caller == OF_JANSSON && bytes >= 32 && (bytes & (bytes - 1)) == 0;
    if (!__atomic_load_n(&interposed_armed, __ATOMIC_ACQUIRE) || lexer || caller == OF_BLAS)
        return false;
    long call = __atomic_fetch_add(&interposed_calls, 1, __ATOMIC_RELAXED);
    if (call != interposed_refused)
        return false;
    interposed_hit = 1;
    interposed_of = caller;
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

/* Where the code of the libraries lies that are treated apart. */
static struct interposed_range {
    uintptr_t begin, end;
    enum interposed_caller caller;
} interposed_ranges[16];
static int interposed_range_count;

static int interposed_find_libraries(struct dl_phdr_info *object, size_t size, void *unused)
{
    static const struct {
        const char *name;
        enum interposed_caller caller;
    } known[] = {{"libjansson", OF_JANSSON}, {"/libc.so", OF_LIBC}, {"/ld-linux", OF_LIBC},
                 {"blas", OF_BLAS},          {"blis", OF_BLAS},     {"atlas", OF_BLAS},
                 {"gomp", OF_BLAS},          {"gfortran", OF_BLAS}};
    (void)size, (void)unused;
    for (size_t k = 0; k < sizeof known / sizeof *known; k++)
        for (int i = 0; strstr(object->dlpi_name, known[k].name) && i < object->dlpi_phnum; i++) {
            const ElfW(Phdr) *part = &object->dlpi_phdr[i];
            if (part->p_type == PT_LOAD && part->p_flags & PF_X && interposed_range_count < 16)
                interposed_ranges[interposed_range_count++] = (struct interposed_range){
                    object->dlpi_addr + part->p_vaddr, object->dlpi_addr + part->p_vaddr + part->p_memsz,
                    known[k].caller};
        }
    return 0;
}

static enum interposed_caller interposed_caller_at(const void *code)
{
    for (int i = 0; i < interposed_range_count; i++)
        if ((uintptr_t)code >= interposed_ranges[i].begin && (uintptr_t)code < interposed_ranges[i].end)
            return interposed_ranges[i].caller;
    return OF_LIBRARY;
}

#define INTERPOSED_REFUSES(bytes) interposed_refuses(bytes, interposed_caller_at(__builtin_return_address(0)))

void *malloc(size_t bytes)
{
    return INTERPOSED_REFUSES(bytes) ? NULL : interposed_count(__libc_malloc(bytes));
}

void *calloc(size_t count, size_t size)
{
    return INTERPOSED_REFUSES(count) ? NULL : interposed_count(__libc_calloc(count, size));
}

void *realloc(void *block, size_t bytes)
{
    if (INTERPOSED_REFUSES(bytes))
        return NULL;
    void *moved = __libc_realloc(block, bytes);
    if (!block)
        interposed_count(moved);
    else if (!moved && bytes == 0)
        interposed_uncount(block);
    return moved;
}

void *memalign(size_t alignment, size_t bytes)
{
    return INTERPOSED_REFUSES(bytes) ? NULL : interposed_count(__libc_memalign(alignment, bytes));
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    return INTERPOSED_REFUSES(bytes) ? NULL : interposed_count(__libc_memalign(alignment, bytes));
}

int posix_memalign(void **block, size_t alignment, size_t bytes)
{
    *block = INTERPOSED_REFUSES(bytes) ? NULL : interposed_count(__libc_memalign(alignment, bytes));
    return *block ? 0 : ENOMEM;
}

void free(void *block)
{
    interposed_uncount(block);
    __libc_free(block);
}

static nft_status interposed_install(void)
{
    dl_iterate_phdr(interposed_find_libraries, NULL);
    return NFT_OK;
}

#else

static void *interposed_json_allocate(size_t bytes)
{
    return interposed_refuses(bytes, OF_JANSSON) ? NULL : interposed_count(malloc(bytes));
}

static void interposed_json_release(void *block)
{
    interposed_uncount(block);
    free(block);
}

static void *interposed_allocate(size_t bytes, void *user)
{
    (void)user;
    return interposed_refuses(bytes, OF_LIBRARY) ? NULL : interposed_count(malloc(bytes));
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
