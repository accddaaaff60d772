/**
 * @file array.h
 * Arrays of numbers. Included by nft/nft.h.
 */
#ifndef NFT_ARRAY_H
#define NFT_ARRAY_H

#include "nft/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The most axes an array may have. */
#define NFT_ARRAY_MAX_RANK 8

/** The type of an array's elements. Other types in files (F16, BF16, F64, and integers of fewer bits) are
 * converted to one of these. */
enum {
    NFT_ARRAY_F32 = 0, /**< float */
    NFT_ARRAY_I64 = 1  /**< int64_t: class labels */
};

/** A row-major array, owned or borrowing a caller's memory. Not changed by the library after it was made. */
typedef struct nft_array nft_array;

/** One tensor of a file or a model. Its pointers are borrowed from the object that filled it. */
typedef struct nft_tensor_info {
    size_t size;                       /**< sizeof(nft_tensor_info), set by the caller */
    const char *name;                  /**< borrowed */
    const char *type;                  /**< "F32", "BF16" …, as safetensors names them; borrowed */
    int64_t rank;                      /**< number of axes, 0 for a single number */
    int64_t shape[NFT_ARRAY_MAX_RANK]; /**< the first `rank` are set */
    int64_t count;                     /**< number of elements */
    const float *data;                 /**< a model's values, row-major; NULL for a file's tensor */
    int32_t trained;                   /**< of a model: 1 for a parameter, 0 for a buffer; of a file: 0 */
} nft_tensor_info;

/** An nft_tensor_info to be filled. */
#define NFT_TENSOR_INFO_INIT                                                                                 \
    {                                                                                                        \
        sizeof(nft_tensor_info), NULL, NULL, 0, {0, 0, 0, 0, 0, 0, 0, 0}, 0, NULL, 0                         \
    }

/**
 * Makes an array that owns a copy of `data`. Thread-safe.
 * @param[out] array the new array; free it with nft_array_free()
 * @param type ::NFT_ARRAY_F32 or ::NFT_ARRAY_I64
 * @param shape `rank` sizes, none negative
 * @param rank number of axes, at most ::NFT_ARRAY_MAX_RANK; 0 for a single number
 * @param data row-major elements of `type`; NULL for zeros
 * @return ::NFT_ERROR_ARGUMENT for a wrong type, rank or size, ::NFT_ERROR_LIMIT, ::NFT_ERROR_MEMORY
 */
NFT_API NFT_MUST_CHECK nft_status nft_array_create(nft_array **array, int32_t type, const int64_t *shape,
                                                   int64_t rank, const void *data);

/**
 * As nft_array_create(), but reads the caller's memory, which must stay valid and is never written.
 * Thread-safe.
 * @return as nft_array_create()
 */
NFT_API NFT_MUST_CHECK nft_status nft_array_borrow(nft_array **array, int32_t type, const int64_t *shape,
                                                   int64_t rank, const void *data);

/** Frees an array; NULL is fine. Thread-safe. */
NFT_API void nft_array_free(nft_array *array);

/** The elements if they are float, else NULL. Borrowed. Thread-safe. */
NFT_API const float *nft_array_f32(const nft_array *array);
/** The elements if they are int64_t, else NULL. Borrowed. Thread-safe. */
NFT_API const int64_t *nft_array_i64(const nft_array *array);
/** Number of axes. Thread-safe. */
NFT_API int64_t nft_array_rank(const nft_array *array);
/** The size of one axis, 0 if there is no such axis. Thread-safe. */
NFT_API int64_t nft_array_size(const nft_array *array, int64_t axis);
/** Number of elements. Thread-safe. */
NFT_API int64_t nft_array_count(const nft_array *array);

#ifdef __cplusplus
}
#endif

#endif
