/* siren_phases: the phases ωv of a SIREN's hidden neurons on the circle, so that no interval has a border.
 *
 * form "plain": channels (v, sin ωv, cos ωv) of a hidden bias, (x, 0, 0) of any other number.
 *
 * form "even": sine is odd and periodic, so neuron i keeps its function when its row, its bias and its column
 * change their signs, or when its phase moves by half a period and its column changes its sign. These numbers
 * do not see either: (cos 2ωv, 0) of a hidden bias, (v, v²) of the last biases, and of a weight W_i[r, c]
 * (W_i[r, c] · sin 2ωv_i[r] · sin ωv_{i-1}[c], W_i[r, c]²), where a neuron that is not hidden has the
 * factor 1. */
#include "modules/weights/features.h"

typedef struct state {
    double omega;
    bool even;
    nft_buffer sine, cosine; /* CALL: of the phases of all hidden neurons, layer after layer */
} state;

static int64_t hidden_neurons(const nft_space *space)
{
    int64_t neurons = 0;
    for (int64_t i = 0; i + 1 < space->layer_count; i++)
        neurons = nft_size_add(neurons, space->layers[i].out);
    return neurons;
}

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    static const char *const forms[] = {"plain", "even"};
    double omega = 30;
    int form = 0;
    nft_status status;
    if ((status = nft_require_sirens(builder)) ||
        (status = nft_options_number(options, "omega", false, 1e-6, 1e6, &omega)) ||
        (status = nft_options_choice(options, "form", false, forms, 2, &form)) ||
        (status = nft_module_state(module, sizeof(state))))
        return status;
    state *own = module->state;
    int64_t neurons = hidden_neurons(builder->space);
    own->omega = omega;
    own->even = form == 1;
    own->sine = nft_reserve(builder, NFT_ARENA_CALL, 1, neurons);
    own->cosine = nft_reserve(builder, NFT_ARENA_CALL, 1, neurons);
    module->out.channels = own->even ? 2 : 3;
    return NFT_OK;
}

/* One layer of a sample: pointers to its numbers, and to the phases of the neurons on its two sides. */
typedef struct layer {
    int64_t in, out;
    int64_t weight, bias;          /* where they begin among the network's numbers */
    const float *sine, *cosine;    /* (out), NULL in the last layer */
    const float *before, *turning; /* (in): sine and cosine of the layer before, NULL in the first */
} layer;

static layer layer_at(const nft_module *module, const float *sine, const float *cosine, int64_t i)
{
    const nft_space *space = module->space;
    layer l = {.in = space->layers[i].in,
               .out = space->layers[i].out,
               .weight = space->tensors[NFT_WEIGHT_OF(i)].offset,
               .bias = space->tensors[NFT_BIAS_OF(i)].offset};
    int64_t first = 0;
    for (int64_t k = 0; k < i; k++)
        first += space->layers[k].out;
    if (i + 1 < space->layer_count) {
        l.sine = sine + first;
        l.cosine = cosine + first;
    }
    if (i > 0) {
        l.before = sine + first - l.in;
        l.turning = cosine + first - l.in;
    }
    return l;
}

static void find_phases(const nft_module *module, const nft_exec *exec, const float *in)
{
    const state *own = module->state;
    const nft_space *space = module->space;
    float *sine = nft_at(exec, &own->sine), *cosine = nft_at(exec, &own->cosine);
    for (int64_t i = 0; i + 1 < space->layer_count; i++) {
        int64_t out = space->layers[i].out;
        nft_vector()->copy_scaled(out, (float)own->omega, in + space->tensors[NFT_BIAS_OF(i)].offset, sine);
        nft_vector()->sincos(out, sine, sine, cosine);
        sine += out;
        cosine += out;
    }
}

static void plain_layer(const layer *l, const float *in, float *out)
{
    for (int64_t k = l->weight; k < l->weight + l->in * l->out; k++) {
        out[3 * k] = in[k];
        out[3 * k + 1] = out[3 * k + 2] = 0;
    }
    for (int64_t r = 0; r < l->out; r++) {
        float *y = out + 3 * (l->bias + r);
        y[0] = in[l->bias + r];
        y[1] = l->sine ? l->sine[r] : 0;
        y[2] = l->sine ? l->cosine[r] : 0;
    }
}

static float row_factor(const layer *l, int64_t r)
{
    return l->sine ? 2 * l->sine[r] * l->cosine[r] : 1;
}

static float column_factor(const layer *l, int64_t c)
{
    return l->before ? l->before[c] : 1;
}

static void even_layer(const layer *l, const float *in, float *out)
{
    for (int64_t r = 0; r < l->out; r++) {
        const float *w = in + l->weight + r * l->in, v = in[l->bias + r];
        float *y = out + 2 * (l->weight + r * l->in), *of_bias = out + 2 * (l->bias + r);
        float factor = row_factor(l, r);
        for (int64_t c = 0; c < l->in; c++) {
            y[2 * c] = w[c] * factor * column_factor(l, c);
            y[2 * c + 1] = w[c] * w[c];
        }
        of_bias[0] = l->sine ? 1 - 2 * l->sine[r] * l->sine[r] : v;
        of_bias[1] = l->sine ? 0 : v * v;
    }
}

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    const state *own = module->state;
    find_phases(module, exec, in);
    for (int64_t i = 0; i < module->space->layer_count; i++) {
        layer l = layer_at(module, nft_at(exec, &own->sine), nft_at(exec, &own->cosine), i);
        if (own->even)
            even_layer(&l, in, out);
        else
            plain_layer(&l, in, out);
    }
}

/* d sin ωv = ω cos ωv, d cos ωv = -ω sin ωv */
static void plain_layer_back(const layer *l, float omega, const float *dy, float *dx)
{
    for (int64_t k = l->weight; k < l->weight + l->in * l->out; k++)
        dx[k] = dy[3 * k];
    for (int64_t r = 0; r < l->out; r++) {
        const float *d = dy + 3 * (l->bias + r);
        float turn = l->sine ? d[1] * l->cosine[r] - d[2] * l->sine[r] : 0;
        dx[l->bias + r] = d[0] + omega * turn;
    }
}

/* The gradient of the layer's weights and biases, and the part of the weights' channels in the gradient of
 * the biases of the layer before. */
static void even_layer_back(const layer *l, float omega, const float *in, const float *dy, float *dx,
                            float *dbefore)
{
    for (int64_t r = 0; r < l->out; r++) {
        const float *w = in + l->weight + r * l->in, *d = dy + 2 * (l->weight + r * l->in);
        const float *of_bias = dy + 2 * (l->bias + r);
        float *dw = dx + l->weight + r * l->in, factor = row_factor(l, r), through = 0;
        for (int64_t c = 0; c < l->in; c++) {
            float product = d[2 * c] * w[c], column = column_factor(l, c);
            dw[c] = d[2 * c] * factor * column + 2 * w[c] * d[2 * c + 1];
            through += product * column;
            if (l->before)
                dbefore[c] += omega * product * factor * l->turning[c];
        }
        if (l->sine) /* d sin 2ωv = 2ω cos 2ωv, d cos 2ωv = -2ω sin 2ωv */
            dx[l->bias + r] = 2 * omega * (through * (1 - 2 * l->sine[r] * l->sine[r]) - of_bias[0] * factor);
        else
            dx[l->bias + r] = of_bias[0] + 2 * in[l->bias + r] * of_bias[1];
    }
}

static void backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                     const float *grad_out, float *grad_in)
{
    (void)out;
    const state *own = module->state;
    const nft_space *space = module->space;
    float omega = (float)own->omega;
    find_phases(module, exec, in);
    for (int64_t i = 0; i < space->layer_count; i++) {
        layer l = layer_at(module, nft_at(exec, &own->sine), nft_at(exec, &own->cosine), i);
        if (own->even)
            even_layer_back(&l, omega, in, grad_out, grad_in,
                            i ? grad_in + space->tensors[NFT_BIAS_OF(i - 1)].offset : NULL);
        else
            plain_layer_back(&l, omega, grad_out, grad_in);
    }
}

const nft_module_class nft_module_siren_phases = {.type = "siren_phases",
                                                  .any_space = NFT_ANY_SPACE_NEVER,
                                                  .configure = configure,
                                                  .forward = forward,
                                                  .backward = backward};
