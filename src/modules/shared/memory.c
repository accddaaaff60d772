#include "modules/shared/memory.h"
#include "modules/shared/module.h"

#include <assert.h>

#define LINE_FLOATS 16 /* of a cache line */

int64_t nft_take(int64_t *size, int64_t floats)
{
    int64_t start = *size, lines = nft_size_add(floats, LINE_FLOATS - 1) / LINE_FLOATS;
    *size = nft_size_add(start, nft_size_multiply(lines, LINE_FLOATS));
    return start;
}

static int64_t take_item(nft_memory *memory, int64_t floats)
{
    int64_t start = nft_take(&memory->item_used, floats);
    memory->item = memory->item_used > memory->item ? memory->item_used : memory->item;
    return start;
}

nft_buffer nft_reserve_strided(nft_builder *builder, nft_arena arena, int64_t rows, int64_t width,
                               int64_t stride)
{
    nft_memory *memory = builder->memory;
    nft_buffer buffer = {.arena = arena, .rows = rows, .width = width, .stride = stride};
    int64_t floats = nft_size_multiply(rows, stride);
    switch (arena) {
    case NFT_ARENA_ITEM:
        buffer.offset = take_item(memory, floats);
        break;
    case NFT_ARENA_CALL:
        buffer.offset = nft_take(&memory->call, floats);
        break;
    case NFT_ARENA_TRAINING:
        buffer.offset = nft_take(&memory->training, floats);
        break;
    case NFT_ARENA_KEPT:
        buffer.call_offset = nft_take(&memory->call, floats);
        buffer.offset = nft_take(builder->frame, floats);
        break;
    case NFT_ARENA_FRAME:
        buffer.offset = nft_take(builder->frame, floats);
        break;
    case NFT_ARENA_BACKWARD:
        buffer.offset = nft_take(builder->backward, floats);
        break;
    }
    return buffer;
}

nft_buffer nft_reserve(nft_builder *builder, nft_arena arena, int64_t rows, int64_t width)
{
    return nft_reserve_strided(builder, arena, rows, width, width);
}

void nft_begin_items(nft_builder *builder)
{
    builder->memory->item_used = 0;
}

nft_buffer nft_buffer_part(const nft_buffer *buffer, int64_t first, int64_t rows, int64_t width,
                           int64_t stride)
{
    nft_buffer part = *buffer;
    part.offset = nft_size_add(buffer->offset, first);
    part.call_offset = nft_size_add(buffer->call_offset, first);
    part.rows = rows;
    part.width = width;
    part.stride = stride;
    return part;
}

float *nft_at(const nft_exec *exec, const nft_buffer *buffer)
{
    switch (buffer->arena) {
    case NFT_ARENA_CALL:
        return exec->call + buffer->offset;
    case NFT_ARENA_TRAINING:
        return exec->training + buffer->offset;
    case NFT_ARENA_KEPT:
        return exec->frame ? exec->frame + buffer->offset : exec->call + buffer->call_offset;
    case NFT_ARENA_FRAME:
        return exec->frame + buffer->offset;
    case NFT_ARENA_BACKWARD:
        return exec->backward + buffer->offset;
    case NFT_ARENA_ITEM:
        break;
    }
    assert(!"an ITEM buffer has no address outside its item");
    return NULL;
}

float *nft_in_item(float *item_memory, const nft_buffer *buffer)
{
    return item_memory + buffer->offset;
}
