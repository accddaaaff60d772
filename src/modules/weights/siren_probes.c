/* siren_probes: runs each network, a SIREN, at K learned coordinates (Kahana et al., "Deep Linear Probe
 * Generators for Weight Space Learning", 2024; Kofinas et al., "Graph Neural Networks for Learning
 * Equivariant Representations of Neural Networks", 2024). With x (n_0, K) the coordinates, h_{-1} = x and h_i
 * = sin(ω (W_i h_{i-1} + v_i)), the last layer without its sine:
 *
 * With a generator of width G the coordinates are not parameters themselves: x = generator (n_0, G) · codes
 * (G, K).
 *
 * form "outputs": the vector h_{L-1} (n_L, K).
 * form "features": channel 0 is the number itself, channel 1 + k of v_i[r] is h_i[r, k], and that of W_i[r,
 * c] is W_i[r, c] · h_{i-1}[c, k]. */
#include "modules/weights/features.h"
#include "siren/siren.h"

#include <string.h>

typedef struct state {
    int64_t probes; /* K */
    float omega;
    bool features;
    int64_t width;              /* of the generator; 0: there is none */
    nft_param coordinates;      /* (n_0, K), or: */
    nft_param generator, codes; /* (n_0, G), (G, K) */
    nft_buffer generator_gradient, codes_gradient;
    nft_buffer places;                           /* KEPT: the coordinates, (n_0, K) */
    nft_buffer gradient;                         /* of the coordinates, BACKWARD; with a generator TRAINING */
    nft_buffer sine;                             /* KEPT: h of all hidden neurons, (neurons, K) */
    nft_buffer cosine;                           /* KEPT: the cosines of the same angles */
    nft_buffer outputs;                          /* KEPT: (n_L, K) */
    nft_buffer hidden_gradient, output_gradient; /* TRAINING */
} state;

/* The generator's products have the variance of coordinates that are uniform in [-1, 1]. */
static nft_status add_coordinates(state *own, nft_builder *builder)
{
    int64_t n = builder->space->layers[0].in, K = own->probes, G = own->width;
    nft_status status;
    if (!G) {
        status = nft_parameter_add(builder, &own->coordinates, true, nft_init_uniform(1), 2, NFT_SHAPE(n, K),
                                   "coordinates");
        return status ? status : nft_gradient_add(builder, &own->coordinates, &own->gradient);
    }
    own->places = nft_reserve(builder, NFT_ARENA_KEPT, n, K);
    own->gradient = nft_reserve(builder, NFT_ARENA_TRAINING, n, K);
    if ((status = nft_parameter_add(builder, &own->generator, true, nft_init_fan(G), 2, NFT_SHAPE(n, G),
                                    "generator")) ||
        (status = nft_parameter_add(builder, &own->codes, true, nft_init_normal(1), 2, NFT_SHAPE(G, K),
                                    "codes")) ||
        (status = nft_gradient_add(builder, &own->generator, &own->generator_gradient)))
        return status;
    return nft_gradient_add(builder, &own->codes, &own->codes_gradient);
}

static nft_status plan(nft_module *module, nft_builder *builder)
{
    state *own = module->state;
    const nft_space *space = builder->space;
    int64_t K = own->probes, neurons = 0, products = 0;
    for (int64_t i = 0; i < space->layer_count; i++) {
        products = nft_size_add(products, nft_size_multiply(space->layers[i].in, space->layers[i].out));
        neurons = nft_size_add(neurons, i + 1 < space->layer_count ? space->layers[i].out : 0);
    }
    int64_t outputs = space->layers[space->layer_count - 1].out;
    own->sine = nft_reserve(builder, NFT_ARENA_KEPT, neurons, K);
    own->cosine = nft_reserve(builder, NFT_ARENA_KEPT, neurons, K);
    own->outputs = nft_reserve(builder, NFT_ARENA_KEPT, outputs, K);
    own->hidden_gradient = nft_reserve(builder, NFT_ARENA_TRAINING, neurons, K);
    own->output_gradient = nft_reserve(builder, NFT_ARENA_TRAINING, outputs, K);
    module->flops = nft_size_multiply(nft_size_multiply(2, products), K);
    if (own->features)
        module->out.channels = nft_size_add(K, 1);
    else
        module->out = (nft_value){.kind = NFT_VALUE_VECTOR, .channels = nft_size_multiply(outputs, K)};
    return add_coordinates(own, builder);
}

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    static const char *const forms[] = {"outputs", "features"};
    double omega = NFT_DEFAULT_OMEGA;
    int64_t probes = 0, width = 0;
    int form = 0;
    nft_status status;
    if ((status = nft_require_sirens(builder)) ||
        (status = nft_options_integer(options, "num_probes", true, 1, 1 << 20, &probes)) ||
        (status = nft_options_integer(options, "generator", false, 0, 1 << 16, &width)) ||
        (status = nft_options_number(options, "omega", false, 1e-6, 1e6, &omega)) ||
        (status = nft_options_choice(options, "form", false, forms, 2, &form)) ||
        (status = nft_module_state(module, sizeof(state))))
        return status;
    state *own = module->state;
    own->probes = probes;
    own->width = width;
    own->omega = (float)omega;
    own->features = form == 1;
    return plan(module, builder);
}

static const float *places_at(const state *own, const nft_exec *exec)
{
    return own->width ? nft_at(exec, &own->places) : nft_param_at(exec, &own->coordinates);
}

static void generate(const nft_module *module, const nft_exec *exec)
{
    const state *own = module->state;
    int64_t n = module->space->layers[0].in, K = own->probes, G = own->width;
    if (G)
        nft_gemm(NFT_NN, n, K, G, 1, nft_param_at(exec, &own->generator), G, nft_param_at(exec, &own->codes),
                 K, 0, nft_at(exec, &own->places), K);
}

/* dgenerator = dx codesᵀ, dcodes = generatorᵀ dx */
static void generate_back(const nft_module *module, const nft_exec *exec)
{
    const state *own = module->state;
    int64_t n = module->space->layers[0].in, K = own->probes, G = own->width;
    const float *dx = nft_at(exec, &own->gradient);
    if (!G)
        return;
    nft_gemm(NFT_NT, n, G, K, 1, dx, K, nft_param_at(exec, &own->codes), K, 0,
             nft_at(exec, &own->generator_gradient), G);
    nft_gemm(NFT_TN, G, K, n, 1, nft_param_at(exec, &own->generator), G, dx, K, 0,
             nft_at(exec, &own->codes_gradient), K);
}

/* One layer of a sample: its numbers, its input and its output. */
typedef struct layer {
    int64_t in, out;
    int64_t weight, bias;   /* where they begin among the network's numbers */
    float scale;            /* ω, 1 in the last layer */
    const float *x;         /* (in, K) */
    float *y, *cosine;      /* (out, K); no cosine in the last layer */
    float *grad_x, *grad_y; /* in backward */
} layer;

static layer layer_at(const nft_module *module, const nft_exec *exec, int64_t i, bool back)
{
    const state *own = module->state;
    const nft_space *space = module->space;
    const nft_layer *shape = &space->layers[i];
    bool last = i + 1 == space->layer_count;
    int64_t first = 0, K = own->probes;
    for (int64_t k = 0; k < i; k++)
        first += space->layers[k].out * K;
    int64_t before = first - shape->in * K;
    layer l = {.in = shape->in,
               .out = shape->out,
               .weight = space->tensors[NFT_WEIGHT_OF(i)].offset,
               .bias = space->tensors[NFT_BIAS_OF(i)].offset,
               .scale = last ? 1 : own->omega,
               .x = i ? nft_at(exec, &own->sine) + before : places_at(own, exec),
               .y = last ? nft_at(exec, &own->outputs) : nft_at(exec, &own->sine) + first,
               .cosine = last ? NULL : nft_at(exec, &own->cosine) + first};
    if (!back)
        return l;
    float *hidden = nft_at(exec, &own->hidden_gradient);
    l.grad_x = i ? hidden + before : nft_at(exec, &own->gradient);
    l.grad_y = last ? nft_at(exec, &own->output_gradient) : hidden + first;
    return l;
}

/* y = sin(scale (W x + v)) and its cosine, y = W x + v in the last layer. */
static void run_layer(const layer *l, int64_t K, const float *in)
{
    for (int64_t r = 0; r < l->out; r++)
        for (int64_t k = 0; k < K; k++)
            l->y[r * K + k] = l->scale * in[l->bias + r];
    nft_gemm(NFT_NN, l->out, K, l->in, l->scale, in + l->weight, l->in, l->x, K, 1, l->y, K);
    if (l->cosine)
        nft_vector()->sincos(l->out * K, l->y, l->y, l->cosine);
}

static void write_features(const layer *l, int64_t K, const float *in, float *out)
{
    int64_t width = 1 + K;
    for (int64_t r = 0; r < l->out; r++) {
        float *of_bias = out + (l->bias + r) * width;
        of_bias[0] = in[l->bias + r];
        memcpy(of_bias + 1, l->y + r * K, (size_t)K * sizeof *out);
        for (int64_t c = 0; c < l->in; c++) {
            int64_t number = l->weight + r * l->in + c;
            out[number * width] = in[number];
            nft_vector()->copy_scaled(K, in[number], l->x + c * K, out + number * width + 1);
        }
    }
}

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    const state *own = module->state;
    const nft_space *space = module->space;
    generate(module, exec);
    for (int64_t i = 0; i < space->layer_count; i++) {
        layer l = layer_at(module, exec, i, false);
        run_layer(&l, own->probes, in);
        if (own->features)
            write_features(&l, own->probes, in, out);
        else if (i + 1 == space->layer_count)
            memcpy(out, l.y, (size_t)(l.out * own->probes) * sizeof *out);
    }
}

/* From the gradient of the features: that of a layer's output, and those parts of the gradients of its input
 * and its numbers that do not go through the output. The layer before has begun its sum. */
static void read_features_gradient(const layer *l, int64_t K, const float *in, const float *dy, float *dx)
{
    int64_t width = 1 + K;
    for (int64_t r = 0; r < l->out; r++) {
        const float *of_bias = dy + (l->bias + r) * width;
        dx[l->bias + r] = of_bias[0];
        memcpy(l->grad_y + r * K, of_bias + 1, (size_t)K * sizeof *dy);
        for (int64_t c = 0; c < l->in; c++) {
            int64_t number = l->weight + r * l->in + c;
            const float *d = dy + number * width;
            float *grad_x = l->grad_x + c * K, value = in[number];
            dx[number] = d[0] + nft_vector()->dot(K, d + 1, l->x + c * K);
            for (int64_t k = 0; k < K; k++)
                grad_x[k] += value * d[1 + k];
        }
    }
}

/* The sums that backward adds to. */
static void begin_gradients(const nft_module *module, const nft_exec *exec, const float *in,
                            const float *grad_out, float *grad_in)
{
    const state *own = module->state;
    const nft_space *space = module->space;
    int64_t K = own->probes;
    memset(nft_at(exec, &own->gradient), 0, (size_t)(space->layers[0].in * K) * sizeof *grad_in);
    if (own->features) {
        for (int64_t i = 0; i < space->layer_count; i++) {
            layer l = layer_at(module, exec, i, true);
            read_features_gradient(&l, K, in, grad_out, grad_in);
        }
        return;
    }
    memset(nft_at(exec, &own->hidden_gradient), 0, (size_t)(own->sine.rows * K) * sizeof *grad_in);
    memcpy(nft_at(exec, &own->output_gradient), grad_out, (size_t)module->out.channels * sizeof *grad_in);
    memset(grad_in, 0, (size_t)space->numbers * sizeof *grad_in);
}

/* dz = scale cos · dy, dW += dz xᵀ, dv += Σ dz, dx += Wᵀ dz. */
static void layer_back(const layer *l, int64_t K, const float *in, float *grad_in)
{
    float *dz = l->grad_y;
    if (l->cosine) {
        nft_vector()->multiply(l->out * K, l->cosine, dz);
        nft_vector()->copy_scaled(l->out * K, l->scale, dz, dz);
    }
    for (int64_t r = 0; r < l->out; r++)
        grad_in[l->bias + r] += nft_vector()->sum(K, dz + r * K);
    nft_gemm(NFT_NT, l->out, l->in, K, 1, dz, K, l->x, K, 1, grad_in + l->weight, l->in);
    nft_gemm(NFT_TN, l->in, K, l->out, 1, in + l->weight, l->in, dz, K, 1, l->grad_x, K);
}

static void backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                     const float *grad_out, float *grad_in)
{
    (void)out;
    const state *own = module->state;
    begin_gradients(module, exec, in, grad_out, grad_in);
    for (int64_t i = module->space->layer_count - 1; i >= 0; i--) {
        layer l = layer_at(module, exec, i, true);
        layer_back(&l, own->probes, in, grad_in);
    }
    generate_back(module, exec);
}

const nft_module_class nft_module_siren_probes = {.type = "siren_probes",
                                                  .any_space = NFT_ANY_SPACE_NEVER,
                                                  .configure = configure,
                                                  .forward = forward,
                                                  .backward = backward};
