/* io_sinusoidal: appends encodings of the layer, the input neuron and the output neuron to every weight and
 * bias. */
#include "modules/weights/features.h"

#include <math.h>
#include <string.h>

#define PI 3.14159265358979323846

typedef struct state {
    int64_t width;                    /* d = 2 num_bands + 1 */
    float *layers, *inputs, *outputs; /* encodings (L, d), (n_0, d), (n_L, d); one allocation */
} state;

/* Encodings of `count` positions spread over [-1, 1]: [sin π s_j t …, cos π s_j t …, t], s_j from 1 to
 * max_freq / 2. */
static void encode(int64_t count, int64_t bands, double max_freq, float *rows)
{
    for (int64_t i = 0; i < count; i++) {
        double t = count > 1 ? -1 + 2 * (double)i / (double)(count - 1) : -1;
        float *row = rows + i * (2 * bands + 1);
        for (int64_t j = 0; j < bands; j++) {
            double s = bands > 1 ? 1 + (max_freq / 2 - 1) * (double)j / (double)(bands - 1) : 1;
            row[j] = (float)sin(PI * s * t);
            row[bands + j] = (float)cos(PI * s * t);
        }
        row[2 * bands] = (float)t;
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
    const nft_space *space = builder->space;
    int64_t L = space->layer_count, n_0 = space->layers[0].in, n_L = space->layers[L - 1].out;
    own->width = 2 * bands + 1;
    module->out.channels = builder->value.channels + own->width;
    int64_t floats = nft_size_multiply(L + n_0 + n_L, own->width),
            bytes = nft_size_multiply(floats, sizeof(float));
    if ((status = nft_check_limit(builder->where, bytes, builder->memory_limit)))
        return status;
    if (!(own->layers = nft_allocate((size_t)bytes)))
        return nft_fail_memory(builder->where, bytes);
    own->inputs = own->layers + L * own->width;
    own->outputs = own->inputs + n_0 * own->width;
    if (enc_layers)
        encode(L, bands, max_freq, own->layers);
    encode(n_0, bands, max_freq, own->inputs);
    encode(n_L, bands, max_freq, own->outputs);
    return NFT_OK;
}

static void release(nft_module *module)
{
    nft_release(((state *)module->state)->layers);
}

typedef struct work {
    const nft_module *module;
    const float *in;
    float *out;
} work;

static void append(const work *w, const nft_tensor *tensor, int64_t token)
{
    const nft_module *module = w->module;
    const state *own = module->state;
    int64_t C = module->in.channels, f = tensor->positions, d = own->width;
    const float *x = w->in + (tensor->offset + token * f) * C;
    float *y = w->out + (tensor->offset + token * f) * (C + d);
    const float *layer = own->layers + tensor->layer * d;
    const float *input = tensor->column_axis == 0 ? own->inputs + token % tensor->columns * d : NULL;
    const float *output =
        tensor->layer == module->space->layer_count - 1 ? own->outputs + token / tensor->columns * d : NULL;
    memcpy(y, x, (size_t)(C * f) * sizeof *y);
    for (int64_t k = 0; k < d; k++) {
        float value = layer[k] + (input ? input[k] : 0) + (output ? output[k] : 0);
        for (int64_t position = 0; position < f; position++)
            y[(C + k) * f + position] = value;
    }
}

static void chunk(void *argument, int64_t item, float *thread_scratch)
{
    (void)thread_scratch;
    const work *w = argument;
    nft_rows rows = nft_rows_at(w->module->space, item);
    for (int64_t i = 0; i < rows.count; i++)
        append(w, &w->module->space->tensors[rows.tensor], rows.first + i);
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
