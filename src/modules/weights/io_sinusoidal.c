/* io_sinusoidal: appends to every token the encoding of its tensor's place among the tensors (in a chain of
 * its layer's among the layers), plus those of its indices along the ordered axes. */
#include "modules/weights/grid_rows.h"
#include "modules/weights/sinusoids.h"

#include <string.h>

typedef struct state {
    int64_t width; /* d = 2 num_bands + 1 */
    float *table;  /* encodings: nft_grid_rows() of d */
} state;

static void encode(const nft_builder *builder, const state *own, int64_t bands, double max_freq,
                   bool enc_layers)
{
    const nft_space *space = builder->space;
    int64_t d = own->width, layers = builder->whole->layer_count;
    for (int64_t t = 0; t < space->tensor_count && enc_layers; t++)
        nft_sinusoids(layers ? t / 2 : t, layers ? layers : space->tensor_count, bands, max_freq,
                      own->table + t * d);
    for (int64_t a = 0; a < space->axis_count; a++) {
        int64_t first = nft_grid_rows_of_axis(space, a);
        for (int64_t i = 0; i < space->axes[a].size && first >= 0; i++)
            nft_sinusoids(i, space->axes[a].size, bands, max_freq, own->table + (first + i) * d);
    }
}

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    double max_freq = 10;
    int64_t bands = 6;
    bool enc_layers = true;
    nft_status status;
    if ((status = nft_require_kind(builder, NFT_VALUE_FEATURES)) ||
        (status = nft_module_state(module, sizeof(state))) ||
        (status = nft_options_number(options, "max_freq", false, 0, 1e6, &max_freq)) ||
        (status = nft_options_integer(options, "num_bands", false, 1, 1 << 16, &bands)) ||
        (status = nft_options_boolean(options, "enc_layers", false, &enc_layers)))
        return status;
    state *own = module->state;
    own->width = nft_sinusoids_width(bands);
    module->out.channels = builder->value.channels + own->width;
    int64_t floats = nft_size_multiply(nft_grid_rows(builder->space), own->width),
            bytes = nft_size_multiply(floats, sizeof(float));
    if ((status = nft_check_limit(builder->where, bytes, builder->memory_limit)))
        return status;
    if (!(own->table = nft_allocate((size_t)bytes)))
        return nft_fail_memory(builder->where, bytes);
    encode(builder, own, bands, max_freq, enc_layers);
    return NFT_OK;
}

static void release(nft_module *module)
{
    nft_release(((state *)module->state)->table);
}

typedef struct work {
    const nft_module *module;
    const float *in;
    float *out;
} work;

/* One token of a tensor; `rows` are the encodings that are added up, `count` of them. */
static void append(const work *w, const nft_tensor *tensor, int64_t token, int count,
                   const float *const *rows)
{
    const state *own = w->module->state;
    int64_t C = w->module->in.channels, f = tensor->positions, d = own->width;
    const float *x = w->in + (tensor->offset + token * f) * C;
    float *y = w->out + (tensor->offset + token * f) * (C + d);
    memcpy(y, x, (size_t)(C * f) * sizeof *y);
    for (int64_t k = 0; k < d; k++) {
        float value = rows[0][k];
        for (int i = 1; i < count; i++)
            value += rows[i][k];
        for (int64_t position = 0; position < f; position++)
            y[(C + k) * f + position] = value;
    }
}

static void chunk(void *argument, int64_t item, float *memory)
{
    (void)memory;
    const work *w = argument;
    const nft_space *space = w->module->space;
    const state *own = w->module->state;
    nft_rows rows = nft_rows_at(space, item);
    const nft_tensor *tensor = &space->tensors[rows.tensor];
    int64_t first[NFT_TENSOR_MAX_AXES] = {0};
    for (int64_t d = 0; d < tensor->rank; d++)
        first[d] = nft_grid_rows_of_axis(space, tensor->axes[d]);
    for (int64_t i = 0; i < rows.count; i++) {
        const float *encodings[1 + NFT_TENSOR_MAX_AXES] = {own->table + rows.tensor * own->width};
        int count = 1;
        for (int64_t d = tensor->rank - 1; d >= 0; d--)
            if (first[d] >= 0)
                encodings[count++] =
                    own->table + (first[d] + nft_grid_index(tensor, rows.first + i, d)) * own->width;
        append(w, tensor, rows.first + i, count, encodings);
    }
}

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    work w = {module, in, out};
    nft_exec_for(exec, nft_rows_count(module->space), chunk, &w);
}

/* The appended channels depend on nothing. */
static void backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                     const float *grad_out, float *grad_in)
{
    (void)exec;
    (void)in;
    (void)out;
    int64_t C = module->in.channels, wide = module->out.channels;
    for (int64_t t = 0; t < module->space->tensor_count; t++) {
        const nft_tensor *tensor = &module->space->tensors[t];
        int64_t f = tensor->positions;
        for (int64_t token = 0; token < tensor->tokens; token++)
            memcpy(grad_in + (tensor->offset + token * f) * C, grad_out + (tensor->offset + token * f) * wide,
                   (size_t)(C * f) * sizeof *grad_in);
    }
}

const nft_module_class nft_module_io_sinusoidal = {.type = "io_sinusoidal",
                                                   .configure = configure,
                                                   .forward = forward,
                                                   .backward = backward,
                                                   .release = release};
