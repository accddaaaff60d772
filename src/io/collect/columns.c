/* The columns of a file that is made: labels, and other numbers of each network. */
#include "io/collect/collect.h"
#include "io/collect/part_file.h"

#include <inttypes.h>
#include <string.h>

static double number_of(const nft_value *value, int64_t i)
{
    return value->kind == NFT_VALUE_LIST ? value->list[i] : value->number;
}

static nft_status write_column(nft_part_file *part, const nft_collection *collection, const nft_group *group,
                               int64_t c, int64_t at)
{
    const nft_column *column = &collection->columns[c];
    int64_t width = column->width ? column->width : 1;
    nft_status status = NFT_OK;
    for (int64_t m = 0; m < group->member_count && !status; m++) {
        const nft_collected *item = &collection->items[group->members[m]];
        for (int64_t i = 0; item->group >= 0 && i < width * item->networks && !status; i++) {
            double number = number_of(&item->values[c], i);
            const float real = (float)number;
            const int64_t integer = column->is_real ? 0 : (int64_t)number;
            int64_t size = column->is_real ? sizeof real : sizeof integer;
            status = nft_part_file_write(part, at, column->is_real ? (const void *)&real : &integer, size, 1);
            at += size;
        }
    }
    return status;
}

/* "zoo/a.pt", or "zoo/stack.npz#12" of one that is among others in its file. */
static nft_status append_name(nft_text *name, const nft_collected *item, int64_t i)
{
    nft_text_append(name, "%s", item->path);
    if (item->rows || item->networks > 1)
        nft_text_append(name, "#%" PRId64, item->rows ? item->rows[i] : i);
    return name->failed ? nft_fail_memory("a path", (int64_t)strlen(item->path)) : NFT_OK;
}

int64_t nft_names_bytes(const nft_collection *collection)
{
    int64_t most = 1;
    for (int64_t k = 0; k < collection->paths.count; k++) {
        const nft_collected *item = &collection->items[k];
        int64_t bytes = (int64_t)strlen(item->path), number = item->networks - 1;
        if (item->group < 0)
            continue;
        for (int64_t i = 0; item->rows && i < item->networks; i++)
            number = item->rows[i] > number ? item->rows[i] : number;
        if (item->rows || item->networks > 1)
            for (bytes += 2; number > 9; number /= 10)
                bytes++;
        most = bytes > most ? bytes : most;
    }
    return most;
}

/* The file has zeros there already. */
static nft_status write_names(nft_part_file *part, const nft_collection *collection, const nft_group *group,
                              int64_t at)
{
    nft_status status = NFT_OK;
    for (int64_t m = 0; m < group->member_count && !status; m++) {
        const nft_collected *item = &collection->items[group->members[m]];
        for (int64_t i = 0; item->group >= 0 && i < item->networks && !status; i++) {
            nft_text name = {0};
            status = append_name(&name, item, i);
            if (!status)
                status = nft_part_file_write(part, at, name.data, 1, (int64_t)name.length);
            nft_text_clear(&name);
            at += collection->name_bytes;
        }
    }
    return status;
}

nft_status nft_columns_write(nft_part_file *part, const nft_collection *collection, const nft_group *group,
                             const int64_t *offsets)
{
    nft_status status = NFT_OK;
    for (int64_t c = 0; c < collection->column_count && !status; c++)
        if (collection->columns[c].present)
            status = write_column(part, collection, group, c, *offsets++);
    return status ? status : write_names(part, collection, group, *offsets);
}
