#include "train/state.h"

#include <math.h>
#include <string.h>

nft_status nft_state_create(nft_state *state, nft_model *model, nft_model *auxiliary, double ema_decay)
{
    *state = (nft_state){.model = model, .auxiliary = auxiliary};
    nft_status status = nft_moments_create(&state->moments, model);
    if (!status && auxiliary)
        status = nft_moments_create(&state->auxiliary_moments, auxiliary);
    return status ? status : nft_average_create(&state->average, model, ema_decay);
}

void nft_state_clear(nft_state *state)
{
    nft_moments_clear(&state->moments);
    nft_moments_clear(&state->auxiliary_moments);
    nft_average_clear(&state->average);
    nft_release(state->best);
    *state = (nft_state){0};
}

void nft_state_update(nft_state *state, const nft_optimizer *optimizer, double lr, double scale,
                      const float *gradients, const float *auxiliary, nft_pool *pool)
{
    int64_t step = state->step + 1;
    float *values = state->model->values;
    nft_optimizer_update(optimizer, &state->moments, step, lr, scale, gradients, values, pool);
    nft_average_update(&state->average, &state->moments, step, values, pool);
    if (state->auxiliary)
        nft_optimizer_update(optimizer, &state->auxiliary_moments, step, lr, scale, auxiliary,
                             state->auxiliary->values, pool);
}

double nft_state_gradient_norm(const nft_state *state, const float *gradients, const float *auxiliary,
                               nft_pool *pool)
{
    double squares = nft_gradient_squares(&state->moments, gradients, pool);
    if (state->auxiliary)
        squares += nft_gradient_squares(&state->auxiliary_moments, auxiliary, pool);
    return sqrt(squares);
}

nft_status nft_state_reserve_best(nft_state *state)
{
    int64_t bytes = state->model->parameters.total * (int64_t)sizeof *state->best;
    if (state->best || (state->best = nft_allocate((size_t)bytes)))
        return NFT_OK;
    return nft_fail_memory("the best parameters", bytes);
}

void nft_state_take_loss(nft_state *state, double loss)
{
    state->owes_validation = false;
    if (state->has_best && loss >= state->best_loss)
        return;
    memcpy(state->best, nft_state_values(state),
           (size_t)state->model->parameters.total * sizeof *state->best);
    state->best_loss = loss;
    state->has_best = true;
}

void nft_state_forget_best(nft_state *state)
{
    state->has_best = false;
    state->stale = 0;
}

const float *nft_state_values(const nft_state *state)
{
    return state->average.values ? state->average.values : state->model->values;
}

nft_status nft_check_values_finite(const nft_model *model, const float *data, const char *what)
{
    const nft_parameters *table = &model->parameters;
    for (int64_t i = 0; i < table->count; i++)
        for (int64_t k = 0; k < table->items[i].count; k++)
            if (!isfinite(data[table->items[i].offset + k]))
                return nft_fail(NFT_ERROR_NOT_FINITE, "%s: '%s' has a number that is not finite", what,
                                table->items[i].name);
    return NFT_OK;
}
