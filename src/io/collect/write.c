/* The second pass: every group becomes a file, network by network. */
#define _POSIX_C_SOURCE 200809L
#define _FILE_OFFSET_BITS 64
#include "config/json.h"
#include "io/collect/collect.h"
#include "io/collect/part_file.h"
#include "io/dataset.h"
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
    size_t length = strlen(collection->outputs[0]), end = strlen(index_end);
    return length > end && !strcmp(collection->outputs[0] + length - end, index_end);
}

char *nft_collection_part_path(const nft_collection *collection, int64_t group)
{
    nft_text path = {0};
    int64_t first = group, set = collection->groups[group].set;
    const char *output = collection->outputs[set];
    while (first > 0 && collection->groups[first - 1].set == set)
        first--;
    if (nft_collection_makes_index(collection))
        nft_text_append(&path, "%.*s-%" PRId64 "%s", (int)(strlen(output) - strlen(index_end)), output,
                        group - first, part_end);
    else
        nft_text_append(&path, "%s", output);
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

static void describe_names(group_writer *writer)
{
    int64_t *shape = writer->shapes[writer->output_count];
    shape[0] = writer->group->networks;
    shape[1] = writer->collection->name_bytes;
    writer->outputs[writer->output_count++] =
        (nft_output){.name = NFT_FILE_NAMES, .type = NFT_TYPE_U8, .rank = 2, .shape = shape};
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

/* The table of the file, and where each of its tensors begins. Rank 0 writes it, and tells the others how
 * many files are done. */
static nft_status begin(group_writer *writer)
{
    nft_metadata metadata = {0};
    nft_text header = {0};
    int64_t bytes = 0;
    describe_tensors(writer);
    describe_columns(writer);
    describe_names(writer);
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
    if (!status && !writer->part.is_guest)
        status = nft_part_file_begin(&writer->part, &header, bytes);
    double done = writer->part.is_guest ? 0 : (double)writer->part.done;
    status = nft_collection_sum(writer->collection, &done, 1, status);
    if (!status && writer->part.is_guest)
        nft_part_file_join(&writer->part, &header, bytes, (int64_t)done);
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
            status = nft_fail(NFT_ERROR_NOT_FINITE, "'%s' has a number that is not finite%s", entry->name,
                              nft_collection_skip_advice(writer->collection));
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

/* Files that the ranks write at the same time, each an equal part of them. */
typedef struct round_of_files {
    int64_t *members, *rows; /* numbers in the group, and their first networks in the output */
    int64_t count, share;    /* of files, and the most of a rank */
    double *sums;            /* bytes that are not on the disk, then for each file whether it is dropped */
    nft_status own;          /* a failure of this rank that the others do not know of */
} round_of_files;

static void clear_round(round_of_files *round)
{
    nft_release(round->members);
    nft_release(round->rows);
    nft_release(round->sums);
}

/* One process writes file by file. Several meet after some tens of megabytes. */
static nft_status make_round(round_of_files *round, const group_writer *writer)
{
    int64_t ranks = writer->collection->flags ? writer->collection->options.ranks : 1;
    int64_t files = writer->group->member_count;
    int64_t bytes = (writer->part.bytes - writer->part.header) / (files ? files : 1) + 1;
    int64_t share = NFT_PART_SAVED_EVERY / bytes, equal = files / ranks + 1;
    share = share < equal ? share : equal;
    *round = (round_of_files){.share = ranks == 1 || share < 1 ? 1 : share};
    size_t most = (size_t)nft_size_multiply(ranks, round->share);
    round->members = nft_allocate_array(most, sizeof *round->members);
    round->rows = nft_allocate_array(most, sizeof *round->rows);
    round->sums = nft_allocate_array(most + 1, sizeof *round->sums);
    return round->members && round->rows && round->sums
               ? NFT_OK
               : nft_fail_memory("a list of networks", (int64_t)(most * sizeof *round->sums));
}

static bool is_full(const round_of_files *round, const group_writer *writer)
{
    int64_t ranks = writer->collection->flags ? writer->collection->options.ranks : 1;
    return round->count == ranks * round->share;
}

/* This rank's files. */
static nft_status write_share(group_writer *writer, round_of_files *round)
{
    nft_collection *collection = writer->collection;
    int64_t first = collection->options.rank * round->share, end = first + round->share;
    nft_status status = round->own;
    memset(round->sums, 0, ((size_t)round->count + 1) * sizeof *round->sums);
    for (int64_t i = first; i < end && i < round->count && !status; i++) {
        nft_collected *item = &collection->items[writer->group->members[round->members[i]]];
        status = write_network(writer, item, round->rows[i]);
        if (status != NFT_ERROR_NOT_FINITE || !collection->options.skip)
            continue;
        status = nft_collection_leave_out(collection, item, status);
        round->sums[1 + i] = 1;
    }
    round->sums[0] = (double)writer->part.unsaved;
    return status;
}

/* A rank counts the files that others have left out, too. */
static nft_status note_dropped(group_writer *writer, const round_of_files *round, int64_t i)
{
    nft_collection *collection = writer->collection;
    const nft_collected *item = &collection->items[writer->group->members[round->members[i]]];
    if (collection->flags && i / round->share != collection->options.rank)
        collection->left_out += item->networks;
    return drop(writer, round->members[i]);
}

/* Everything that was written is on the disk before the progress says so. */
static nft_status save_together(group_writer *writer, double unsaved)
{
    nft_collection *collection = writer->collection;
    bool is_guest = writer->part.is_guest;
    if (unsaved < (double)NFT_PART_SAVED_EVERY)
        return NFT_OK;
    nft_status status =
        nft_collection_meet(collection, is_guest ? nft_part_file_save(&writer->part) : NFT_OK);
    writer->part.unsaved = (int64_t)unsaved;
    if (!status)
        status = nft_collection_meet(collection, is_guest ? NFT_OK : nft_part_file_save(&writer->part));
    writer->part.unsaved = 0;
    return status;
}

/* Returns the status that all ranks agree on. */
static nft_status run_round(group_writer *writer, round_of_files *round, bool *dropped)
{
    nft_collection *collection = writer->collection;
    collection->writing = true;
    nft_status status =
        nft_collection_sum(collection, round->sums, round->count + 1, write_share(writer, round));
    collection->writing = false;
    if (status)
        return status;
    for (int64_t i = 0; i < round->count; i++) {
        bool drops = round->sums[1 + i] > 0;
        *dropped |= drops;
        writer->part.done += !drops;
        if (drops && !round->own)
            round->own = note_dropped(writer, round, i);
        if (!round->own)
            round->own = nft_collection_step(collection);
    }
    round->count = 0;
    return save_together(writer, round->sums[0]);
}

/* Writes the files that are not yet done. Rows of dropped files are to be taken out by another pass. */
static nft_status write_files(group_writer *writer, round_of_files *round, bool *dropped)
{
    nft_collection *collection = writer->collection;
    const nft_group *group = writer->group;
    int64_t row = 0, number = 0, done = writer->part.done;
    nft_status status = NFT_OK;
    for (int64_t m = 0; m < group->member_count && !status; m++) {
        const nft_collected *item = &collection->items[group->members[m]];
        if (item->group < 0)
            continue;
        if (number++ < done) {
            collection->resumed += item->networks;
            if (!round->own)
                round->own = nft_collection_step(collection);
        } else {
            round->members[round->count] = m;
            round->rows[round->count++] = row;
        }
        row += item->networks;
        if (is_full(round, writer))
            status = run_round(writer, round, dropped);
    }
    if (!status)
        status = run_round(writer, round, dropped);
    return status ? status : nft_collection_meet(collection, round->own);
}

static nft_status write_networks(group_writer *writer, bool *dropped)
{
    round_of_files round;
    *dropped = false;
    nft_status status = nft_collection_meet(writer->collection, make_round(&round, writer));
    if (!status)
        status = write_files(writer, &round, dropped);
    clear_round(&round);
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
    size_t count = (size_t)(writer->tensors.count + collection->column_count + 1);
    writer->piece_count = most_numbers(writer);
    writer->piece = nft_allocate_array((size_t)writer->piece_count, sizeof *writer->piece);
    writer->outputs = nft_allocate_array(count, sizeof *writer->outputs);
    writer->shapes = nft_allocate_array(count, sizeof *writer->shapes);
    writer->offsets = nft_allocate_array(count, sizeof *writer->offsets);
    if (!writer->path || !writer->piece || !writer->outputs || !writer->shapes || !writer->offsets)
        return nft_fail_memory("a table of tensors", (int64_t)(count * sizeof *writer->shapes));
    return NFT_OK;
}

/* Rank 0 makes the file before the others open it, and changes it only after that. */
static nft_status open_file(group_writer *writer)
{
    nft_collection *collection = writer->collection;
    bool is_guest = collection->options.rank > 0;
    nft_status status = NFT_OK;
    uint64_t fingerprint = nft_collection_fingerprint(collection, writer->group);
    if (!is_guest)
        status = nft_part_file_open(&writer->part, writer->path, fingerprint, false);
    status = nft_collection_meet(collection, status);
    if (status)
        return status;
    if (is_guest)
        status = nft_part_file_open(&writer->part, writer->path, fingerprint, true);
    return nft_collection_meet(collection, status);
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

/* The data of all ranks are on the disk, then rank 0 adds its own and notes that all is done. */
static nft_status finish(group_writer *writer)
{
    nft_collection *collection = writer->collection;
    bool is_guest = writer->part.is_guest;
    nft_status status =
        nft_collection_meet(collection, is_guest ? nft_part_file_save(&writer->part) : NFT_OK);
    if (status)
        return status;
    if (!is_guest)
        status = nft_columns_write(&writer->part, collection, writer->group,
                                   writer->offsets + writer->tensors.count);
    if (!status && !is_guest)
        status = nft_part_file_save(&writer->part);
    return nft_collection_meet(collection, status);
}

nft_status nft_collection_write_group(nft_collection *collection, int64_t g)
{
    group_writer writer;
    bool again = true;
    nft_status status = nft_collection_meet(collection, open_writer(&writer, collection, g));
    if (!status)
        status = open_file(&writer);
    if (!status)
        status = nft_collection_meet(collection, drop_again(&writer));
    while (!status && again) {
        status = begin(&writer);
        if (!status)
            status = write_networks(&writer, &again);
        if (again)
            forget_dropped(&writer);
    }
    if (!status)
        status = finish(&writer);
    else if (collection->failure == NFT_ERROR_CANCELLED && writer.part.bytes) {
        nft_status saved = nft_part_file_save(&writer.part);
        status = saved ? saved : status;
    }
    close_writer(&writer);
    return status;
}
