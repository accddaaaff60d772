#include "modules/shared/elementwise.h"

#include "math/gradients.h"

#include <string.h>

/* Floats of an item, small enough for the first-level cache. */
#define CHUNK_FLOATS 4096

const char *const nft_function_names[NFT_FUNCTION_COUNT] = {[NFT_RELU] = "relu",
                                                            [NFT_GELU] = "gelu",
                                                            [NFT_SIGMOID] = "sigmoid",
                                                            [NFT_TANH] = "tanh",
                                                            [NFT_SINE] = "sine"};

typedef void apply_function(int64_t n, const float *x, float *y);

typedef struct elementwise_call {
    apply_function *apply;
    int64_t count;
    const float *x, *addend;
    float *y;
} elementwise_call;

static void apply_chunk(void *argument, int64_t item, float *memory)
{
    (void)memory;
    const elementwise_call *call = argument;
    int64_t first = item * CHUNK_FLOATS;
    int64_t count = call->count - first < CHUNK_FLOATS ? call->count - first : CHUNK_FLOATS;
    call->apply(count, call->x + first, call->y + first);
    if (call->addend)
        nft_vector()->add(count, call->addend + first, call->y + first);
}

/* The kernel computes sine and cosine together. Numbers at a time of which one of the two is not needed. */
#define SINE_FLOATS 256

static void sine(int64_t n, const float *x, float *y)
{
    float cosine[SINE_FLOATS];
    for (int64_t first = 0; first < n; first += SINE_FLOATS)
        nft_vector()->sincos(n - first < SINE_FLOATS ? n - first : SINE_FLOATS, x + first, y + first, cosine);
}

static void sine_back(int64_t n, const float *x, const float *dy, float *dx)
{
    float sines[SINE_FLOATS], cosine[SINE_FLOATS];
    for (int64_t first = 0; first < n; first += SINE_FLOATS) {
        int64_t count = n - first < SINE_FLOATS ? n - first : SINE_FLOATS;
        nft_vector()->sincos(count, x + first, sines, cosine);
        nft_vector()->multiply(count, dy + first, cosine);
        memcpy(dx + first, cosine, (size_t)count * sizeof *dx);
    }
}

void nft_exec_elementwise(const nft_exec *exec, nft_function function, int64_t count, const float *x,
                          const float *addend, float *y)
{
    const nft_kernels *vector = nft_vector();
    apply_function *const functions[NFT_FUNCTION_COUNT] = {[NFT_RELU] = vector->relu,
                                                           [NFT_GELU] = vector->gelu,
                                                           [NFT_SIGMOID] = vector->sigmoid,
                                                           [NFT_TANH] = vector->tanh,
                                                           [NFT_SINE] = sine};
    elementwise_call call = {.apply = functions[function], .count = count, .x = x, .addend = addend, .y = y};
    nft_exec_for(exec, (count + CHUNK_FLOATS - 1) / CHUNK_FLOATS, apply_chunk, &call);
}

bool nft_function_keeps_output(nft_function function)
{
    return function == NFT_SIGMOID || function == NFT_TANH;
}

typedef void apply_derivative(int64_t n, const float *x, const float *dy, float *dx);

typedef struct derivative_call {
    apply_derivative *apply;
    int64_t count;
    const float *x, *dy;
    float *dx;
} derivative_call;

static void derive_chunk(void *argument, int64_t item, float *memory)
{
    (void)memory;
    const derivative_call *call = argument;
    int64_t first = item * CHUNK_FLOATS;
    int64_t count = call->count - first < CHUNK_FLOATS ? call->count - first : CHUNK_FLOATS;
    call->apply(count, call->x + first, call->dy + first, call->dx + first);
}

void nft_exec_elementwise_back(const nft_exec *exec, nft_function function, int64_t count, const float *x,
                               const float *dy, float *dx)
{
    const nft_gradient_kernels *vector = nft_vector_gradients();
    apply_derivative *const derivatives[NFT_FUNCTION_COUNT] = {[NFT_RELU] = vector->relu,
                                                               [NFT_GELU] = vector->gelu,
                                                               [NFT_SIGMOID] = vector->sigmoid,
                                                               [NFT_TANH] = vector->tanh,
                                                               [NFT_SINE] = sine_back};
    derivative_call call = {.apply = derivatives[function], .count = count, .x = x, .dy = dy, .dx = dx};
    nft_exec_for(exec, (count + CHUNK_FLOATS - 1) / CHUNK_FLOATS, derive_chunk, &call);
}

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    (void)module;
    (void)builder;
    (void)options;
    return NFT_OK;
}

static void apply(const nft_module *module, const nft_exec *exec, nft_function function, const float *in,
                  float *out)
{
    nft_exec_elementwise(exec, function, nft_value_floats(&module->in, module->space), in, NULL, out);
}

static void derive(const nft_module *module, const nft_exec *exec, nft_function function, const float *in,
                   const float *out, const float *grad_out, float *grad_in)
{
    nft_exec_elementwise_back(exec, function, nft_value_floats(&module->in, module->space),
                              nft_function_keeps_output(function) ? out : in, grad_out, grad_in);
}

static void relu_forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    apply(module, exec, NFT_RELU, in, out);
}

static void relu_backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                          const float *grad_out, float *grad_in)
{
    derive(module, exec, NFT_RELU, in, out, grad_out, grad_in);
}

static void gelu_forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    apply(module, exec, NFT_GELU, in, out);
}

static void gelu_backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                          const float *grad_out, float *grad_in)
{
    derive(module, exec, NFT_GELU, in, out, grad_out, grad_in);
}

static void sigmoid_forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    apply(module, exec, NFT_SIGMOID, in, out);
}

static void sigmoid_backward(const nft_module *module, const nft_exec *exec, const float *in,
                             const float *out, const float *grad_out, float *grad_in)
{
    derive(module, exec, NFT_SIGMOID, in, out, grad_out, grad_in);
}

static void tanh_forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    apply(module, exec, NFT_TANH, in, out);
}

static void tanh_backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                          const float *grad_out, float *grad_in)
{
    derive(module, exec, NFT_TANH, in, out, grad_out, grad_in);
}

static void sine_forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    apply(module, exec, NFT_SINE, in, out);
}

static void sine_backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                          const float *grad_out, float *grad_in)
{
    derive(module, exec, NFT_SINE, in, out, grad_out, grad_in);
}

const nft_module_class nft_module_relu = {.type = "relu",
                                          .in_place = true,
                                          .any_space = NFT_ANY_SPACE_ALWAYS,
                                          .configure = configure,
                                          .forward = relu_forward,
                                          .backward = relu_backward};
const nft_module_class nft_module_gelu = {.type = "gelu",
                                          .in_place = true,
                                          .any_space = NFT_ANY_SPACE_ALWAYS,
                                          .configure = configure,
                                          .forward = gelu_forward,
                                          .backward = gelu_backward};
const nft_module_class nft_module_sigmoid = {.type = "sigmoid",
                                             .in_place = true,
                                             .any_space = NFT_ANY_SPACE_ALWAYS,
                                             .configure = configure,
                                             .forward = sigmoid_forward,
                                             .backward = sigmoid_backward};
const nft_module_class nft_module_tanh = {.type = "tanh",
                                          .in_place = true,
                                          .any_space = NFT_ANY_SPACE_ALWAYS,
                                          .configure = configure,
                                          .forward = tanh_forward,
                                          .backward = tanh_backward};
const nft_module_class nft_module_sine = {.type = "sine",
                                          .in_place = true,
                                          .any_space = NFT_ANY_SPACE_ALWAYS,
                                          .configure = configure,
                                          .forward = sine_forward,
                                          .backward = sine_backward};
