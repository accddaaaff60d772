/* Files of arrays. Included after support.h. */
#ifndef NFT_TEST_TENSOR_FILES_H
#define NFT_TEST_TENSOR_FILES_H

#include "nft/file.h"
#include "unit/support.h"

#define MOST_TENSORS 24

/* A tensor of a file; its numbers are first, first + 1 … */
typedef struct tensor {
    const char *name;
    int64_t rank, shape[4];
    float first;
} tensor;

static inline void write_arrays(const char *path, const tensor *tensors, const float *const *numbers,
                                size_t count)
{
    const char *names[MOST_TENSORS];
    nft_array *arrays[MOST_TENSORS];
    for (size_t i = 0; i < count; i++) {
        names[i] = tensors[i].name;
        assert_ok(nft_array_create(&arrays[i], NFT_ARRAY_F32, tensors[i].shape, tensors[i].rank, numbers[i]));
    }
    assert_ok(nft_array_save(path, names, (const nft_array *const *)arrays, count, NULL));
    for (size_t i = 0; i < count; i++)
        nft_array_free(arrays[i]);
}

static inline void write_file(const char *path, const tensor *tensors, size_t count)
{
    float *numbers[MOST_TENSORS];
    for (size_t i = 0; i < count; i++) {
        int64_t size = 1;
        for (int64_t axis = 0; axis < tensors[i].rank; axis++)
            size *= tensors[i].shape[axis];
        numbers[i] = support_allocate((size_t)size * sizeof(float));
        for (int64_t k = 0; k < size; k++)
            numbers[i][k] = tensors[i].first + (float)k;
    }
    write_arrays(path, tensors, (const float *const *)numbers, count);
    for (size_t i = 0; i < count; i++)
        free(numbers[i]);
}

#endif
