#include "model/backward.h"

#include <inttypes.h>
#include <string.h>

#define TILE_OUTPUTS 128   /* rows of a weight's gradient */
#define TILE_NUMBERS 16384 /* of another parameter's */

/* Cuts one parameter; counts only if `tiles` is NULL. */
static int64_t cut(const nft_parameter *parameter, int64_t index, nft_gradient_tile *tiles)
{
    bool map = parameter->mapped;
    int64_t all = !parameter->trained ? 0 : map ? parameter->shape[0] : parameter->count;
    int64_t size = map ? TILE_OUTPUTS : TILE_NUMBERS, count = (all + size - 1) / size;
    for (int64_t i = 0; tiles && i < count; i++) {
        int64_t first = i * size;
        tiles[i] = (nft_gradient_tile){index, first, all - first < size ? all - first : size};
    }
    return count;
}

static nft_status make_tiles(nft_gradients *gradients)
{
    const nft_model *model = gradients->model;
    const nft_parameter *items = model->parameters.items;
    int64_t steps = nft_model_step_count(model), count = 0;
    for (int64_t i = 0; i < model->parameters.count; i++)
        count += cut(&items[i], i, NULL);
    gradients->tiles = nft_allocate_array((size_t)count, sizeof *gradients->tiles);
    gradients->first_tiles = nft_allocate_array((size_t)steps + 1, sizeof *gradients->first_tiles);
    if (!gradients->tiles || !gradients->first_tiles)
        return nft_fail_memory("gradients", count * (int64_t)sizeof *gradients->tiles);
    count = 0;
    for (int64_t step = 0; step < steps; step++) {
        gradients->first_tiles[step] = count;
        const nft_step *own = &model->sequence->steps[step];
        for (int64_t i = own->first_parameter; i < own->end_parameter; i++)
            count += cut(&items[i], i, gradients->tiles + count);
    }
    gradients->first_tiles[steps] = count;
    return NFT_OK;
}

nft_status nft_gradients_create(nft_gradients **out, const nft_model *model)
{
    if (!out)
        return nft_fail_null("nft_gradients_create", "gradients");
    *out = NULL;
    if (!model)
        return nft_fail_null("nft_gradients_create", "model");
    int64_t bytes = nft_size_multiply(model->parameters.total, sizeof(float));
    nft_gradients *gradients = nft_allocate(sizeof *gradients);
    if (!gradients)
        return nft_fail_memory("gradients", sizeof *gradients);
    gradients->model = nft_model_retain(model);
    nft_status status = NFT_OK;
    gradients->values = nft_allocate((size_t)bytes);
    if (!gradients->values)
        status = nft_fail_memory("gradients", bytes);
    if (!status)
        status = make_tiles(gradients);
    if (status) {
        nft_gradients_free(gradients);
        return status;
    }
    *out = gradients;
    return NFT_OK;
}

void nft_gradients_free(nft_gradients *gradients)
{
    if (!gradients)
        return;
    nft_release(gradients->tiles);
    nft_release(gradients->first_tiles);
    nft_release(gradients->values);
    nft_model_free(gradients->model);
    nft_release(gradients);
}

void nft_gradients_clear(nft_gradients *gradients)
{
    if (gradients)
        memset(gradients->values, 0, (size_t)gradients->model->parameters.total * sizeof *gradients->values);
}

nft_status nft_gradients_tensor(nft_tensor_info *info, const nft_gradients *gradients, int64_t index)
{
    static const char function[] = "nft_gradients_tensor";
    if (!gradients || !info)
        return nft_fail_null(function, gradients ? "info" : "gradients");
    if (index < 0 || index >= gradients->model->parameters.count)
        return nft_fail_index(function, index, gradients->model->parameters.count);
    nft_status status = nft_model_tensor(info, gradients->model, index);
    if (!status)
        info->data = gradients->values + gradients->model->parameters.items[index].offset;
    return status;
}
