/* The library's only allocator, sizes that cannot overflow, and growing text. */
#ifndef NFT_BASE_MEMORY_H
#define NFT_BASE_MEMORY_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Every block begins on a cache line, so that arrays of floats can be loaded whole. */
#define NFT_ALIGNMENT 64

/* Zeroed memory from the caller's allocator; NULL when there is none. A size of 0 gives a block that can be
 * freed. */
void *nft_allocate(size_t bytes);
void *nft_allocate_array(size_t count, size_t size); /* NULL when count * size overflows */
void nft_release(void *block);                       /* NULL is fine */
char *nft_copy_text(const char *text);               /* NULL when there is no memory */
char *nft_copy_text_range(const char *text, size_t length);

/* Sizes are int64_t and never negative. These stop at INT64_MAX instead of wrapping, so that one comparison
 * with a limit at the end of a computation finds every overflow on the way. */
int64_t nft_size_add(int64_t a, int64_t b);
int64_t nft_size_multiply(int64_t a, int64_t b);

/* The machine's physical memory in bytes, or the limit of its control group if that is less: the default
 * limit for one object. */
int64_t nft_machine_memory(void);

/* An error that names the function if `limit` of the caller's options is negative. */
nft_status nft_check_memory_limit(const char *function, int64_t limit);

/* An error that names `what`, the bytes it needs and the limit, if bytes > limit; limit <= 0 means the
 * machine's memory. */
nft_status nft_check_limit(const char *what, int64_t bytes, int64_t limit);

/* Makes room for `count` elements of `size` bytes in an array that grows, at least twice as many as before;
 * new ones are zero. `array` points to the array's pointer. An error names `what`; on failure nothing
 * changes. */
nft_status nft_grow(void *array, int64_t count, int64_t *capacity, size_t size, const char *what,
                    int64_t limit);

/* Text that grows. After a failed append `failed` is set and further appends do nothing: check once at the
 * end. */
typedef struct nft_text {
    char *data; /* always ends with 0 once something was appended; NULL before */
    size_t length, capacity;
    bool failed;
} nft_text;

void nft_text_append(nft_text *text, const char *format, ...) NFT_PRINTF(2, 3);
void nft_text_append_bytes(nft_text *text, const void *bytes, size_t length);
void nft_text_clear(nft_text *text);

/* A counted reference inside a handle. */
typedef struct nft_references {
    int count; /* atomic; reached through the functions below */
} nft_references;

void nft_references_init(nft_references *references); /* one owner */
void nft_references_add(nft_references *references);
bool nft_references_drop(nft_references *references);   /* true: that was the last owner */
bool nft_references_shared(nft_references *references); /* there is more than one */

#endif
