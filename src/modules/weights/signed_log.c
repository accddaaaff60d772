/* signed_log: sign(x) log(1 + |x|) of the features of some roles' tensors, whose tails are long. */
#include "modules/weights/features.h"

#include <math.h>
#include <string.h>

typedef struct state {
    bool roles[NFT_ROLE_COUNT]; /* the others' tensors stay as they are */
} state;

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    const char *names[NFT_ROLE_COUNT];
    nft_status status = nft_require_kind(builder, NFT_VALUE_FEATURES);
    if (status || (status = nft_module_state(module, sizeof(state))))
        return status;
    state *own = module->state;
    own->roles[NFT_ROLE_RUNNING_MEAN - 1] = own->roles[NFT_ROLE_RUNNING_VAR - 1] = true;
    for (int role = 0; role < NFT_ROLE_COUNT; role++)
        names[role] = nft_role_name(role);
    return nft_options_choices(options, "roles", false, names, NFT_ROLE_COUNT, own->roles);
}

typedef struct work {
    const nft_module *module;
    const float *x, *dy; /* dy in backward */
    float *y;            /* the features; in backward the gradient of x */
} work;

/* Rows of one tensor, and where they begin in the features. */
static bool rows_of(const work *w, int64_t item, int64_t *start, int64_t *count)
{
    const nft_space *space = w->module->space;
    int64_t channels = w->module->in.channels;
    nft_rows rows = nft_rows_at(space, item);
    const nft_tensor *tensor = &space->tensors[rows.tensor];
    int64_t width = nft_tensor_width(tensor, channels);
    *start = tensor->offset * channels + rows.first * width;
    *count = rows.count * width;
    return ((const state *)w->module->state)->roles[tensor->role];
}

static void apply(void *argument, int64_t item, float *memory)
{
    (void)memory;
    const work *w = argument;
    int64_t start, count;
    bool chosen = rows_of(w, item, &start, &count);
    const float *x = w->x + start;
    float *y = w->y + start;
    if (!chosen && x != y)
        memcpy(y, x, (size_t)count * sizeof *y);
    for (int64_t i = 0; i < count && chosen; i++)
        y[i] = copysignf(log1pf(fabsf(x[i])), x[i]);
}

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    work w = {.module = module, .x = in, .y = out};
    nft_exec_for(exec, nft_rows_count(module->space), apply, &w);
}

/* dx = dy / (1 + |x|) */
static void derive(void *argument, int64_t item, float *memory)
{
    (void)memory;
    const work *w = argument;
    int64_t start, count;
    bool chosen = rows_of(w, item, &start, &count);
    const float *x = w->x + start, *dy = w->dy + start;
    float *dx = w->y + start;
    if (!chosen)
        memcpy(dx, dy, (size_t)count * sizeof *dx);
    for (int64_t i = 0; i < count && chosen; i++)
        dx[i] = dy[i] / (1 + fabsf(x[i]));
}

static void backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                     const float *grad_out, float *grad_in)
{
    (void)out;
    work w = {.module = module, .x = in, .dy = grad_out, .y = grad_in};
    nft_exec_for(exec, nft_rows_count(module->space), derive, &w);
}

const nft_module_class nft_module_signed_log = {.type = "signed_log",
                                                .in_place = true,
                                                .any_space = NFT_ANY_SPACE_ALWAYS,
                                                .configure = configure,
                                                .forward = forward,
                                                .backward = backward};
