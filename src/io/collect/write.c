/* The second pass: every group becomes a file, network by network. */
#define _POSIX_C_SOURCE 200809L
#define _FILE_OFFSET_BITS 64
#include "config/json.h"
#include "io/collect/collect.h"
#include "io/collect/part_file.h"
#include "io/file_tensors.h"
#include "space/array.h"
#include "space/space.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE (1 << 18) /* numbers that are read at once */

static const char index_end[] = ".json", part_end[] = ".safetensors";

/* A file that is being made. */
typedef struct group_writer {
    nft_collection *collection;
    nft_group *group;
    char *path;
    nft_part_file part;
    nft_stored_tensors tensors;
    nft_output *outputs;
    int64_t (*shapes)[1 + NFT_ARRAY_MAX_RANK];
    int64_t *offsets; /* of each output in the data */
    int64_t output_count;
    float *piece;
    int64_t piece_count;
} group_writer;

/* --- the tensors of a file --- */

static uint64_t mix(uint64_t hash, uint64_t number)
{
    hash = (hash ^ number) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

static uint64_t mix_bytes(uint64_t hash, const void *bytes, size_t count)
{
    const unsigned char *next = bytes;
    for (size_t i = 0; i < count; i++)
        hash = (hash ^ next[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static uint64_t mix_text(uint64_t hash, const char *text)
{
    return text ? mix_bytes(hash, text, strlen(text) + 1) : hash + 1;
}

/* Of the group's files: their paths, sizes, times and labels. */
uint64_t nft_collection_fingerprint(const nft_collection *collection, const nft_group *group)
{
    uint64_t hash = mix_text(group->hash, collection->options.prefix);
    for (int64_t i = 0; i < collection->options.layer_count; i++)
        hash = mix_text(hash, collection->options.layers[i]);
    hash = mix_bytes(hash, &collection->options.fold_norms, sizeof collection->options.fold_norms);
    hash = mix_bytes(hash, &collection->options.norm_eps, sizeof collection->options.norm_eps);
    for (int64_t m = 0; m < group->member_count; m++) {
        const nft_collected *item = &collection->items[group->members[m]];
        struct stat about = {0};
        if (!stat(item->path, &about))
            hash = mix(mix(mix(hash, (uint64_t)about.st_size), (uint64_t)about.st_mtim.tv_sec),
                       (uint64_t)about.st_mtim.tv_nsec);
        hash = mix_text(hash, item->path);
        for (int64_t i = 0; item->rows && i < item->networks; i++)
            hash = mix(hash, (uint64_t)item->rows[i]);
        for (int64_t i = 0; i < collection->column_count; i++) {
            const nft_value *value = &item->values[i];
            hash = mix_bytes(hash, &value->number, sizeof value->number);
            hash = mix_bytes(hash, value->list, (size_t)value->length * sizeof *value->list);
        }
    }
    return hash;
}

bool nft_collection_makes_index(const nft_collection *collection)
{
    size_t length = strlen(collection->output), end = strlen(index_end);
    return length > end && !strcmp(collection->output + length - end, index_end);
}

char *nft_collection_part_path(const nft_collection *collection, int64_t group)
{
    nft_text path = {0};
    if (nft_collection_makes_index(collection))
        nft_text_append(&path, "%.*s-%" PRId64 "%s", (int)(strlen(collection->output) - strlen(index_end)),
                        collection->output, group, part_end);
    else
        nft_text_append(&path, "%s", collection->output);
    if (!path.failed)
        return path.data;
    nft_text_clear(&path);
    return NULL;
}

/* --- the header --- */

static void describe_tensors(group_writer *writer)
{
    const nft_group *group = writer->group;
    for (int64_t i = 0; i < writer->tensors.count; i++) {
        const nft_stored_tensor *item = &writer->tensors.items[i];
        int64_t first = writer->tensors.order[item->first], *shape = writer->shapes[i];
        shape[0] = group->networks;
        memcpy(shape + 1, item->shape, (size_t)item->rank * sizeof *shape);
        bool whole = !group->space->tensors[first].from;
        writer->outputs[i] = (nft_output){.name = whole ? group->names[first] : item->name,
                                          .type = NFT_TYPE_F32,
                                          .rank = 1 + item->rank,
                                          .shape = shape};
    }
    writer->output_count = writer->tensors.count;
}

static void describe_columns(group_writer *writer)
{
    for (int64_t i = 0; i < writer->collection->column_count; i++) {
        const nft_column *column = &writer->collection->columns[i];
        int64_t *shape = writer->shapes[writer->output_count];
        if (!column->present)
            continue;
        shape[0] = writer->group->networks;
        shape[1] = column->width;
        writer->outputs[writer->output_count++] =
            (nft_output){.name = column->name,
                         .type = column->is_real ? NFT_TYPE_F32 : NFT_TYPE_I64,
                         .rank = column->width ? 2 : 1,
                         .shape = shape};
    }
}

static nft_status set_classes(nft_metadata *metadata, const nft_column *column, bool is_label)
{
    nft_text key = {0}, text = {0};
    json_t *list = json_array();
    nft_text_append(&key, is_label ? "nft.classes" : "nft.classes.%s", column->name);
    for (int64_t i = 0; i < column->class_count && list; i++)
        if (json_array_append_new(list, json_string(column->classes[i]))) {
            json_decref(list);
            list = NULL;
        }
    nft_status status = NFT_OK;
    if (!list || key.failed || !nft_json_append(&text, list, JSON_COMPACT))
        status = nft_fail(NFT_ERROR_FORMAT, "the names of the classes of '%s' are not UTF-8", column->path);
    if (!status)
        status = nft_metadata_set(metadata, key.data, text.data);
    json_decref(list);
    nft_text_clear(&key);
    nft_text_clear(&text);
    return status;
}

static nft_status make_metadata(nft_metadata *metadata, const group_writer *writer)
{
    nft_space *named = NULL;
    nft_status status = nft_metadata_add_all(metadata, &writer->group->metadata);
    if (!status)
        status = nft_space_with_names(&named, writer->group->space, writer->group->names);
    if (!status)
        status = nft_metadata_set(metadata, NFT_SPACE_KEY, named->json);
    nft_space_free(named);
    for (int64_t i = 0; i < writer->collection->column_count && !status; i++)
        if (writer->collection->columns[i].class_count)
            status = set_classes(metadata, &writer->collection->columns[i], i == 0);
    return status;
}

static nft_status check_names(const group_writer *writer)
{
    for (int64_t i = writer->tensors.count; i < writer->output_count; i++)
        for (int64_t k = 0; k < i; k++)
            if (!strcmp(writer->outputs[i].name, writer->outputs[k].name))
                return nft_fail(NFT_ERROR_ARGUMENT,
                                "a column and a tensor of the networks are both named '%s'",
                                writer->outputs[i].name);
    return NFT_OK;
}

/* The table of the file, and where each of its tensors begins. */
static nft_status begin(group_writer *writer)
{
    nft_metadata metadata = {0};
    nft_text header = {0};
    int64_t bytes = 0;
    describe_tensors(writer);
    describe_columns(writer);
    nft_status status = check_names(writer);
    if (!status)
        status = make_metadata(&metadata, writer);
    const char **texts = status ? NULL : nft_metadata_list(&metadata);
    if (!status && !texts)
        status = nft_fail_memory("the metadata", metadata.count);
    if (!status)
        status = nft_file_header(&header, writer->outputs, writer->output_count, texts);
    for (int64_t i = 0; i < writer->output_count; i++) {
        const nft_output *output = &writer->outputs[i];
        writer->offsets[i] = bytes;
        bytes += nft_shape_count(output->shape, output->rank) * nft_type_size(output->type);
    }
    if (!status)
        status = nft_part_file_begin(&writer->part, &header, bytes);
    nft_release(texts);
    nft_text_clear(&header);
    nft_metadata_clear(&metadata);
    return status;
}

/* --- networks --- */

static bool all_finite(const float *numbers, int64_t count)
{
    bool finite = true;
    for (int64_t i = 0; i < count; i++)
        finite &= isfinite(numbers[i]) != 0;
    return finite;
}

/* Networks first … first + count - 1 of a file, one tensor, from `row` of the output on. */
static nft_status write_rows(group_writer *writer, const nft_opened *opened, int64_t i, int64_t row,
                             int64_t first, int64_t rows)
{
    const nft_stored_tensor *item = &writer->tensors.items[i];
    const nft_entry *entry = opened->network.entries[writer->tensors.order[item->first]];
    int64_t own = nft_shape_count(item->shape, item->rank), count = own * rows;
    int64_t piece = writer->piece_count;
    nft_status status = NFT_OK;
    for (int64_t done = 0; done < count && !status; done += piece) {
        int64_t now = count - done < piece ? count - done : piece;
        status = nft_file_read_f32(opened->file, entry, first * own + done, now, writer->piece);
        if (!status && !all_finite(writer->piece, now))
            status = nft_fail(NFT_ERROR_NOT_FINITE, "'%s' has a number that is not finite", entry->name);
        if (status)
            return nft_fail_in(status, "%s", opened->file->path);
        status = nft_part_file_write(&writer->part,
                                     writer->offsets[i] + (row * own + done) * (int64_t)sizeof(float),
                                     writer->piece, sizeof(float), now);
    }
    return status;
}

/* One tensor of all chosen networks of a file. A missing bias is zero. So is a row that nobody writes. */
static nft_status write_tensor(group_writer *writer, const nft_opened *opened, const nft_collected *item,
                               int64_t i, int64_t row)
{
    nft_status status = NFT_OK;
    if (!opened->network.entries[writer->tensors.order[writer->tensors.items[i].first]])
        return NFT_OK;
    for (int64_t done = 0, run; done < item->networks && !status; done += run) {
        int64_t first = item->rows ? item->rows[done] : done;
        for (run = 1; done + run < item->networks; run++)
            if (item->rows && item->rows[done + run] != first + run)
                break;
        status = write_rows(writer, opened, i, row + done, first, run);
    }
    return status;
}

static bool has_rows(const nft_collected *item, int64_t count)
{
    return item->rows ? item->rows[item->networks - 1] < count : item->networks == count;
}

static nft_status write_network(group_writer *writer, const nft_collected *item, int64_t row)
{
    nft_opened opened = {0};
    nft_status status = nft_collection_open(&opened, writer->collection, item->path);
    if (!status && (!has_rows(item, opened.network.count) ||
                    !nft_space_equal(opened.network.space, writer->group->space)))
        status = nft_fail(NFT_ERROR_FORMAT, "%s: it is not as it was when it was opened first", item->path);
    for (int64_t i = 0; i < writer->tensors.count && !status; i++)
        status = write_tensor(writer, &opened, item, i, row);
    nft_opened_close(&opened);
    return status;
}

/* The member is not of the group after all. */
static nft_status drop(group_writer *writer, int64_t member)
{
    nft_collected *item = &writer->collection->items[writer->group->members[member]];
    item->group = -1;
    return nft_part_file_drop(&writer->part, member);
}

/* Writes the files that are not yet done. Rows of dropped files are to be taken out by another pass. */
static nft_status write_networks(group_writer *writer, bool *dropped)
{
    nft_collection *collection = writer->collection;
    nft_group *group = writer->group;
    int64_t row = 0, number = 0, done = writer->part.done;
    nft_status status = NFT_OK;
    *dropped = false;
    for (int64_t m = 0; m < group->member_count && !status; m++) {
        nft_collected *item = &collection->items[group->members[m]];
        if (item->group < 0)
            continue;
        if (number++ < done) {
            collection->resumed += item->networks;
        } else {
            status = write_network(writer, item, row);
            if (status == NFT_ERROR_NOT_FINITE && collection->options.skip) {
                status = nft_collection_leave_out(collection, item, status);
                if (!status)
                    status = drop(writer, m);
                *dropped = true;
            } else if (!status) {
                status = nft_part_file_step(&writer->part);
            }
        }
        row += item->networks;
        if (!status)
            status = nft_collection_step(collection);
    }
    return status;
}

static void forget_dropped(group_writer *writer)
{
    nft_group *group = writer->group;
    group->networks = 0;
    for (int64_t m = 0; m < group->member_count; m++) {
        const nft_collected *item = &writer->collection->items[group->members[m]];
        group->networks += item->group < 0 ? 0 : item->networks;
    }
}

static double number_of(const nft_value *value, int64_t i)
{
    return value->kind == NFT_VALUE_LIST ? value->list[i] : value->number;
}

static nft_status write_column(group_writer *writer, const nft_column *column, int64_t c, int64_t output)
{
    int64_t width = column->width ? column->width : 1, at = writer->offsets[output];
    nft_status status = NFT_OK;
    for (int64_t m = 0; m < writer->group->member_count && !status; m++) {
        const nft_collected *item = &writer->collection->items[writer->group->members[m]];
        for (int64_t i = 0; item->group >= 0 && i < width * item->networks && !status; i++) {
            double number = number_of(&item->values[c], i);
            const float real = (float)number;
            const int64_t integer = column->is_real ? 0 : (int64_t)number;
            int64_t size = column->is_real ? sizeof real : sizeof integer;
            status = nft_part_file_write(&writer->part, at, column->is_real ? (const void *)&real : &integer,
                                         size, 1);
            at += size;
        }
    }
    return status;
}

static nft_status write_columns(group_writer *writer)
{
    int64_t output = writer->tensors.count;
    nft_status status = NFT_OK;
    for (int64_t c = 0; c < writer->collection->column_count && !status; c++)
        if (writer->collection->columns[c].present)
            status = write_column(writer, &writer->collection->columns[c], c, output++);
    return status;
}

/* --- a group --- */

/* That are read at once. */
static int64_t most_numbers(const group_writer *writer)
{
    int64_t most = 1, networks = writer->group->networks > 0 ? writer->group->networks : 1;
    for (int64_t i = 0; i < writer->tensors.count; i++) {
        const nft_stored_tensor *item = &writer->tensors.items[i];
        int64_t own = nft_size_multiply(nft_shape_count(item->shape, item->rank), networks);
        most = own > most ? own : most;
    }
    return most < PIECE ? most : PIECE;
}

static nft_status open_writer(group_writer *writer, nft_collection *collection, int64_t g)
{
    *writer = (group_writer){.collection = collection, .group = &collection->groups[g]};
    writer->part.descriptor = -1;
    writer->path = nft_collection_part_path(collection, g);
    nft_status status = nft_stored_tensors_find(&writer->tensors, writer->group->space);
    if (status)
        return status;
    size_t count = (size_t)(writer->tensors.count + collection->column_count);
    writer->piece_count = most_numbers(writer);
    writer->piece = nft_allocate_array((size_t)writer->piece_count, sizeof *writer->piece);
    writer->outputs = nft_allocate_array(count, sizeof *writer->outputs);
    writer->shapes = nft_allocate_array(count, sizeof *writer->shapes);
    writer->offsets = nft_allocate_array(count, sizeof *writer->offsets);
    if (!writer->path || !writer->piece || !writer->outputs || !writer->shapes || !writer->offsets)
        return nft_fail_memory("a table of tensors", (int64_t)(count * sizeof *writer->shapes));
    return nft_part_file_open(&writer->part, writer->path,
                              nft_collection_fingerprint(collection, writer->group));
}

static void close_writer(group_writer *writer)
{
    nft_part_file_close(&writer->part);
    nft_stored_tensors_clear(&writer->tensors);
    nft_release(writer->outputs);
    nft_release(writer->shapes);
    nft_release(writer->offsets);
    nft_release(writer->piece);
    nft_release(writer->path);
}

/* Those that an earlier call left out. */
static nft_status drop_again(group_writer *writer)
{
    nft_status status = NFT_OK;
    for (int64_t i = 0; i < writer->part.dropped_count && !status; i++) {
        int64_t m = writer->part.dropped[i];
        if (m < 0 || m >= writer->group->member_count)
            return nft_fail(NFT_ERROR_FORMAT, "%s: it is damaged; remove it", writer->part.partial);
        nft_collected *item = &writer->collection->items[writer->group->members[m]];
        status = nft_fail(NFT_ERROR_NOT_FINITE, "%s: it has a number that is not finite", item->path);
        status = nft_collection_leave_out(writer->collection, item, status);
        item->group = -1;
    }
    forget_dropped(writer);
    return status;
}

nft_status nft_collection_write_group(nft_collection *collection, int64_t g)
{
    group_writer writer;
    bool again = true;
    nft_status status = open_writer(&writer, collection, g);
    if (!status)
        status = drop_again(&writer);
    while (!status && again) {
        status = begin(&writer);
        if (!status)
            status = write_networks(&writer, &again);
        if (again)
            forget_dropped(&writer);
    }
    if (!status)
        status = write_columns(&writer);
    if (!status || status == NFT_ERROR_CANCELLED) {
        nft_status saved = nft_part_file_save(&writer.part);
        status = status ? status : saved;
    }
    close_writer(&writer);
    return status;
}
