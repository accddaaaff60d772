/* The columns of a file that is made: labels, and other numbers of each network. */
#include "io/collect/collect.h"
#include "io/collect/part_file.h"

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

nft_status nft_columns_write(nft_part_file *part, const nft_collection *collection, const nft_group *group,
                             const int64_t *offsets)
{
    nft_status status = NFT_OK;
    for (int64_t c = 0; c < collection->column_count && !status; c++)
        if (collection->columns[c].present)
            status = write_column(part, collection, group, c, *offsets++);
    return status;
}
