/* For targets that read safetensors: half of the mutations change only the header, and repair the length in
 * front of it. Otherwise each mutation that adds or removes a byte would end in the first check. */
#ifndef NFT_FUZZ_MUTATE_HEADER_H
#define NFT_FUZZ_MUTATE_HEADER_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LENGTH_BYTES 8

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);

/* The header's length; 0 if it is not inside the bytes. */
static inline size_t header_length(const uint8_t *data, size_t size)
{
    uint64_t length = 0;
    for (int i = LENGTH_BYTES - 1; i >= 0 && size > LENGTH_BYTES; i--)
        length = length << 8 | data[i];
    return length <= size - LENGTH_BYTES ? (size_t)length : 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
    size_t length = size > LENGTH_BYTES ? header_length(data, size) : 0;
    size_t rest = size - LENGTH_BYTES - length;
    if (seed % 2 || length == 0 || max_size < size)
        return LLVMFuzzerMutate(data, size, max_size);
    uint8_t *after = malloc(rest + 1);
    if (!after)
        abort();
    memcpy(after, data + LENGTH_BYTES + length, rest);
    length = LLVMFuzzerMutate(data + LENGTH_BYTES, length, max_size - LENGTH_BYTES - rest);
    memcpy(data + LENGTH_BYTES + length, after, rest);
    free(after);
    for (int i = 0; i < LENGTH_BYTES; i++)
        data[i] = (uint8_t)((uint64_t)length >> 8 * i);
    return LENGTH_BYTES + length + rest;
}

#endif
