#include "modules/weights/views.h"

#include <string.h>

/* One more factor of P inside those before it. */
static void add_loop(nft_view_layout *layout, int64_t size, int64_t stride)
{
    if (size == 1)
        return;
    layout->entries = nft_size_multiply(layout->entries, size);
    int64_t whole = nft_size_multiply(size, stride);
    if (layout->loops == 0 && layout->channel_stride == whole) {
        layout->channels = nft_size_multiply(layout->channels, size);
        layout->channel_stride = stride;
    } else if (layout->loops > 0 && layout->strides[layout->loops - 1] == whole) {
        layout->sizes[layout->loops - 1] = nft_size_multiply(layout->sizes[layout->loops - 1], size);
        layout->strides[layout->loops - 1] = stride;
    } else {
        layout->sizes[layout->loops] = size;
        layout->strides[layout->loops++] = stride;
    }
}

/* Positions, dimensions, or both, in the order of the shape. */
static void add_factors(nft_view_layout *layout, const nft_tensor *tensor, const int64_t *strides,
                        nft_dims channels, bool positions, bool dimensions)
{
    int64_t position_stride = tensor->positions, d = 0;
    for (int64_t i = 0; i < tensor->factor_count; i++) {
        int64_t size = tensor->factor_sizes[i];
        if (tensor->declared[i].axis >= 0) {
            if (dimensions && (channels & NFT_DIM(d)))
                add_loop(layout, size, strides[d]);
            d++;
        } else if (tensor->positions > 1) {
            position_stride /= size;
            if (positions)
                add_loop(layout, size, position_stride);
        }
    }
}

nft_view_layout nft_view_layout_of(const nft_space *space, const nft_tensor_view *view, int64_t channels,
                                   bool positions_first)
{
    const nft_tensor *tensor = &space->tensors[view->tensor];
    int64_t strides[NFT_TENSOR_MAX_AXES] = {0}, stride = nft_size_multiply(channels, tensor->positions);
    for (int64_t d = tensor->rank; d-- > 0;)
        if ((view->rows | view->channels) & NFT_DIM(d)) {
            strides[d] = stride;
            stride = nft_size_multiply(stride, tensor->sizes[d]);
        }
    nft_view_layout layout = {.rows = nft_dims_tokens(tensor, view->rows),
                              .entries = channels,
                              .channels = channels,
                              .channel_stride = tensor->positions};
    for (int64_t d = 0; d < tensor->rank; d++)
        if (view->rows & NFT_DIM(d)) {
            layout.row_sizes[layout.row_rank] = tensor->sizes[d];
            layout.row_strides[layout.row_rank++] = strides[d];
        }
    add_factors(&layout, tensor, strides, view->channels, true, !positions_first);
    if (positions_first)
        add_factors(&layout, tensor, strides, view->channels, false, true);
    return layout;
}

bool nft_view_is_dense(const nft_view_layout *layout)
{
    return layout->loops == 0;
}

static int64_t row_start(const nft_view_layout *layout, int64_t row)
{
    int64_t start = 0;
    if (layout->row_rank == 1)
        return row * layout->row_strides[0];
    for (int64_t i = layout->row_rank; i-- > 0; row /= layout->row_sizes[i])
        start += row % layout->row_sizes[i] * layout->row_strides[i];
    return start;
}

/* From one index of the loops but the last to the next; returns its place. */
static int64_t next_place(const nft_view_layout *layout, int64_t index[NFT_TENSOR_MAX_FACTORS], int64_t place)
{
    for (int64_t i = layout->loops - 1; i-- > 0;) {
        place += layout->strides[i];
        if (++index[i] < layout->sizes[i])
            return place;
        place -= layout->sizes[i] * layout->strides[i];
        index[i] = 0;
    }
    return place;
}

/* Channels that are moved together: a cache line of them where channels are neighbours. */
#define STRIP 16

enum move { GET, PUT, ADD };

/* Channels first … last - 1 of entries P … P + size - 1 of a row, which stand at `place` and then every
 * `stride` floats. GET: `to` are the entries and `from` is the margin; else the other way round. */
static inline void move_strip(const nft_view_layout *layout, enum move move, int64_t first, int64_t last,
                              int64_t P, int64_t place, const float *from, float *to)
{
    int64_t numbers = layout->entries / layout->channels, channel_stride = layout->channel_stride;
    int64_t size = layout->sizes[layout->loops - 1], stride = layout->strides[layout->loops - 1];
    for (int64_t k = 0; k < size; k++, P++, place += stride)
        for (int64_t c = first; c < last; c++) {
            int64_t entry = c * numbers + P, at = c * channel_stride + place;
            if (move == GET)
                to[entry] = from[at];
            else if (move == PUT)
                to[at] = from[entry];
            else
                to[at] += from[entry];
        }
}

static inline void move_row(const nft_view_layout *layout, enum move move, const float *from, float *to)
{
    int64_t numbers = layout->entries / layout->channels, size = layout->sizes[layout->loops - 1];
    for (int64_t first = 0; first < layout->channels; first += STRIP) {
        int64_t last = first + STRIP < layout->channels ? first + STRIP : layout->channels;
        int64_t index[NFT_TENSOR_MAX_FACTORS] = {0}, place = 0;
        for (int64_t P = 0; P < numbers; P += size) {
            move_strip(layout, move, first, last, P, place, from, to);
            place = next_place(layout, index, place);
        }
    }
}

void nft_view_get(const nft_view_layout *layout, int64_t first, int64_t count, const float *margin,
                  float *entries, int64_t stride)
{
    bool dense = nft_view_is_dense(layout);
    for (int64_t row = first; row < first + count; row++, entries += stride) {
        const float *from = margin + row_start(layout, row);
        if (dense)
            memcpy(entries, from, (size_t)layout->entries * sizeof *entries);
        else
            move_row(layout, GET, from, entries);
    }
}

void nft_view_put(const nft_view_layout *layout, int64_t first, int64_t count, const float *entries,
                  int64_t stride, float *margin)
{
    bool dense = nft_view_is_dense(layout);
    for (int64_t row = first; row < first + count; row++, entries += stride) {
        float *to = margin + row_start(layout, row);
        if (dense)
            memcpy(to, entries, (size_t)layout->entries * sizeof *entries);
        else
            move_row(layout, PUT, entries, to);
    }
}

void nft_view_add(const nft_view_layout *layout, int64_t first, int64_t count, const float *entries,
                  int64_t stride, float *margin)
{
    const nft_kernels *vector = nft_vector();
    bool dense = nft_view_is_dense(layout);
    for (int64_t row = first; row < first + count; row++, entries += stride) {
        float *to = margin + row_start(layout, row);
        if (dense)
            vector->add(layout->entries, entries, to);
        else
            move_row(layout, ADD, entries, to);
    }
}
