#include "rewrite.h"

#include "files.h"
#include "names.h"
#include "nft/file.h"
#include "nft/train.h"
#include "progress.h"
#include "report.h"
#include "tables.h"

#include <stdlib.h>
#include <string.h>

#define PIECE_NUMBERS (INT64_C(1) << 18) /* of another tensor */

typedef struct writing {
    const cli_rewrite *rewrite;
    nft_file *file; /* that is read */
    nft_file_writer *writer;
    cli_tensor_table table;
    int64_t own; /* tensors of the table that are the networks' */
} writing;

int begin_rewrite(cli_rewrite *rewrite, cli_input *input, const cli_options *given)
{
    *rewrite = (cli_rewrite){.input = input, .given = given};
    int failed = open_networks(input, given->operands[0], given);
    return !failed && nft_dataset_batch(&rewrite->holder, input->dataset, 0, 0) ? fail_library() : failed;
}

void end_rewrite(cli_rewrite *rewrite)
{
    nft_weights_free(rewrite->holder);
    close_input(rewrite->input);
}

/* The number of dimensions before those of a tensor: 0 for one network, 1 for a stack, 2 for features. A file
 * that stores its networks in another form has none of their tensors. It becomes a stack. */
static int find_leading(int64_t *leading, bool *is_other_form, const nft_file *file,
                        const nft_weights *networks)
{
    nft_space_tensor tensor = {.size = sizeof tensor};
    nft_tensor_info info = NFT_TENSOR_INFO_INIT;
    if (nft_space_get_tensor(&tensor, nft_weights_space(networks), 0))
        return fail_library();
    const char *name = tensor.from ? tensor.from : nft_weights_tensor_name(networks, 0);
    for (int64_t i = 0; i < nft_file_tensor_count(file); i++)
        if (!nft_file_tensor(&info, file, i) && !strcmp(info.name, name)) {
            *leading = info.rank - tensor.rank;
            return EXIT_SUCCESS;
        }
    *is_other_form = true;
    *leading = 1;
    return EXIT_SUCCESS;
}

static bool is_integer(const char *type)
{
    return (strchr("IU", type[0]) || !strcmp(type, "BOOL")) != 0;
}

/* The tensors that belong to no network; of a file in another form only the extras of the networks. */
static int add_others(writing *w, bool is_other_form)
{
    cli_names names = {0}, extras = {0};
    int failed = names_of_tensors(&names, w->rewrite->holder);
    if (!failed)
        failed = names_of_extras(&extras, w->rewrite->input->dataset);
    for (int64_t i = 0; i < nft_file_tensor_count(w->file) && !failed; i++) {
        nft_tensor_info info = NFT_TENSOR_INFO_INIT;
        if (nft_file_tensor(&info, w->file, i))
            failed = fail_library();
        else if (names_find(&names, info.name) >= 0 || (is_other_form && names_find(&extras, info.name) < 0))
            continue;
        nft_tensor_info *added =
            failed ? NULL : table_add(&w->table, info.name, is_integer(info.type) ? "I64" : "F32");
        if (!failed && !added)
            failed = fail_memory();
        if (failed)
            break;
        added->rank = info.rank;
        memcpy(added->shape, info.shape, sizeof info.shape);
    }
    names_free(&names);
    names_free(&extras);
    return failed;
}

/* Biases that the file lacks are zero, and stay so. */
static int leave_out_absent(writing *w)
{
    cli_names names = {0};
    int failed = names_of_file(&names, w->file);
    for (int64_t i = w->table.count - 1; i >= 0 && !failed; i--)
        if (names_find(&names, w->table.items[i].name) < 0)
            table_remove(&w->table, i);
    names_free(&names);
    return failed;
}

static int make_table(writing *w)
{
    const cli_input *input = w->rewrite->input;
    const int64_t shape[] = {input->count, input->channels};
    bool is_other_form = false;
    int64_t leading = 0;
    int failed = find_leading(&leading, &is_other_form, w->file, w->rewrite->holder);
    if (!failed)
        failed = table_add_networks(&w->table, w->rewrite->holder, shape, leading);
    if (!failed && !is_other_form)
        failed = leave_out_absent(w);
    w->own = w->table.count;
    return failed ? failed : add_others(w, is_other_form);
}

static int fail_change(const char *path)
{
    char message[1024];
    layers_message(message, sizeof message);
    return fail("%s: %s", path, message);
}

static int write_networks(writing *w)
{
    const cli_rewrite *rewrite = w->rewrite;
    cli_input *input = rewrite->input;
    int64_t most = rewrite->given->batch_size ? rewrite->given->batch_size : batch_of(input, 0);
    if (most > input->count || is_written_in_place(option_text(rewrite->given, "output")))
        most = input->count;
    cli_progress progress;
    int failed = EXIT_SUCCESS;
    progress_start(&progress, rewrite->given, rewrite->given->command->name, "networks", input->count);
    for (int64_t first = 0; first < input->count && !failed; first += most) {
        int64_t count = input->count - first < most ? input->count - first : most;
        failed = read_input(input, first, count);
        if (!failed && rewrite->change(rewrite->user, input->weights, first))
            failed = fail_change(input->path);
        if (!failed && nft_weights_write(w->writer, input->weights, first, count))
            failed = fail_library();
        progress_show(&progress, first + count);
    }
    progress_end(&progress);
    return failed;
}

static int write_array(writing *w, int64_t tensor, int64_t first, const nft_array *array)
{
    const void *data = nft_array_f32(array);
    if (!data)
        data = nft_array_i64(array);
    return nft_file_writer_write(w->writer, tensor, first, data, nft_array_count(array)) ? fail_library()
                                                                                         : EXIT_SUCCESS;
}

static int copy_tensor(writing *w, int64_t tensor)
{
    const nft_tensor_info *info = &w->table.items[tensor];
    int64_t row = 1, rows = info->rank ? info->shape[0] : 1;
    int failed = EXIT_SUCCESS;
    for (int64_t axis = 1; axis < info->rank; axis++)
        row *= info->shape[axis];
    int64_t most = row ? PIECE_NUMBERS / row + 1 : rows;
    for (int64_t first = 0; first < rows && row && !failed; first += most) {
        nft_array *piece = NULL;
        int64_t count = rows - first < most ? rows - first : most;
        nft_status status = nft_file_read(&piece, w->file, info->name, first, info->rank ? count : NFT_ALL);
        failed = status ? fail_library() : write_array(w, tensor, first * row, piece);
        nft_array_free(piece);
    }
    return failed;
}

static int write_file(writing *w)
{
    const char *path = option_text(w->rewrite->given, "output");
    const char **metadata = list_weights_metadata(w->rewrite->holder);
    int failed = metadata ? make_table(w) : fail_memory();
    if (!failed && nft_file_writer_create(&w->writer, path, w->table.items, w->table.count, metadata))
        failed = fail_library();
    free(metadata);
    if (!failed)
        failed = write_networks(w);
    for (int64_t i = w->own; i < w->table.count && !failed; i++)
        failed = copy_tensor(w, i);
    if (failed)
        return failed;
    nft_status status = nft_file_writer_commit(w->writer);
    w->writer = NULL;
    return status ? fail_library() : EXIT_SUCCESS;
}

int rewrite_networks(cli_rewrite *rewrite)
{
    writing w = {.rewrite = rewrite};
    int failed = nft_file_open(&w.file, rewrite->input->path, NULL) ? fail_library() : write_file(&w);
    nft_file_writer_free(w.writer);
    nft_file_free(w.file);
    table_free(&w.table);
    return failed;
}
