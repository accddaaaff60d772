#include "space/array.h"

#include <inttypes.h>
#include <string.h>

int64_t nft_shape_count(const int64_t *shape, int64_t rank)
{
    int64_t count = 1;
    for (int64_t axis = 0; axis < rank; axis++)
        count = nft_size_multiply(count, shape[axis]);
    return count;
}

static nft_status new_array(nft_array **out, const char *function, int32_t type, const int64_t *shape,
                            int64_t rank)
{
    *out = NULL;
    if (type != NFT_ARRAY_F32 && type != NFT_ARRAY_I64)
        return nft_fail(NFT_ERROR_ARGUMENT, "%s: type is %d, expected NFT_ARRAY_F32 or NFT_ARRAY_I64",
                        function, type);
    if (rank < 0 || rank > NFT_ARRAY_MAX_RANK)
        return nft_fail(NFT_ERROR_ARGUMENT, "%s: rank is %" PRId64 ", expected 0 … %d", function, rank,
                        NFT_ARRAY_MAX_RANK);
    if (rank && !shape)
        return nft_fail_null(function, "shape");
    for (int64_t axis = 0; axis < rank; axis++)
        if (shape[axis] < 0)
            return nft_fail(NFT_ERROR_ARGUMENT,
                            "%s: shape[%" PRId64 "] is %" PRId64 ", expected no less than 0", function, axis,
                            shape[axis]);
    nft_array *array = nft_allocate(sizeof *array);
    if (!array)
        return nft_fail_memory("an array", sizeof *array);
    nft_references_init(&array->references);
    array->type = type;
    array->rank = rank;
    for (int64_t axis = 0; axis < rank; axis++)
        array->shape[axis] = shape[axis];
    array->count = nft_shape_count(shape, rank);
    *out = array;
    return NFT_OK;
}

static int64_t array_bytes(const nft_array *array)
{
    return nft_size_multiply(array->count, array->type == NFT_ARRAY_I64 ? sizeof(int64_t) : sizeof(float));
}

nft_status nft_array_create(nft_array **out, int32_t type, const int64_t *shape, int64_t rank,
                            const void *data)
{
    if (!out)
        return nft_fail_null("nft_array_create", "array");
    nft_array *array = NULL;
    nft_status status = new_array(&array, "nft_array_create", type, shape, rank);
    if (!status)
        status = nft_check_limit("an array", array_bytes(array), 0);
    if (!status && !(array->storage = nft_allocate((size_t)array_bytes(array))))
        status = nft_fail_memory("an array", array_bytes(array));
    if (status) {
        nft_array_free(array);
        *out = NULL;
        return status;
    }
    array->data = array->storage;
    if (data && array->count)
        memcpy(array->storage, data, (size_t)array_bytes(array));
    *out = array;
    return NFT_OK;
}

nft_status nft_array_borrow(nft_array **out, int32_t type, const int64_t *shape, int64_t rank,
                            const void *data)
{
    if (!out)
        return nft_fail_null("nft_array_borrow", "array");
    nft_array *array = NULL;
    nft_status status = new_array(&array, "nft_array_borrow", type, shape, rank);
    if (!status && array_bytes(array) == INT64_MAX)
        status = nft_fail(NFT_ERROR_LIMIT, "nft_array_borrow: the size overflows 64 bits");
    if (!status && !data && array->count)
        status = nft_fail_null("nft_array_borrow", "data");
    if (status) {
        nft_array_free(array);
        *out = NULL;
        return status;
    }
    array->data = data;
    *out = array;
    return NFT_OK;
}

nft_array *nft_array_retain(const nft_array *array)
{
    nft_array *shared = (nft_array *)array;
    nft_references_add(&shared->references);
    return shared;
}

void nft_array_free(nft_array *array)
{
    if (!array || !nft_references_drop(&array->references))
        return;
    nft_release(array->storage);
    nft_release(array);
}

const float *nft_array_f32(const nft_array *array)
{
    return array && array->type == NFT_ARRAY_F32 ? array->data : NULL;
}

const int64_t *nft_array_i64(const nft_array *array)
{
    return array && array->type == NFT_ARRAY_I64 ? array->data : NULL;
}

int64_t nft_array_rank(const nft_array *array)
{
    return array ? array->rank : 0;
}

int64_t nft_array_size(const nft_array *array, int64_t axis)
{
    return array && axis >= 0 && axis < array->rank ? array->shape[axis] : 0;
}

int64_t nft_array_count(const nft_array *array)
{
    return array ? array->count : 0;
}
