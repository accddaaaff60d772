#define _DEFAULT_SOURCE /* madvise */
#include "base/memory.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A block carries the pointer that the allocator gave in front of its aligned start. */
typedef struct block_header {
    void *origin;
} block_header;

static nft_allocator host = {sizeof(nft_allocator), NULL, NULL, NULL};
static int64_t live_blocks; /* atomic */

/* Rows that are far apart are gone through for each head and axis: in pages of 4 KiB each would need its own
 * translation. A wish that the system may not grant, for blocks that hold several large pages. */
#define LEAST_HUGE (4u << 20)

static void prefer_huge_pages(char *block, size_t bytes)
{
#ifdef MADV_HUGEPAGE
    if (bytes < LEAST_HUGE)
        return;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), skipped = (page - (uintptr_t)block % page) % page;
    int before = errno; /* a refusal is no failure of the allocation */
    (void)madvise(block + skipped, (bytes - skipped) / page * page, MADV_HUGEPAGE);
    errno = before;
#else
    (void)block;
    (void)bytes;
#endif
}

void *nft_allocate(size_t bytes)
{
    size_t extra = sizeof(block_header) + NFT_ALIGNMENT;
    if (bytes > SIZE_MAX - extra || bytes > (size_t)INT64_MAX)
        return NULL;
    /* calloc hands out fresh pages of zeros without touching them. */
    void *origin = host.allocate ? host.allocate(bytes + extra, host.user) : calloc(1, bytes + extra);
    if (!origin)
        return NULL;
    size_t after = ((uintptr_t)origin + sizeof(block_header)) % NFT_ALIGNMENT;
    void *block = (char *)origin + sizeof(block_header) + (after ? NFT_ALIGNMENT - after : 0);
    ((block_header *)block)[-1].origin = origin;
    if (host.allocate)
        memset(block, 0, bytes);
    else
        prefer_huge_pages(block, bytes);
    __atomic_add_fetch(&live_blocks, 1, __ATOMIC_RELAXED);
    return block;
}

void *nft_allocate_array(size_t count, size_t size)
{
    return size && count > SIZE_MAX / size ? NULL : nft_allocate(count * size);
}

void nft_release(void *block)
{
    if (!block)
        return;
    void *origin = ((block_header *)block)[-1].origin;
    __atomic_sub_fetch(&live_blocks, 1, __ATOMIC_RELAXED);
    if (host.release)
        host.release(origin, host.user);
    else
        free(origin);
}

nft_status nft_set_allocator(const nft_allocator *allocator)
{
    if (__atomic_load_n(&live_blocks, __ATOMIC_RELAXED))
        return nft_fail(NFT_ERROR_ARGUMENT,
                        "nft_set_allocator: objects are alive; set the allocator before the first is made");
    if (!allocator) {
        host.allocate = NULL;
        host.release = NULL;
        host.user = NULL;
        return NFT_OK;
    }
    if (allocator->size < sizeof host)
        return nft_fail(NFT_ERROR_ARGUMENT, "nft_set_allocator: size is %zu, expected %zu", allocator->size,
                        sizeof host);
    if (!allocator->allocate || !allocator->release)
        return nft_fail(NFT_ERROR_ARGUMENT, "nft_set_allocator: both functions are needed, found a NULL one");
    host = *allocator;
    return NFT_OK;
}

char *nft_copy_text_range(const char *text, size_t length)
{
    char *copy = length < SIZE_MAX ? nft_allocate(length + 1) : NULL;
    if (copy)
        memcpy(copy, text, length);
    return copy;
}

char *nft_copy_text(const char *text)
{
    return nft_copy_text_range(text, strlen(text));
}

int64_t nft_size_add(int64_t a, int64_t b)
{
    return a > INT64_MAX - b ? INT64_MAX : a + b;
}

int64_t nft_size_multiply(int64_t a, int64_t b)
{
    return b && a > INT64_MAX / b ? INT64_MAX : a * b;
}

int64_t nft_machine_memory(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    return pages > 0 && page > 0 ? nft_size_multiply(pages, page) : INT64_MAX;
}

nft_status nft_check_limit(const char *what, int64_t bytes, int64_t limit)
{
    int64_t machine = nft_machine_memory();
    bool own = limit > 0;
    int64_t most = own ? limit : machine;
    if (bytes <= most && bytes < INT64_MAX)
        return NFT_OK;
    if (bytes == INT64_MAX)
        return nft_fail(NFT_ERROR_LIMIT, "%s: the size overflows 64 bits", what);
    return nft_fail(NFT_ERROR_LIMIT, "%s: %" PRId64 " bytes are needed, but %s is %" PRId64 " bytes", what,
                    bytes, own ? "the memory limit" : "this machine's memory", most);
}

nft_status nft_check_memory_limit(const char *function, int64_t limit)
{
    if (limit >= 0)
        return NFT_OK;
    return nft_fail(NFT_ERROR_ARGUMENT,
                    "%s: memory_limit is %" PRId64 ", expected 0 (the machine's memory) or more", function,
                    limit);
}

static bool text_grow(nft_text *text, size_t more)
{
    if (text->failed || more > SIZE_MAX / 4 - text->length)
        return !(text->failed = true);
    size_t needed = text->length + more + 1;
    if (needed <= text->capacity)
        return true;
    size_t capacity = needed < 128 ? 128 : 2 * needed;
    char *data = nft_allocate(capacity);
    if (!data)
        return !(text->failed = true);
    if (text->length)
        memcpy(data, text->data, text->length);
    nft_release(text->data);
    text->data = data;
    text->capacity = capacity;
    return true;
}

void nft_text_append_bytes(nft_text *text, const void *bytes, size_t length)
{
    if (!text_grow(text, length))
        return;
    if (length)
        memcpy(text->data + text->length, bytes, length);
    text->length += length;
    text->data[text->length] = 0;
}

void nft_text_append(nft_text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0 || !text_grow(text, (size_t)length)) {
        text->failed = true;
        return;
    }
    va_start(arguments, format);
    vsnprintf(text->data + text->length, (size_t)length + 1, format, arguments);
    va_end(arguments);
    text->length += (size_t)length;
}

void nft_text_clear(nft_text *text)
{
    nft_release(text->data);
    *text = (nft_text){0};
}

void nft_references_init(nft_references *references)
{
    references->count = 1;
}

void nft_references_add(nft_references *references)
{
    __atomic_add_fetch(&references->count, 1, __ATOMIC_RELAXED);
}

bool nft_references_drop(nft_references *references)
{
    return __atomic_sub_fetch(&references->count, 1, __ATOMIC_ACQ_REL) == 0;
}

bool nft_references_shared(nft_references *references)
{
    return __atomic_load_n(&references->count, __ATOMIC_ACQUIRE) > 1;
}

nft_status nft_grow(void *array, int64_t count, int64_t *capacity, size_t size, const char *what,
                    int64_t limit)
{
    if (count <= *capacity)
        return NFT_OK;
    int64_t larger = nft_size_multiply(*capacity, 2);
    larger = larger < count ? count : larger;
    nft_status status = nft_check_limit(what, nft_size_multiply(larger, (int64_t)size), limit);
    if (status)
        return status;
    void *items = nft_allocate_array((size_t)larger, size), *before;
    if (!items)
        return nft_fail_memory(what, larger * (int64_t)size);
    memcpy(&before, array, sizeof before); /* a pointer of any type */
    if (*capacity)
        memcpy(items, before, (size_t)*capacity * size);
    nft_release(before);
    memcpy(array, &items, sizeof items);
    *capacity = larger;
    return NFT_OK;
}
