/* stat_featurizer: seven statistics of each tensor and channel, index channel · K + tensor · 7 + statistic.
 */
#include "modules/weights/features.h"
#include "modules/weights/statistics.h"

typedef struct state {
    int64_t numbers; /* K: 7 for each tensor */
    nft_sorted sorted;
} state;

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    (void)options;
    const nft_space *space = builder->space;
    nft_status status = nft_require_kind(builder, NFT_VALUE_FEATURES);
    if (status || (status = nft_module_state(module, sizeof(state))))
        return status;
    state *own = module->state;
    own->numbers = NFT_STATISTIC_COUNT * space->tensor_count;
    int64_t largest = 0;
    for (int64_t t = 0; t < space->tensor_count; t++) {
        nft_entries entries = nft_entries_of_tensor(space, t, 1, 0);
        int64_t count = nft_entries_count(&entries);
        largest = count > largest ? count : largest;
    }
    own->sorted = nft_sorted_reserve(builder, largest);
    module->out.kind = NFT_VALUE_VECTOR;
    module->out.channels = nft_size_multiply(own->numbers, module->in.channels);
    return NFT_OK;
}

typedef struct work {
    const nft_module *module;
    const float *in;
    float *out;
    const float *grad_out; /* in backward */
    float *grad_in;
} work;

/* An item is one channel of one tensor; its statistics begin at *numbers of the vector. */
static nft_entries entries_of(const nft_module *module, int64_t item, int64_t *numbers)
{
    const state *own = module->state;
    int64_t channels = module->in.channels, c = item % channels, t = item / channels;
    *numbers = c * own->numbers + t * NFT_STATISTIC_COUNT;
    return nft_entries_of_tensor(module->space, t, channels, c);
}

static void describe(void *argument, int64_t item, float *memory)
{
    const work *w = argument;
    const state *own = w->module->state;
    int64_t numbers;
    nft_entries entries = entries_of(w->module, item, &numbers);
    nft_statistics_take(&entries, &own->sorted, memory, w->in, w->out + numbers);
}

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    work w = {.module = module, .in = in, .out = out};
    nft_exec_for(exec, module->space->tensor_count * module->in.channels, describe, &w);
}

static void describe_back(void *argument, int64_t item, float *memory)
{
    const work *w = argument;
    const state *own = w->module->state;
    int64_t numbers;
    nft_entries entries = entries_of(w->module, item, &numbers);
    nft_statistics_back(&entries, &own->sorted, memory, w->in, w->grad_out + numbers, w->grad_in);
}

static void backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                     const float *grad_out, float *grad_in)
{
    (void)out;
    work w = {.module = module, .in = in, .grad_out = grad_out, .grad_in = grad_in};
    nft_exec_for(exec, module->space->tensor_count * module->in.channels, describe_back, &w);
}

const nft_module_class nft_module_stat_featurizer = {
    .type = "stat_featurizer", .configure = configure, .forward = forward, .backward = backward};
