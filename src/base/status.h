/* Status codes and the calling thread's last message. Every fallible function of the library ends in one of
 * these. */
#ifndef NFT_BASE_STATUS_H
#define NFT_BASE_STATUS_H

#include "nft/base.h"

#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__)
#error "libnft looks for NaN: compile it without -ffast-math and -ffinite-math-only"
#endif

#if defined(__GNUC__)
#define NFT_PRINTF(format_index, first) __attribute__((format(printf, format_index, first)))
#else
#define NFT_PRINTF(format_index, first)
#endif

/* Stores the message (one line; longer text is cut) and returns `status`, so that callers can `return
 * nft_fail(…)`. */
nft_status nft_fail(nft_status status, const char *format, ...) NFT_PRINTF(2, 3);

/* Puts "…: " in front of the stored message: a reader names the tensor, its caller the file. Returns
 * `status`. */
nft_status nft_fail_in(nft_status status, const char *format, ...) NFT_PRINTF(2, 3);

/* The message for an allocation that failed. */
nft_status nft_fail_memory(const char *what, int64_t bytes);

/* The message for a NULL argument: "nft_forward: argument 'context' is NULL". */
nft_status nft_fail_null(const char *function, const char *argument);

/* The message for an index outside 0 … count - 1. */
nft_status nft_fail_index(const char *function, int64_t index, int64_t count);

#if defined(__clang_analyzer__) /* which looks at one file at a time, and cannot know that they return a     \
                                   failure */
#define nft_fail(status, ...) (nft_fail(status, __VA_ARGS__), (status))
#define nft_fail_in(status, ...) (nft_fail_in(status, __VA_ARGS__), (status))
#define nft_fail_memory(what, bytes) (nft_fail_memory(what, bytes), NFT_ERROR_MEMORY)
#define nft_fail_index(function, index, count) (nft_fail_index(function, index, count), NFT_ERROR_ARGUMENT)
#define nft_fail_null(function, argument) (nft_fail_null(function, argument), NFT_ERROR_ARGUMENT)
#endif

/* Tells the log callback, if one is set. `level` is NFT_LOG_…. Callers' threads only. */
void nft_log(int32_t level, const char *format, ...) NFT_PRINTF(2, 3);

#endif
