#include "model/sequence.h"

nft_status nft_sequence_allocate(nft_sequence **out, const nft_space *space, const nft_value *input,
                                 int64_t steps)
{
    *out = NULL;
    nft_sequence *sequence = nft_allocate(sizeof *sequence);
    if (!sequence)
        return nft_fail_memory("the modules", sizeof *sequence);
    nft_references_init(&sequence->references);
    sequence->input = *input;
    sequence->space = space ? nft_space_retain(space) : NULL;
    sequence->steps = nft_allocate_array((size_t)steps, sizeof *sequence->steps);
    if (!sequence->steps) {
        nft_sequence_free(sequence);
        return nft_fail_memory("the modules", nft_size_multiply(steps, sizeof *sequence->steps));
    }
    *out = sequence;
    return NFT_OK;
}

nft_sequence *nft_sequence_retain(const nft_sequence *sequence)
{
    nft_sequence *shared = (nft_sequence *)sequence;
    nft_references_add(&shared->references);
    return shared;
}

void nft_sequence_free(nft_sequence *sequence)
{
    if (!sequence || !nft_references_drop(&sequence->references))
        return;
    for (int64_t i = 0; i < sequence->step_count; i++)
        nft_module_free(sequence->steps[i].module);
    nft_release(sequence->steps);
    nft_gradient_table_clear(&sequence->gradients);
    nft_statistics_table_clear(&sequence->statistics);
    nft_space_free(sequence->space);
    nft_release(sequence);
}

const nft_value *nft_sequence_value(const nft_sequence *sequence, int64_t index)
{
    return index ? &sequence->steps[index - 1].module->out : &sequence->input;
}

const nft_space *nft_sequence_space(const nft_sequence *sequence, int64_t index)
{
    return sequence->space ? nft_value_space(nft_sequence_value(sequence, index), sequence->space) : NULL;
}

int64_t nft_sequence_floats(const nft_sequence *sequence, int64_t index)
{
    return nft_value_floats(nft_sequence_value(sequence, index), nft_sequence_space(sequence, index));
}

const nft_gradient *nft_sequence_gradient(const nft_sequence *sequence, int64_t parameter)
{
    static const nft_gradient none = {.kind = NFT_GRADIENT_NONE};
    const nft_gradient_table *table = &sequence->gradients;
    return parameter < table->count ? &table->items[parameter] : &none;
}
