#include "modules/weights/lift_roles.h"

#include <math.h>
#include <string.h>

/* How the positions of a tensor become places. */
typedef struct placing {
    int64_t positions, side; /* side² places */
    bool kernel;
    int64_t height, width; /* of the kernel */
} placing;

/* A place is the mean of `count` positions; of none it is 0. */
typedef struct part {
    int64_t first, count;
} part;

typedef struct lift_tensor {
    placing placing;
    int64_t role;
    int64_t width;               /* C · positions */
    int64_t packed, packed_back; /* where its packed weight begins among those of all tensors */
} lift_tensor;

typedef struct lift_map {
    nft_param weight, bias;
    nft_buffer weight_gradient, bias_gradient;
} lift_map;

struct nft_lift_roles {
    const nft_space *space, *lifted;
    int64_t channels, outputs, places;
    lift_map maps[NFT_ROLE_COUNT];
    nft_buffer narrow;      /* ITEM: a narrow weight, or its gradient */
    nft_buffer packed;      /* CALL: the packed narrow weights of all tensors */
    nft_buffer packed_back; /* TRAINING: their packed transposes */
    lift_tensor tensors[];
};

/* The positions of a kernel are dimensions that hold nothing else; those that are 1 do not count. */
static placing place(const nft_tensor *tensor, int64_t side)
{
    placing p = {.positions = tensor->positions, .side = side, .height = 1, .width = 1};
    int64_t alone = 1, dimensions = 0;
    bool fits = true;
    for (int64_t i = 0; i < tensor->factor_count; i++) {
        const nft_factor *factor = &tensor->declared[i];
        bool joined = factor->joined || (i + 1 < tensor->factor_count && tensor->declared[i + 1].joined);
        if (factor->axis >= 0 || joined || factor->positions == 1)
            continue;
        alone = nft_size_multiply(alone, factor->positions);
        fits = fits && factor->positions <= side && ++dimensions <= 2;
        p.height = p.width;
        p.width = factor->positions;
    }
    p.kernel = fits && alone == p.positions;
    return p;
}

static part part_at(const placing *p, int64_t index)
{
    int64_t places = p->side * p->side;
    if (!p->kernel) {
        int64_t first = index * p->positions / places;
        return (part){first, ((index + 1) * p->positions + places - 1) / places - first};
    }
    int64_t row = index / p->side - (p->side - p->height) / 2,
            column = index % p->side - (p->side - p->width) / 2;
    if (row < 0 || row >= p->height || column < 0 || column >= p->width)
        return (part){0, 0};
    return (part){row * p->width + column, 1};
}

/* narrow (rows, positions) from wide (rows, places). */
static void narrow_rows(const placing *p, int64_t rows, const float *wide, float *narrow)
{
    int64_t places = p->side * p->side;
    memset(narrow, 0, (size_t)(rows * p->positions) * sizeof *narrow);
    for (int64_t i = 0; i < places; i++) {
        part own = part_at(p, i);
        for (int64_t row = 0; row < rows && own.count; row++) {
            float share = wide[row * places + i] / (float)own.count;
            for (int64_t k = 0; k < own.count; k++)
                narrow[row * p->positions + own.first + k] += share;
        }
    }
}

/* Its adjoint: wide += that of narrow. */
static void widen_rows(const placing *p, int64_t rows, const float *narrow, float *wide)
{
    int64_t places = p->side * p->side;
    for (int64_t i = 0; i < places; i++) {
        part own = part_at(p, i);
        for (int64_t row = 0; row < rows && own.count; row++)
            wide[row * places + i] +=
                nft_vector()->sum(own.count, narrow + row * p->positions + own.first) / (float)own.count;
    }
}

static nft_status add_map(nft_lift_roles *roles, nft_builder *builder, int64_t role)
{
    char name[NFT_OWNER_NAME];
    lift_map *map = &roles->maps[role];
    int64_t inputs = nft_size_multiply(roles->channels, roles->places);
    nft_init init = nft_init_fan(inputs);
    nft_owner_name(name, builder, role, "maps", "maps", "maps");
    nft_status status = nft_parameter_add(builder, &map->weight, true, init, 2,
                                          NFT_SHAPE(roles->outputs, inputs), "%s.weight", name);
    return status ? status
                  : nft_parameter_add(builder, &map->bias, true, init, 1, NFT_SHAPE(roles->outputs),
                                      "%s.bias", name);
}

static int64_t packed_floats(int64_t outputs, int64_t inputs)
{
    return nft_packed_bytes(NFT_FORMAT_FLOAT, outputs, inputs) / (int64_t)sizeof(float);
}

static nft_status add_tensors(nft_lift_roles *roles, nft_module *module, nft_builder *builder)
{
    int64_t side = (int64_t)llround(sqrt((double)roles->places)), packed = 0, packed_back = 0;
    for (int64_t t = 0; t < roles->space->tensor_count; t++) {
        const nft_tensor *tensor = &roles->space->tensors[t];
        lift_tensor *own = &roles->tensors[t];
        lift_map *map = &roles->maps[nft_owner_of(builder, t)];
        *own = (lift_tensor){.placing = place(tensor, side),
                             .role = nft_owner_of(builder, t),
                             .width = nft_tensor_width(tensor, roles->channels)};
        own->packed = nft_take(&packed, packed_floats(roles->outputs, own->width));
        own->packed_back = nft_take(&packed_back, packed_floats(own->width, roles->outputs));
        module->flops =
            nft_size_add(module->flops, nft_product_flops(tensor->tokens, roles->outputs, own->width));
        nft_status status = nft_gradient_add(builder, &map->weight, &map->weight_gradient);
        if (status || (status = nft_gradient_add(builder, &map->bias, &map->bias_gradient)))
            return status;
    }
    roles->narrow = nft_reserve(builder, NFT_ARENA_ITEM, roles->outputs,
                                nft_widest_tensor(roles->space, roles->channels));
    roles->packed = nft_reserve(builder, NFT_ARENA_CALL, 1, packed);
    roles->packed_back = nft_reserve(builder, NFT_ARENA_TRAINING, 1, packed_back);
    return NFT_OK;
}

nft_status nft_lift_roles_configure(nft_lift_roles **out, nft_module *module, nft_builder *builder,
                                    int64_t places)
{
    const nft_space *space = builder->space;
    size_t bytes = sizeof(nft_lift_roles) + (size_t)space->tensor_count * sizeof(lift_tensor);
    nft_lift_roles *roles = *out = nft_allocate(bytes);
    if (!roles)
        return nft_fail_memory(builder->where, (int64_t)bytes);
    roles->space = space;
    roles->lifted = nft_space_lifted(space);
    roles->channels = module->in.channels;
    roles->outputs = module->out.channels;
    roles->places = places;
    nft_status status = nft_require_product_rows(builder, NFT_VALUE_FEATURES);
    for (int64_t role = 0; role < NFT_ROLE_COUNT && !status; role++)
        status = add_map(roles, builder, role);
    return status ? status : add_tensors(roles, module, builder);
}

typedef struct work {
    const nft_lift_roles *roles;
    const nft_exec *exec;
    const float *in, *gradient;
    float *out;
} work;

/* The narrow weight of one tensor, (outputs, width). */
static float *narrow_weight(const work *w, int64_t tensor, float *item_memory)
{
    const nft_lift_roles *roles = w->roles;
    const lift_tensor *own = &roles->tensors[tensor];
    float *narrow = nft_in_item(item_memory, &roles->narrow);
    narrow_rows(&own->placing, roles->outputs * roles->channels,
                nft_param_at(w->exec, &roles->maps[own->role].weight), narrow);
    return narrow;
}

static void pack_tensor(void *argument, int64_t tensor, float *item_memory)
{
    const work *w = argument;
    const lift_tensor *own = &w->roles->tensors[tensor];
    nft_pack(NFT_FORMAT_FLOAT, w->roles->outputs, own->width, narrow_weight(w, tensor, item_memory),
             nft_at(w->exec, &w->roles->packed) + own->packed);
}

static void pack_tensor_back(void *argument, int64_t tensor, float *item_memory)
{
    const work *w = argument;
    const lift_tensor *own = &w->roles->tensors[tensor];
    nft_pack_transpose(NFT_FORMAT_FLOAT, w->roles->outputs, own->width, narrow_weight(w, tensor, item_memory),
                       nft_at(w->exec, &w->roles->packed_back) + own->packed_back);
}

/* Where the rows of a chunk begin among the features that arrive, and among those that leave. */
static int64_t wide_start(const nft_lift_roles *roles, const nft_rows *rows)
{
    return roles->space->tensors[rows->tensor].offset * roles->channels +
           rows->first * roles->tensors[rows->tensor].width;
}

static int64_t lifted_start(const nft_lift_roles *roles, const nft_rows *rows)
{
    return (roles->lifted->tensors[rows->tensor].offset + rows->first) * roles->outputs;
}

static void chunk(void *argument, int64_t item, float *item_memory)
{
    (void)item_memory;
    const work *w = argument;
    const nft_lift_roles *roles = w->roles;
    nft_rows rows = nft_rows_at(roles->space, item);
    const lift_tensor *own = &roles->tensors[rows.tensor];
    nft_packed_linear(NFT_FORMAT_FLOAT, rows.count, own->width, roles->outputs,
                      nft_at(w->exec, &roles->packed) + own->packed,
                      nft_param_at(w->exec, &roles->maps[own->role].bias), w->in + wide_start(roles, &rows),
                      own->width, w->out + lifted_start(roles, &rows), roles->outputs, NFT_MAP_SET);
}

void nft_lift_roles_forward(const nft_lift_roles *roles, const nft_exec *exec, const float *in, float *out)
{
    work w = {.roles = roles, .exec = exec, .in = in, .out = out};
    nft_exec_for(exec, roles->space->tensor_count, pack_tensor, &w);
    nft_exec_for(exec, nft_rows_count(roles->space), chunk, &w);
}

/* A role is one item: its gradient is a sum over its tensors. */
static void back_role(void *argument, int64_t role, float *item_memory)
{
    const work *w = argument;
    const nft_lift_roles *roles = w->roles;
    const lift_map *map = &roles->maps[role];
    int64_t outputs = roles->outputs, C = roles->channels;
    float *narrow = nft_in_item(item_memory, &roles->narrow);
    bool first = true;
    for (int64_t t = 0; t < roles->space->tensor_count; t++) {
        const lift_tensor *own = &roles->tensors[t];
        if (own->role != role)
            continue;
        float *weight = nft_at(w->exec, &map->weight_gradient), *bias = nft_at(w->exec, &map->bias_gradient);
        if (first) {
            memset(weight, 0, (size_t)map->weight.count * sizeof *weight);
            memset(bias, 0, (size_t)map->bias.count * sizeof *bias);
            first = false;
        }
        int64_t tokens = roles->space->tensors[t].tokens;
        nft_rows all = {.tensor = t, .count = tokens};
        const float *dy = w->gradient + lifted_start(roles, &all);
        nft_weight_gradient(tokens, own->width, outputs, dy, outputs, w->in + wide_start(roles, &all),
                            own->width, false, narrow);
        widen_rows(&own->placing, outputs * C, narrow, weight);
        nft_vector()->sum_rows(tokens, outputs, dy, outputs, bias);
    }
}

static void chunk_back(void *argument, int64_t item, float *item_memory)
{
    (void)item_memory;
    const work *w = argument;
    const nft_lift_roles *roles = w->roles;
    nft_rows rows = nft_rows_at(roles->space, item);
    const lift_tensor *own = &roles->tensors[rows.tensor];
    nft_packed_linear(NFT_FORMAT_FLOAT, rows.count, roles->outputs, own->width,
                      nft_at(w->exec, &roles->packed_back) + own->packed_back, NULL,
                      w->gradient + lifted_start(roles, &rows), roles->outputs,
                      w->out + wide_start(roles, &rows), own->width, NFT_MAP_SET);
}

void nft_lift_roles_backward(const nft_lift_roles *roles, const nft_exec *exec, const float *in,
                             const float *grad_out, float *grad_in)
{
    work w = {.roles = roles, .exec = exec, .in = in, .gradient = grad_out, .out = grad_in};
    nft_exec_for(exec, NFT_ROLE_COUNT, back_role, &w);
    nft_exec_for(exec, roles->space->tensor_count, pack_tensor_back, &w);
    nft_exec_for(exec, nft_rows_count(roles->space), chunk_back, &w);
}
