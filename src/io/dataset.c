#include "io/dataset.h"

#include "io/load_options.h"
#include "space/weights.h"

#include <inttypes.h>
#include <string.h>

/* A file of tokens has no layers, and a tensor that nftool forward would have written. */
static const nft_entry *find_tokens(const nft_file *file)
{
    const nft_entry *entry = nft_file_find(file, "output");
    return entry && entry->rank == 3 && nft_type_is_float(entry->type) ? entry : NULL;
}

/* A sample has numbers, or a count of samples would stand for no data at all. */
static nft_status check_sample(const nft_dataset *dataset)
{
    const nft_entry *tokens = dataset->tokens;
    if (dataset->channels >= 1 && (!tokens || tokens->shape[1] >= 1))
        return NFT_OK;
    if (!tokens)
        return nft_fail(NFT_ERROR_FORMAT, "its networks have 0 channels, expected at least 1");
    char shape[160];
    nft_shape_describe(tokens->shape, tokens->rank, shape, sizeof shape);
    return nft_fail(NFT_ERROR_FORMAT, "tensor 'output' is %s, expected samples of at least one number",
                    shape);
}

static nft_status find_samples(nft_dataset *dataset, const nft_load_options *options)
{
    nft_status status =
        nft_network_find(&dataset->network, dataset->file, options->layers, options->layer_count);
    const nft_entry *tokens = status ? find_tokens(dataset->file) : NULL;
    if (tokens) {
        dataset->tokens = tokens;
        dataset->count = tokens->shape[0];
        dataset->channels = tokens->shape[2];
        return check_sample(dataset);
    }
    if (status)
        return status;
    dataset->count = dataset->network.count;
    dataset->channels = dataset->network.channels;
    if ((status = check_sample(dataset)))
        return status;
    return nft_space_create(&dataset->space, dataset->network.shapes, dataset->network.layer_count);
}

nft_status nft_dataset_open(nft_dataset **out, const char *path, const nft_load_options *given)
{
    if (!out)
        return nft_fail_null("nft_dataset_open", "dataset");
    *out = NULL;
    if (!path)
        return nft_fail_null("nft_dataset_open", "path");
    nft_load_options options;
    nft_status status = nft_fill_load_options("nft_dataset_open", &options, given);
    if (status)
        return status;
    nft_dataset *dataset = nft_allocate(sizeof *dataset);
    if (!dataset)
        return nft_fail_memory("a data set", sizeof *dataset);
    nft_references_init(&dataset->references);
    status = nft_file_open(&dataset->file, path);
    if (!status && (status = find_samples(dataset, &options)))
        nft_fail_in(status, "%s", path);
    if (status) {
        nft_dataset_free(dataset);
        return status;
    }
    *out = dataset;
    return NFT_OK;
}

nft_dataset *nft_dataset_retain(nft_dataset *dataset)
{
    nft_references_add(&dataset->references);
    return dataset;
}

void nft_dataset_free(nft_dataset *dataset)
{
    if (!dataset || !nft_references_drop(&dataset->references))
        return;
    nft_network_clear(&dataset->network);
    nft_space_free(dataset->space);
    nft_file_free(dataset->file);
    nft_release(dataset);
}

int64_t nft_dataset_count(const nft_dataset *dataset)
{
    return dataset ? dataset->count : 0;
}

const nft_space *nft_dataset_space(const nft_dataset *dataset)
{
    return dataset ? dataset->space : NULL;
}

nft_status nft_dataset_read_rows(const nft_dataset *dataset, const nft_entry *entry, const int64_t *indices,
                                 int64_t first, int64_t count, float *floats, int64_t *integers)
{
    int64_t row = count ? entry->count / dataset->count : 0, at = 0; /* an empty set has no rows */
    nft_status status = NFT_OK;
    while (at < count && !status) {
        int64_t begin = indices ? indices[at] : first, run = indices ? 1 : count;
        while (indices && at + run < count && indices[at + run] == begin + run)
            run++;
        if (floats)
            status = nft_file_read_f32(dataset->file, entry, begin * row, run * row, floats + at * row);
        else if (integers)
            status = nft_file_read_i64(dataset->file, entry, begin * row, run * row, integers + at * row);
        at += run;
    }
    return status ? nft_fail_in(status, "%s", dataset->file->path) : NFT_OK;
}

nft_status nft_dataset_read_weights(const nft_dataset *dataset, const int64_t *indices, int64_t first,
                                    int64_t count, nft_weights *weights)
{
    nft_status status = NFT_OK;
    for (int64_t i = 0; i < dataset->network.layer_count && !status; i++) {
        const nft_network_layer *layer = &dataset->network.layers[i];
        float *bias = nft_weights_edit(weights, i, NFT_WEIGHTS_BIAS);
        status = nft_dataset_read_rows(dataset, layer->weight, indices, first, count,
                                       nft_weights_edit(weights, i, NFT_WEIGHTS_WEIGHT), NULL);
        if (!status && layer->bias)
            status = nft_dataset_read_rows(dataset, layer->bias, indices, first, count, bias, NULL);
        else if (!status)
            memset(bias, 0,
                   (size_t)(count * dataset->channels * dataset->network.shapes[i].out) * sizeof *bias);
    }
    return status;
}

nft_status nft_dataset_read_tokens(const nft_dataset *dataset, const int64_t *indices, int64_t first,
                                   int64_t count, float *tokens)
{
    return nft_dataset_read_rows(dataset, dataset->tokens, indices, first, count, tokens, NULL);
}

nft_status nft_dataset_read(nft_weights *weights, const nft_dataset *dataset, const int64_t *indices,
                            int64_t count)
{
    static const char function[] = "nft_dataset_read";
    if (!dataset || !weights || (!indices && count > 0))
        return nft_fail_null(function, !dataset ? "dataset" : !weights ? "weights" : "indices");
    if (!dataset->space)
        return nft_fail(NFT_ERROR_MISMATCH, "%s: %s holds tokens, not networks", function,
                        dataset->file->path);
    nft_status status = nft_space_check_equal(dataset->space, weights->space);
    if (status)
        return nft_fail_in(status, "%s", function);
    if (weights->borrowed || weights->channels != dataset->channels || count < 0 || count > weights->count)
        return nft_fail(NFT_ERROR_MISMATCH,
                        "%s: weights has room for %" PRId64 " networks of %" PRId64
                        " channels, expected %" PRId64 " of %" PRId64,
                        function, weights->borrowed ? 0 : weights->count, weights->channels, count,
                        dataset->channels);
    for (int64_t i = 0; i < count; i++)
        if (indices[i] < 0 || indices[i] >= dataset->count)
            return nft_fail(NFT_ERROR_ARGUMENT, "%s: index %" PRId64 " is %" PRId64 ", expected 0 … %" PRId64,
                            function, i, indices[i], dataset->count - 1);
    status = nft_dataset_read_weights(dataset, indices, 0, count, weights);
    return status ? nft_fail_in(status, "%s", function) : NFT_OK;
}

nft_status nft_dataset_read_tensor(nft_array **tensor, const nft_dataset *dataset, const char *name)
{
    static const char function[] = "nft_dataset_read_tensor";
    if (!tensor)
        return nft_fail_null(function, "tensor");
    *tensor = NULL;
    if (!dataset || !name)
        return nft_fail_null(function, dataset ? "name" : "dataset");
    nft_status status = nft_file_read(tensor, dataset->file, name);
    return status ? nft_fail_in(status, "%s", function) : NFT_OK;
}
