/* role_statistics: for each role log2(1 + entries) / 10, then seven statistics of each channel over all
 * entries of its tensors: index role · (1 + 7 C) + 1 + channel · 7 + statistic. 0 for a role without tensors.
 */
#include "modules/weights/features.h"
#include "modules/weights/statistics.h"

#include <math.h>
#include <string.h>

typedef struct state {
    nft_sorted sorted;
} state;

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    (void)options;
    nft_status status = nft_require_kind(builder, NFT_VALUE_FEATURES);
    if (status || (status = nft_module_state(module, sizeof(state))))
        return status;
    state *own = module->state;
    int64_t largest = 0, numbers = nft_size_multiply(NFT_STATISTIC_COUNT, module->in.channels);
    for (int32_t role = 0; role < NFT_ROLE_COUNT; role++) {
        nft_entries entries = nft_entries_of_role(builder->space, role, 1, 0);
        int64_t count = nft_entries_count(&entries);
        largest = count > largest ? count : largest;
    }
    own->sorted = nft_sorted_reserve(builder, largest);
    module->out.kind = NFT_VALUE_VECTOR;
    module->out.channels = nft_size_multiply(NFT_ROLE_COUNT, nft_size_add(1, numbers));
    return NFT_OK;
}

typedef struct work {
    const nft_module *module;
    const float *in;
    float *out;
    const float *grad_out; /* in backward */
    float *grad_in;
} work;

/* An item is one channel of one role. *numbers: where the role begins in the vector. */
static nft_entries entries_of(const nft_module *module, int64_t item, int64_t *numbers)
{
    int64_t channels = module->in.channels, role = item / channels;
    *numbers = role * (1 + NFT_STATISTIC_COUNT * channels);
    return nft_entries_of_role(module->space, (int32_t)role, channels, item % channels);
}

static void describe(void *argument, int64_t item, float *memory)
{
    const work *w = argument;
    const state *own = w->module->state;
    int64_t start;
    nft_entries entries = entries_of(w->module, item, &start);
    float *numbers = w->out + start, *statistics = numbers + 1 + entries.channel * NFT_STATISTIC_COUNT;
    int64_t count = nft_entries_count(&entries);
    if (entries.channel == 0)
        numbers[0] = (float)(log2(1 + (double)count) / 10);
    if (count)
        nft_statistics_take(&entries, &own->sorted, memory, w->in, statistics);
    else
        memset(statistics, 0, NFT_STATISTIC_COUNT * sizeof *statistics);
}

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    work w = {.module = module, .in = in, .out = out};
    nft_exec_for(exec, NFT_ROLE_COUNT * module->in.channels, describe, &w);
}

static void describe_back(void *argument, int64_t item, float *memory)
{
    const work *w = argument;
    const state *own = w->module->state;
    int64_t start;
    nft_entries entries = entries_of(w->module, item, &start);
    const float *gradient = w->grad_out + start + 1 + entries.channel * NFT_STATISTIC_COUNT;
    if (nft_entries_count(&entries))
        nft_statistics_back(&entries, &own->sorted, memory, w->in, gradient, w->grad_in);
}

static void backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                     const float *grad_out, float *grad_in)
{
    (void)out;
    work w = {.module = module, .in = in, .grad_out = grad_out, .grad_in = grad_in};
    nft_exec_for(exec, NFT_ROLE_COUNT * module->in.channels, describe_back, &w);
}

const nft_module_class nft_module_role_statistics = {.type = "role_statistics",
                                                     .any_space = NFT_ANY_SPACE_ALWAYS,
                                                     .configure = configure,
                                                     .forward = forward,
                                                     .backward = backward};
