#include "file_names.h"

#include "report.h"

#include <stdio.h>
#include <stdlib.h>

#define PIECE_ROWS 256

file_names file_names_of(const cli_input *input)
{
    file_names names = {0};
    names.input = has_extra(input, FILE_NAMES) ? input : NULL;
    return names;
}

static int fetch(file_names *names, int64_t n)
{
    int64_t count = nft_array_size(names->rows, 0), left = names->input->count - n;
    if (names->rows && n >= names->first && n < names->first + count)
        return EXIT_SUCCESS;
    nft_array_free(names->rows);
    names->rows = NULL;
    names->first = n;
    return read_extra(&names->rows, names->input, FILE_NAMES, n, left < PIECE_ROWS ? left : PIECE_ROWS);
}

int file_names_read(char *text, file_names *names, int64_t n)
{
    text[0] = 0;
    int failed = fetch(names, n);
    const int64_t *bytes = failed ? NULL : nft_array_i64(names->rows);
    if (failed || !bytes)
        return failed;
    int64_t length = nft_array_count(names->rows) / nft_array_size(names->rows, 0), used = 0;
    bytes += (n - names->first) * length;
    for (; used < length && used < FILE_NAME_CAPACITY - 1 && bytes[used]; used++)
        text[used] = (char)bytes[used];
    text[used] = 0;
    return EXIT_SUCCESS;
}

void file_names_clear(file_names *names)
{
    nft_array_free(names->rows);
    names->rows = NULL;
}

const char *file_of_network(char *text, const cli_input *input, int64_t n)
{
    char name[FILE_NAME_CAPACITY] = "";
    file_names names = file_names_of(input);
    nft_array *row = NULL;
    text[0] = 0;
    if (!names.input || nft_dataset_read_tensor(&row, input->dataset, FILE_NAMES, n, 1))
        return text; /* the message is about something else */
    names.rows = row;
    names.first = n;
    if (!file_names_read(name, &names, n) && name[0])
        snprintf(text, FILE_NAME_CAPACITY, " (%.*s)", FILE_NAME_CAPACITY - 4, name);
    file_names_clear(&names);
    return text;
}
