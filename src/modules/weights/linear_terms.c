/* Lists of terms: inputs, views and terms, then their parameters and memory. */
#include "modules/weights/linear_terms.h"
#include "modules/sequence/tokens.h"
#include "modules/weights/features.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

nft_status nft_terms_open(nft_linear_terms *terms, const nft_module *module, const nft_builder *builder,
                          bool hidden)
{
    const nft_space *space = builder->space;
    *terms = (nft_linear_terms){.space = space,
                                .channels = builder->value.channels,
                                .out_channels = module->out.channels,
                                .positions_first = hidden && space->layer_count > 0,
                                .memory_limit = builder->memory_limit};
    int64_t capacity = 0;
    nft_status status = nft_grow(&terms->tensors, space->tensor_count, &capacity, sizeof *terms->tensors,
                                 builder->where, builder->memory_limit);
    for (int64_t t = 0; t < space->tensor_count && !status; t++) {
        const nft_tensor *tensor = &space->tensors[t];
        nft_term_tensor *of = &terms->tensors[t];
        of->channels = hidden ? nft_ordered_dims(space, tensor) : 0;
        of->dense = nft_dims_tokens(tensor, of->channels) == 1;
        of->features = nft_features_of(&builder->arrives, tensor, terms->channels);
        of->whole = of->sum = -1;
    }
    return status;
}

void nft_terms_release(nft_linear_terms *terms)
{
    nft_release(terms->tensors);
    nft_release(terms->inputs);
    nft_release(terms->views);
    nft_release(terms->terms);
}

/* Room for one more element of a list; false after a failure. */
static bool grow(nft_linear_terms *terms, void *array, int64_t count, int64_t *capacity, size_t size)
{
    if (!terms->status)
        terms->status =
            nft_grow(array, count + 1, capacity, size, "the terms of a linear layer", terms->memory_limit);
    return !terms->status;
}

int64_t nft_terms_input(nft_linear_terms *terms)
{
    if (!grow(terms, &terms->inputs, terms->input_count, &terms->input_capacity, sizeof *terms->inputs))
        return 0;
    terms->inputs[terms->input_count] =
        (nft_term_input){.first_view = terms->view_count, .first_term = -1, .last_term = -1};
    return terms->input_count++;
}

void nft_terms_view(nft_linear_terms *terms, int64_t tensor, nft_dims rows, nft_dims channels)
{
    if (!grow(terms, &terms->views, terms->view_count, &terms->view_capacity, sizeof *terms->views))
        return;
    nft_term_view *view = &terms->views[terms->view_count++];
    view->view = (nft_tensor_view){.tensor = tensor, .rows = rows, .channels = channels};
    terms->inputs[terms->input_count - 1].view_count++;
}

void nft_terms_add(nft_linear_terms *terms, int64_t tensor, nft_dims rows, int64_t input, int ones,
                   const char *name_format, ...)
{
    if (!grow(terms, &terms->terms, terms->term_count, &terms->term_capacity, sizeof *terms->terms))
        return;
    nft_term *term = &terms->terms[terms->term_count++];
    *term = (nft_term){.tensor = tensor, .rows = rows, .input = input, .ones = ones, .next = -1};
    va_list arguments;
    va_start(arguments, name_format);
    vsnprintf(term->name, sizeof term->name, name_format, arguments);
    va_end(arguments);
}

void nft_terms_own_fan(nft_linear_terms *terms)
{
    if (!terms->status)
        terms->terms[terms->term_count - 1].own_fan = true;
}

/* --- the plan --- */

/* Sizes of all inputs, and which means they need. */
static void measure_inputs(nft_linear_terms *terms)
{
    const nft_space *space = terms->space;
    for (int64_t t = 0; t < space->tensor_count; t++) {
        const nft_tensor *tensor = &space->tensors[t];
        nft_term_tensor *of = &terms->tensors[t];
        int64_t out_width = nft_tensor_width(tensor, terms->out_channels);
        nft_margins_open(&of->means, tensor, nft_tensor_width(tensor, terms->channels));
        nft_margins_open(&of->terms, tensor, out_width);
        nft_margins_open(&of->sums, tensor, out_width);
    }
    for (int64_t i = 0; i < terms->input_count; i++) {
        nft_term_input *input = &terms->inputs[i];
        for (int64_t v = input->first_view; v < input->first_view + input->view_count; v++) {
            nft_term_view *view = &terms->views[v];
            nft_margins *means = &terms->tensors[view->view.tensor].means;
            nft_dims kept = view->view.rows | view->view.channels;
            view->layout = nft_view_layout_of(space, &view->view, terms->channels, terms->positions_first);
            input->rows = view->layout.rows;
            input->width = nft_size_add(input->width, view->layout.entries);
            if (kept != means->all)
                nft_margins_need(means, kept);
        }
    }
    terms->global = terms->input_count - 1;
}

/* Adds term `index` to those that read its input; returns the input's width. */
static int64_t add_reader(nft_linear_terms *terms, int64_t index)
{
    nft_term_input *input = &terms->inputs[terms->terms[index].input];
    if (input->first_term < 0)
        input->first_term = index;
    else
        terms->terms[input->last_term].next = index;
    input->last_term = index;
    return input->width;
}

/* Sizes of all maps, and which margins the terms are. */
static void measure_terms(nft_linear_terms *terms)
{
    for (int64_t i = 0; i < terms->term_count; i++) {
        nft_term *term = &terms->terms[i];
        nft_term_tensor *of = &terms->tensors[term->tensor];
        nft_tensor_view view = {.tensor = term->tensor, .rows = term->rows, .channels = of->channels};
        nft_dims kept = term->rows | of->channels;
        term->layout = nft_view_layout_of(terms->space, &view, terms->out_channels, terms->positions_first);
        term->map.outputs = term->layout.entries;
        if (term->input == NFT_INPUT_GLOBAL)
            term->input = terms->global;
        term->map.inputs = term->input == NFT_INPUT_SELF ? of->means.width : add_reader(terms, i);
        of->fan = nft_size_add(of->fan, term->map.inputs);
        if (of->term_count++ == 0)
            of->first_term = i;
        if (term->rows == 0)
            of->sum = i;
        if (kept == of->terms.all) {
            of->whole = i;
        } else {
            nft_margins_need(&of->terms, kept);
            nft_margins_need(&of->sums, kept);
        }
    }
}

static nft_status declare_map(nft_builder *builder, nft_term *term, int64_t fan, nft_terms_init init)
{
    char weight[NFT_TERM_NAME + 8], bias[NFT_TERM_NAME + 8];
    int64_t outputs = term->map.outputs, inputs = term->map.inputs;
    if (inputs > NFT_GEMM_MAX_SIZE || outputs > NFT_GEMM_MAX_SIZE)
        return nft_fail(NFT_ERROR_LIMIT,
                        "%s: %s would map %" PRId64 " numbers to %" PRId64 ", at most %" PRId64
                        " are possible",
                        builder->where, term->name, inputs, outputs, NFT_GEMM_MAX_SIZE);
    snprintf(weight, sizeof weight, "%s.weight", term->name);
    snprintf(bias, sizeof bias, "%s.bias", term->name);
    bool kaiming = init == NFT_TERMS_KAIMING;
    nft_init uniform = nft_init_fan(term->own_fan ? inputs : fan);
    return nft_map_add_as(builder, &term->map, outputs, inputs, term->ones,
                          kaiming ? nft_init_normal(sqrt(2 / (double)fan)) : uniform, weight,
                          kaiming ? nft_init_constant(0) : uniform, bias);
}

static void reserve_tensors(nft_linear_terms *terms, nft_builder *builder)
{
    for (int64_t t = 0; t < terms->space->tensor_count; t++) {
        nft_term_tensor *of = &terms->tensors[t];
        nft_margins_reserve(&of->means, builder, NFT_ARENA_CALL, NFT_ARENA_CALL);
        nft_margins_pair(&of->means, builder);
        nft_margins_reserve(&of->terms, builder, NFT_ARENA_CALL, NFT_ARENA_CALL);
        nft_margins_reserve(&of->sums, builder, of->dense ? NFT_ARENA_BACKWARD : NFT_ARENA_TRAINING,
                            NFT_ARENA_TRAINING);
    }
}

static void reserve_inputs(nft_linear_terms *terms, nft_builder *builder)
{
    int64_t largest = 0;
    for (int64_t i = 0; i < terms->input_count; i++) {
        nft_term_input *input = &terms->inputs[i];
        int64_t floats = nft_size_multiply(input->rows, input->width);
        largest = floats > largest ? floats : largest;
        input->x = nft_reserve(builder, NFT_ARENA_KEPT, input->rows, input->width);
    }
    terms->dx = nft_reserve(builder, NFT_ARENA_TRAINING, 1, largest);
}

/* Places of dy: in a dense tensor the sums are that already. */
static void reserve_terms(nft_linear_terms *terms, nft_builder *builder)
{
    int64_t mapped = 0;
    for (int64_t i = 0; i < terms->term_count; i++) {
        nft_term *term = &terms->terms[i];
        const nft_term_tensor *of = &terms->tensors[term->tensor];
        const nft_margin *sum = &of->sums.of[term->rows | of->channels];
        if (of->dense && i != of->whole)
            term->dy =
                nft_buffer_part(&sum->values, 0, term->layout.rows, term->map.outputs, term->map.outputs);
        else
            term->dy = nft_reserve(builder, NFT_ARENA_BACKWARD, term->layout.rows, term->map.outputs);
        int64_t chunk = nft_size_multiply(nft_chunk_rows(term->layout.rows), term->map.outputs);
        if (!of->dense && chunk > mapped)
            mapped = chunk;
    }
    terms->mapped = nft_reserve(builder, NFT_ARENA_ITEM, 1, mapped);
}

static nft_status declare_gradients(nft_linear_terms *terms, nft_builder *builder)
{
    nft_status status = NFT_OK;
    for (int64_t i = 0; i < terms->term_count && !status; i++) {
        const nft_term *term = &terms->terms[i];
        const nft_term_tensor *of = &terms->tensors[term->tensor];
        if (term->input != NFT_INPUT_SELF) {
            status = nft_gradient_of_map(builder, &term->map, &terms->inputs[term->input].x, &term->dy);
            continue;
        }
        status = nft_gradient_of_weight(builder, &term->map, &of->features, &term->dy);
        if (!status)
            status = nft_gradient_of_bias(builder, &term->map, &terms->terms[of->sum].dy);
    }
    return status;
}

nft_status nft_terms_plan(nft_linear_terms *terms, nft_module *module, nft_builder *builder,
                          nft_terms_init init)
{
    if (terms->status)
        return terms->status;
    measure_inputs(terms);
    measure_terms(terms);
    for (int64_t i = 0; i < terms->term_count; i++) {
        nft_term *term = &terms->terms[i];
        nft_status status = declare_map(builder, term, terms->tensors[term->tensor].fan, init);
        if (status)
            return status;
        module->flops = nft_size_add(module->flops, nft_map_flops(&term->map, term->layout.rows));
    }
    reserve_tensors(terms, builder);
    reserve_inputs(terms, builder);
    reserve_terms(terms, builder);
    return declare_gradients(terms, builder);
}
