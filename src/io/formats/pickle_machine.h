/* The stack of a pickle's machine and the bytes that it reads, for its opcodes. */
#ifndef NFT_IO_FORMATS_PICKLE_MACHINE_H
#define NFT_IO_FORMATS_PICKLE_MACHINE_H

#include "io/formats/pickle.h"

nft_status nft_pickle_push(nft_pickle *pickle, nft_pickle_ref ref);
nft_status nft_pickle_push_new(nft_pickle *pickle, nft_pickle_kind kind, nft_pickle_ref *ref);
nft_status nft_pickle_push_class(nft_pickle *pickle, nft_pickle_ref module, nft_pickle_ref name);

/* The errors of an opcode that does not fit the stack, and of bytes that end too early. */
nft_status nft_pickle_fail_stack(const nft_pickle *pickle);
nft_status nft_pickle_fail_short(nft_pickle *pickle);

/* The next `count` bytes. */
nft_status nft_pickle_take(nft_pickle *pickle, uint64_t count, const uint8_t **bytes);
/* A little-endian number of `size` bytes. */
nft_status nft_pickle_take_number(nft_pickle *pickle, int size, uint64_t *number);
/* Up to the end of the line, which is skipped. */
nft_status nft_pickle_take_line(nft_pickle *pickle, const char **text, int64_t *length);

/* Runs the opcode if it is one that pushes a value from the bytes behind it; false if it is another. */
bool nft_pickle_run_literal(nft_pickle *pickle, uint8_t code, nft_status *status);

#endif
