/* Weight sets to safetensors files. */
#include "io/file.h"
#include "space/array.h"
#include "space/weights.h"

#include <string.h>

/* A weight (N, C, out, in, kernel_height, kernel_width). */
#define MAX_AXES 6

/* What goes into the header. */
typedef struct header_table {
    nft_output *outputs; /* the tensors of the space, then the extras */
    int64_t (*shapes)[MAX_AXES];
    char **names;
    int64_t tensor_count, count;
} header_table;

static nft_status allocate_table(header_table *table, const nft_weights *weights)
{
    table->tensor_count = weights->space->tensor_count;
    table->count = table->tensor_count + weights->extra_count;
    table->outputs = nft_allocate_array((size_t)table->count, sizeof *table->outputs);
    table->shapes = nft_allocate_array((size_t)table->tensor_count, sizeof *table->shapes);
    table->names = nft_allocate_array((size_t)table->tensor_count, sizeof *table->names);
    if (table->outputs && table->shapes && table->names)
        return NFT_OK;
    return nft_fail_memory("a table of tensors", table->count * (int64_t)sizeof *table->outputs);
}

static void clear_table(header_table *table)
{
    for (int64_t t = 0; table->names && t < table->tensor_count; t++)
        nft_release(table->names[t]);
    nft_release(table->names);
    nft_release(table->shapes);
    nft_release(table->outputs);
}

/* `rank` is that of the biases: 1 (out), 2 (N, out), 3 (N, C, out). */
static int64_t describe_shape(const nft_weights *weights, const nft_tensor *tensor, int64_t rank,
                              int64_t *shape)
{
    const nft_layer *layer = &weights->space->layers[tensor->layer];
    int64_t axes = 0;
    if (rank > 1)
        shape[axes++] = weights->count;
    if (rank > 2)
        shape[axes++] = weights->channels;
    shape[axes++] = layer->out;
    if (tensor->bias)
        return axes;
    shape[axes++] = layer->type == NFT_LAYER_LINEAR ? layer->in * layer->positions : layer->in;
    if (layer->type == NFT_LAYER_CONV2D) {
        shape[axes++] = layer->kernel_height;
        shape[axes++] = layer->kernel_width;
    }
    return axes;
}

static nft_status fill_table(header_table *table, const nft_weights *weights)
{
    /* Extras need a leading axis beside which they travel. */
    int64_t rank = weights->rank == 1 && weights->extra_count ? 2 : weights->rank;
    for (int64_t t = 0; t < table->tensor_count; t++) {
        const nft_tensor *tensor = &weights->space->tensors[t];
        nft_text name = {0};
        nft_text_append(&name, "%s.%s", weights->layer_names[tensor->layer],
                        tensor->bias ? "bias" : "weight");
        if (name.failed)
            return nft_fail_memory("a tensor's name", (int64_t)strlen(weights->layer_names[tensor->layer]));
        table->names[t] = name.data;
        table->outputs[t] = (nft_output){.name = name.data,
                                         .type = NFT_TYPE_F32,
                                         .rank = describe_shape(weights, tensor, rank, table->shapes[t]),
                                         .shape = table->shapes[t]};
    }
    for (int64_t i = 0; i < weights->extra_count; i++) {
        const nft_array *array = weights->extras[i].array;
        table->outputs[table->tensor_count + i] =
            (nft_output){.name = weights->extras[i].name,
                         .type = array->type == NFT_ARRAY_I64 ? NFT_TYPE_I64 : NFT_TYPE_F32,
                         .rank = array->rank,
                         .shape = array->shape};
    }
    return NFT_OK;
}

static nft_status write_table(const header_table *table, const nft_weights *weights, const char *path)
{
    nft_file_writer *writer = NULL;
    nft_status status = nft_file_create(&writer, path, table->outputs, table->count, NULL);
    for (int64_t t = 0; t < table->count && !status; t++) {
        const nft_output *output = &table->outputs[t];
        const void *data = t < table->tensor_count ? (const void *)weights->data[t]
                                                   : weights->extras[t - table->tensor_count].array->data;
        status = nft_file_append(writer, data,
                                 nft_shape_count(output->shape, output->rank) * nft_type_size(output->type));
    }
    if (!status)
        return nft_file_commit(writer);
    nft_file_cancel(writer);
    return status;
}

nft_status nft_weights_save(const nft_weights *weights, const char *path)
{
    if (!weights || !path)
        return nft_fail_null("nft_weights_save", weights ? "path" : "weights");
    header_table table = {0};
    nft_status status = allocate_table(&table, weights);
    if (!status)
        status = fill_table(&table, weights);
    if (!status)
        status = write_table(&table, weights, path);
    clear_table(&table);
    return status;
}
