/* Weight sets to safetensors files. */
#include "io/file_tensors.h"
#include "io/file.h"
#include "io/network.h"
#include "space/array.h"
#include "space/weights.h"

#include <inttypes.h>
#include <string.h>

/* The contents of the file. */
typedef struct save_plan {
    nft_stored_tensors tensors;
    nft_output *outputs; /* the file's tensors, then the extras */
    int64_t (*shapes)[NFT_ARRAY_MAX_RANK];
    int64_t output_count;
    int64_t leading;       /* dimensions before a tensor's own: N, C */
    float *joined;         /* room for the largest tensor that has parts, one network and channel */
    nft_metadata metadata; /* the set's with its space */
    const char **texts;
} save_plan;

static bool is_whole(const nft_weights *weights, const nft_stored_tensors *table,
                     const nft_stored_tensor *item)
{
    return !weights->space->tensors[table->order[item->first]].from;
}

static int64_t own_numbers(const nft_stored_tensor *item)
{
    return nft_shape_count(item->shape, item->rank);
}

static nft_status allocate_plan(save_plan *plan, const nft_weights *weights)
{
    int64_t tensors = plan->tensors.count, most = 0;
    plan->output_count = tensors + weights->extra_count + weights->other_count;
    plan->outputs = nft_allocate_array((size_t)plan->output_count, sizeof *plan->outputs);
    plan->shapes = nft_allocate_array((size_t)tensors, sizeof *plan->shapes);
    for (int64_t i = 0; i < tensors; i++) {
        const nft_stored_tensor *item = &plan->tensors.items[i];
        if (!is_whole(weights, &plan->tensors, item) && own_numbers(item) > most)
            most = own_numbers(item);
    }
    plan->joined = nft_allocate_array((size_t)most, sizeof *plan->joined);
    if (plan->outputs && plan->shapes && plan->joined)
        return NFT_OK;
    return nft_fail_memory("a table of tensors",
                           nft_size_add(plan->output_count * (int64_t)sizeof *plan->outputs,
                                        nft_size_multiply(most, sizeof *plan->joined)));
}

static void clear_plan(save_plan *plan)
{
    nft_release(plan->texts);
    nft_metadata_clear(&plan->metadata);
    nft_release(plan->joined);
    nft_release(plan->shapes);
    nft_release(plan->outputs);
    nft_stored_tensors_clear(&plan->tensors);
}

static void describe_tensor(save_plan *plan, const nft_weights *weights, int64_t i)
{
    const nft_stored_tensor *item = &plan->tensors.items[i];
    int64_t *shape = plan->shapes[i], leading = plan->leading;
    if (leading > 0)
        shape[0] = weights->count;
    if (leading > 1)
        shape[1] = weights->channels;
    memcpy(shape + leading, item->shape, (size_t)item->rank * sizeof *shape);
    const char *name = is_whole(weights, &plan->tensors, item)
                           ? weights->names[plan->tensors.order[item->first]]
                           : item->name;
    plan->outputs[i] =
        (nft_output){.name = name, .type = NFT_TYPE_F32, .rank = leading + item->rank, .shape = shape};
}

/* Extras come first, then others. */
static const nft_extra *extra_at(const nft_weights *weights, int64_t i)
{
    return i < weights->extra_count ? &weights->extras[i] : &weights->others[i - weights->extra_count];
}

static void describe_extra(save_plan *plan, const nft_weights *weights, int64_t i)
{
    const nft_array *array = extra_at(weights, i)->array;
    plan->outputs[plan->tensors.count + i] =
        (nft_output){.name = extra_at(weights, i)->name,
                     .type = array->type == NFT_ARRAY_I64 ? NFT_TYPE_I64 : NFT_TYPE_F32,
                     .rank = array->rank,
                     .shape = array->shape};
}

/* A chain's layers are found by the natural order of their names. */
static bool has_natural_names(const nft_space *space, char *const *names)
{
    for (int64_t t = NFT_WEIGHT_OF(1); t < space->tensor_count; t += 2)
        if (nft_compare_names(names[t - 2], names[t]) >= 0)
            return false;
    return true;
}

static nft_status rename_tensors(nft_space **renamed, const nft_space *space, char *const *names)
{
    nft_status status = NFT_OK;
    nft_space_axis *axes = nft_allocate_array((size_t)space->axis_count, sizeof *axes);
    nft_space_tensor *tensors = nft_allocate_array((size_t)space->tensor_count, sizeof *tensors);
    if (!axes || !tensors)
        status = nft_fail_memory("a space", space->tensor_count * (int64_t)sizeof *tensors);
    for (int64_t a = 0; a < space->axis_count && !status; a++) {
        axes[a].size = sizeof *axes;
        status = nft_space_get_axis(&axes[a], space, a);
    }
    for (int64_t t = 0; t < space->tensor_count && !status; t++) {
        tensors[t].size = sizeof *tensors;
        status = nft_space_get_tensor(&tensors[t], space, t);
        tensors[t].name = names[t];
    }
    if (!status)
        status = nft_space_create(renamed, axes, space->axis_count, tensors, space->tensor_count);
    nft_release(axes);
    nft_release(tensors);
    return status;
}

nft_status nft_space_with_names(nft_space **named, nft_space *space, char *const *names)
{
    if (space->layer_count && !has_natural_names(space, names))
        return rename_tensors(named, space, names);
    *named = nft_space_retain(space);
    return NFT_OK;
}

nft_status nft_weights_note_space(nft_metadata *metadata, const nft_weights *weights)
{
    nft_space *named = NULL;
    nft_status status = nft_space_with_names(&named, weights->space, weights->names);
    if (!status)
        status = nft_metadata_set(metadata, NFT_SPACE_KEY, named->json);
    nft_space_free(named);
    return status;
}

static nft_status list_metadata(save_plan *plan, const nft_weights *weights)
{
    nft_status status = nft_metadata_add_all(&plan->metadata, &weights->metadata);
    if (!status)
        status = nft_weights_note_space(&plan->metadata, weights);
    if (status)
        return status;
    plan->texts = nft_metadata_list(&plan->metadata);
    return plan->texts ? NFT_OK
                       : nft_fail_memory("the metadata", plan->metadata.count * 2 * (int64_t)sizeof(char *));
}

static nft_status make_plan(save_plan *plan, const nft_weights *weights)
{
    nft_status status = nft_stored_tensors_find(&plan->tensors, weights->space);
    /* Extras need a leading axis. */
    plan->leading = weights->rank == 1 && weights->extra_count ? 1 : weights->rank - 1;
    if (!status)
        status = allocate_plan(plan, weights);
    if (status)
        return status;
    for (int64_t i = 0; i < plan->tensors.count; i++)
        describe_tensor(plan, weights, i);
    for (int64_t i = 0; i < weights->extra_count + weights->other_count; i++)
        describe_extra(plan, weights, i);
    return list_metadata(plan, weights);
}

/* The parts of one network and channel, each in its place. */
static void join_parts(const nft_stored_tensors *table, const nft_weights *weights,
                       const nft_stored_tensor *item, int64_t index, float *joined)
{
    for (int64_t i = 0; i < item->parts; i++) {
        int64_t t = table->order[item->first + i];
        const nft_slice *slice = &table->slices[t];
        const float *values = weights->data[t] + index * slice->runs * slice->run;
        for (int64_t run = 0; run < slice->runs; run++)
            memcpy(joined + slice->start + run * slice->stride, values + run * slice->run,
                   (size_t)slice->run * sizeof *values);
    }
}

static nft_status append_tensor(nft_file_writer *writer, const save_plan *plan, const nft_weights *weights,
                                int64_t i)
{
    const nft_stored_tensor *item = &plan->tensors.items[i];
    int64_t arrays = weights->count * weights->channels, bytes = own_numbers(item) * (int64_t)sizeof(float);
    nft_status status = NFT_OK;
    if (is_whole(weights, &plan->tensors, item))
        return nft_file_append(writer, weights->data[plan->tensors.order[item->first]], arrays * bytes);
    for (int64_t k = 0; k < arrays && !status; k++) {
        join_parts(&plan->tensors, weights, item, k, plan->joined);
        status = nft_file_append(writer, plan->joined, bytes);
    }
    return status;
}

static nft_status write_file(const save_plan *plan, const nft_weights *weights, const char *path)
{
    nft_file_writer *writer = NULL;
    nft_status status = nft_file_create(&writer, path, plan->outputs, plan->output_count, plan->texts);
    for (int64_t i = 0; i < plan->tensors.count && !status; i++)
        status = append_tensor(writer, plan, weights, i);
    for (int64_t i = 0; i < weights->extra_count + weights->other_count && !status; i++) {
        const nft_output *output = &plan->outputs[plan->tensors.count + i];
        status = nft_file_append(writer, extra_at(weights, i)->array->data,
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
    save_plan plan = {0};
    nft_status status = make_plan(&plan, weights);
    if (!status)
        status = write_file(&plan, weights, path);
    clear_plan(&plan);
    return status;
}

/* A layer without a bias has zeros, which need no place in the file. */
static bool is_absent_bias(const nft_file_writer *writer, const nft_weights *weights, int64_t tensor,
                           int64_t count)
{
    if (!weights->space->layer_count || tensor % 2 == 0 || nft_file_has_name(writer, weights->names[tensor]))
        return false;
    int64_t numbers = weights->count ? nft_weights_data_count(weights, tensor) / weights->count * count : 0;
    for (int64_t i = 0; i < numbers; i++)
        if (weights->data[tensor][i] != 0)
            return false;
    return true;
}

/* Networks 0 … count - 1 of a tensor of the file, as its networks first …. */
static nft_status write_piece(nft_file_writer *writer, const nft_stored_tensors *table,
                              const nft_weights *weights, const nft_stored_tensor *item, int64_t first,
                              int64_t count)
{
    int64_t row = own_numbers(item) * weights->channels, tensor = 0;
    int64_t part = table->order[item->first];
    bool whole = is_whole(weights, table, item);
    if (whole && is_absent_bias(writer, weights, part, count))
        return NFT_OK;
    nft_status status = nft_file_find_output(&tensor, writer, whole ? weights->names[part] : item->name, row);
    if (status || whole)
        return status ? status
                      : nft_file_write(writer, tensor, first * row, weights->data[part], count * row);
    float *joined = nft_allocate_array((size_t)nft_size_multiply(count, row), sizeof *joined);
    if (!joined)
        return nft_fail_memory("a tensor of parts", nft_size_multiply(count * row, sizeof *joined));
    for (int64_t k = 0; k < count * weights->channels; k++)
        join_parts(table, weights, item, k, joined + k * own_numbers(item));
    status = nft_file_write(writer, tensor, first * row, joined, count * row);
    nft_release(joined);
    return status;
}

nft_status nft_weights_write(nft_file_writer *writer, const nft_weights *weights, int64_t first,
                             int64_t count)
{
    static const char function[] = "nft_weights_write";
    if (!writer || !weights)
        return nft_fail_null(function, writer ? "weights" : "writer");
    if (first < 0 || count < 0 || count > weights->count)
        return nft_fail(NFT_ERROR_ARGUMENT, "%s: first is %" PRId64 " and count %" PRId64 " of %" PRId64,
                        function, first, count, weights->count);
    nft_stored_tensors table = {0};
    nft_status status = nft_stored_tensors_find(&table, weights->space);
    for (int64_t i = 0; i < table.count && count && !status; i++)
        status = write_piece(writer, &table, weights, &table.items[i], first, count);
    nft_stored_tensors_clear(&table);
    return status ? nft_fail_in(status, "%s", function) : NFT_OK;
}
