/* Where modules keep numbers while a model runs. A module reserves buffers when it is configured, each in one
 * arena, and asks for their addresses when it runs.
 *
 *   FRAME, KEPT   one frame for each sample in training and each module of the sequence:
 *                 | value that arrives | buffers of the module | value that leaves |
 *                 The value that leaves one module is the one that arrives at the next. Lives from forward to
 *                 backward.
 *   BACKWARD      one block for each sample that is in backward: the factors of parameter gradients. Lives
 *                 until the gradients are summed over samples.
 *   CALL          one block for each sample that is being computed. Lives during one forward or backward of
 *                 one module. In training the TRAINING buffers follow it.
 *   ITEM          one block for each thread. Lives during one item of work (nft_exec_for).
 *
 * In inference there are no frames. A KEPT buffer then stands in the CALL arena; FRAME, TRAINING and BACKWARD
 * buffers do not exist. This is the only place that tells the two apart: modules ask nft_at() in both. */
#ifndef NFT_MODULES_SHARED_MEMORY_H
#define NFT_MODULES_SHARED_MEMORY_H

#include <stdint.h>

typedef struct nft_builder nft_builder;
typedef struct nft_exec nft_exec;

typedef enum nft_arena {
    NFT_ARENA_ITEM,     /* scratch of an item of work */
    NFT_ARENA_CALL,     /* scratch of a call */
    NFT_ARENA_TRAINING, /* scratch of a call, only in training */
    NFT_ARENA_KEPT,     /* from forward to backward; in inference scratch of the call */
    NFT_ARENA_FRAME,    /* from forward to backward; does not exist in inference */
    NFT_ARENA_BACKWARD  /* from backward to the sum over samples */
} nft_arena;

/* Rows of numbers in an arena. */
typedef struct nft_buffer {
    nft_arena arena;
    int64_t offset;      /* floats from the start of the arena; of KEPT from that of the frame */
    int64_t call_offset; /* of KEPT: the place in the call's arena that it has in inference */
    int64_t rows, width; /* width floats in each row */
    int64_t stride;      /* floats from one row to the next */
} nft_buffer;

/* Floats that a module needs for one call; frames and backward blocks are counted by the builder. */
typedef struct nft_memory {
    int64_t item, call, training;
    int64_t item_used; /* of the phase that is being planned */
} nft_memory;

/* Reserves rows of `width` floats without gaps. Sizes saturate; the plan's limit check finds that. Buffers
 * begin on cache lines. */
nft_buffer nft_reserve(nft_builder *builder, nft_arena arena, int64_t rows, int64_t width);
/* The same with rows that are `stride` ≥ width floats apart. */
nft_buffer nft_reserve_strided(nft_builder *builder, nft_arena arena, int64_t rows, int64_t width,
                               int64_t stride);

/* ITEM buffers that are reserved after this share their memory with those before: another kind of item. */
void nft_begin_items(nft_builder *builder);

/* Rows inside a buffer, from float `first` of it. */
nft_buffer nft_buffer_part(const nft_buffer *buffer, int64_t first, int64_t rows, int64_t width,
                           int64_t stride);

/* The address of a buffer that is not ITEM. */
float *nft_at(const nft_exec *exec, const nft_buffer *buffer);
/* The address of an ITEM buffer, from that of the item's memory. */
float *nft_in_item(float *item_memory, const nft_buffer *buffer);

/* Takes floats from a size that is being counted, to a multiple of a cache line: returns where they begin.
 * Saturates. */
int64_t nft_take(int64_t *size, int64_t floats);

#endif
