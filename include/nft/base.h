/**
 * @file base.h
 * Status codes, messages, and the hooks that a host may set. Included by nft/nft.h.
 */
#ifndef NFT_BASE_H
#define NFT_BASE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NFT_VERSION_MAJOR 0 /**< binary compatibility */
#define NFT_VERSION_MINOR 1 /**< additions */
#define NFT_VERSION_PATCH 0 /**< corrections */

/** @def NFT_API
 * Marks what the shared library exports. */
#if defined(_WIN32)
#define NFT_API
#elif defined(__GNUC__)
#define NFT_API __attribute__((visibility("default")))
#else
#define NFT_API
#endif

/** @def NFT_MUST_CHECK
 * Asks the compiler to warn if a status is ignored. */
#if defined(__GNUC__)
#define NFT_MUST_CHECK __attribute__((warn_unused_result))
#else
#define NFT_MUST_CHECK
#endif

/** The result of a fallible call. 0 (::NFT_OK) is success; otherwise nft_error_message() says more. */
typedef int32_t nft_status;

/** Values of ::nft_status. New ones may be added; their numbers never change. */
enum {
    NFT_OK = 0,             /**< done */
    NFT_ERROR_ARGUMENT = 1, /**< an argument is NULL, out of range or of the wrong kind */
    NFT_ERROR_MEMORY = 2, /**< an allocation failed; the objects involved are as they were before the call */
    NFT_ERROR_LIMIT = 3,  /**< the object would need more memory than the limit, or a size overflows */
    NFT_ERROR_FILE = 4,   /**< the system refused to open, read, write or rename a file */
    NFT_ERROR_FORMAT = 5, /**< a file or a buffer has wrong or damaged content */
    NFT_ERROR_CONFIG =
        6, /**< a model configuration or a space is wrong, or its modules do not fit together */
    NFT_ERROR_MISMATCH =
        7, /**< two objects do not fit: weights and model, data and loss, trainer and checkpoint */
    NFT_ERROR_CANCELLED = 8,  /**< a progress callback asked to stop */
    NFT_ERROR_THREAD = 9,     /**< the system refused a lock or a thread that cannot be done without */
    NFT_ERROR_NOT_FINITE = 10 /**< a loss, gradient, weight, label or colour is infinite or NaN */
};

/** A status as a short word, "out of memory" for example. Never NULL. Thread-safe. */
NFT_API const char *nft_status_name(nft_status status);

/**
 * The calling thread's last failure in one line: the fault, its place, the expected value and the value
 * found.
 *
 * Valid until this thread's next failing call; "" if none failed. A successful call does not change it.
 * Thread-safe.
 */
NFT_API const char *nft_error_message(void);

/** The library's version, "0.1.0". Compare it with the NFT_VERSION_… macros of the header. Thread-safe. */
NFT_API const char *nft_version(void);

/**
 * The precision of products of activations with the weights of a model's linear maps. Sums, and everything
 * else, are in single precision. Each is a lower bound: a processor on which single precision is as fast uses
 * that. The result for a network in one precision is bit-identical in every batch, with every number of
 * threads, and on every processor with the same kernels (nft_build_info()).
 */
enum {
    NFT_PRECISION_FLOAT32 = 0, /**< single precision */
    NFT_PRECISION_BF16X3 = 1,  /**< factors of 16 bits: as sums of two bf16 numbers, three products */
    NFT_PRECISION_BF16 = 2     /**< factors of 8 bits: as bf16 numbers, one product */
};

/** One line about this build and machine: version, BLAS, vector kernels, cores. Valid for the life of the
 * process. Thread-safe. */
NFT_API const char *nft_build_info(void);

/** A host's own memory functions. Blocks need no more than malloc's alignment. Several threads may call
 * them at once. */
typedef struct nft_allocator {
    size_t size;                                 /**< sizeof(nft_allocator) */
    void *(*allocate)(size_t bytes, void *user); /**< NULL when there is no memory */
    void (*release)(void *block, void *user);    /**< never called with NULL */
    void *user;                                  /**< handed to both */
} nft_allocator;

/**
 * Installs the library's allocator; NULL restores malloc and free.
 *
 * Call it before the first object is made: it fails with ::NFT_ERROR_ARGUMENT while any is alive. Allocations
 * of other libraries for libnft (the JSON parser, BLAS) do not pass through it. No other call of the library
 * may run at the same time. Not thread-safe.
 * @return ::NFT_ERROR_ARGUMENT while an object is alive, or for a struct without both functions
 */
NFT_API NFT_MUST_CHECK nft_status nft_set_allocator(const nft_allocator *allocator);

/** How much a log line matters. */
enum {
    NFT_LOG_INFO = 0,   /**< worth knowing: tensors of a file that belong to no layer */
    NFT_LOG_WARNING = 1 /**< a user should look: fewer threads, or parts of a file not read */
};

/** Receives one line without a newline, on the thread that called the library. Several threads that call the
 * library may call it at once. */
typedef void nft_log_callback(int32_t level, const char *line, void *user);

/**
 * Installs the log callback. NULL, the default, disables logging. No other call of the library may run at
 * the same time. Not thread-safe.
 */
NFT_API void nft_set_log(nft_log_callback *callback, void *user);

/**
 * Reports the progress of a long call, and may stop it.
 *
 * Called on the thread that called the library, never from two threads at once. Return 0 to continue,
 * anything else to stop: the call then fails with ::NFT_ERROR_CANCELLED. It must return, as every callback of
 * the library must: an exception of C++ or a longjmp() must not leave it.
 */
typedef int nft_progress_callback(int64_t done, int64_t total, void *user);

/**
 * Replaces each of `sums` and each of `values` by its sum over all ranks, bit-identical on every rank. Ranks
 * are processes that work on one task together. Every rank calls it equally often with the same counts, on
 * the thread that called the library: nft_trainer_run() once in each step and once in each validation,
 * nft_collect() whenever its ranks meet. Return 0, or anything else if it failed.
 *
 * A rank that fails still takes part once more. So does a rank when its step callback stops
 * nft_trainer_run(): it takes part in place of its next step. One of `sums` carries the failure. The call
 * then fails on every rank, and none waits for another.
 */
typedef int nft_reduce_callback(double *sums, int64_t sum_count, float *values, int64_t value_count,
                                void *user);

/** A count: all that follow. */
#define NFT_ALL (-1)

/** How to read a file. Zero in a field is its default. */
typedef struct nft_load_options {
    size_t size;                   /**< sizeof(nft_load_options) */
    int64_t memory_limit;          /**< bytes that the object may take; 0: the machine's memory. For
                                      nft_file_open() bytes that are unpacked; 0: half of the machine's */
    const char *const *layers;     /**< weights of a chain: names of the layers in order; NULL: natural order
                                      of the names */
    int64_t layer_count;           /**< how many names */
    const struct nft_space *space; /**< weights: the space of the networks, whose tensors are found by name;
                                      NULL: the file's `nft.space`, or else a chain */
    const char *prefix; /**< weights: tensors whose names begin with it are the networks; NULL: "" */
    const void *bytes;  /**< a file in memory, read in place of a path, which is then NULL; valid
                           as long as a path's file must be */
    size_t byte_count;  /**< how many */
} nft_load_options;

/** Options with every default. */
#define NFT_LOAD_OPTIONS_INIT                                                                                \
    {                                                                                                        \
        sizeof(nft_load_options), 0, NULL, 0, NULL, NULL, NULL, 0                                            \
    }

/** A pointer to options that read `byte_count` bytes in memory, in a call's argument. C only. */
#define NFT_LOAD_BYTES(pointer, count)                                                                       \
    (&(const nft_load_options){sizeof(nft_load_options), 0, NULL, 0, NULL, NULL, (pointer), (count)})

#ifdef __cplusplus
}
#endif

#endif
