/* Forward and backward of a list of terms. */
#include "modules/weights/linear_terms.h"

#include <string.h>

/* The input of the terms for a tensor: `in`, or its embedded copy. */
static const float *features_of(const nft_linear_terms *terms, const nft_exec *exec, const float *in,
                                int64_t tensor)
{
    const nft_term_tensor *of = &terms->tensors[tensor];
    return of->embedded ? nft_at(exec, &of->features)
                        : in + terms->space->tensors[tensor].offset * terms->channels;
}

/* --- rows of views --- */

typedef struct view_rows {
    const nft_view_layout *layout;
    const float *margin;
    float *rows;
} view_rows;

static void get_chunk(void *argument, int64_t item, float *item_memory)
{
    (void)item_memory;
    const view_rows *call = argument;
    int64_t first, count;
    nft_chunk(call->layout->rows, item, &first, &count);
    int64_t entries = call->layout->entries;
    nft_view_get(call->layout, first, count, call->margin, call->rows + first * entries, entries);
}

/* rows (rows, entries) of a view of the margin */
static void get_rows(const nft_exec *exec, const nft_view_layout *layout, const float *margin, float *rows)
{
    view_rows call = {layout, margin, rows};
    nft_exec_for(exec, nft_chunk_count(layout->rows), get_chunk, &call);
}

typedef struct input_call {
    const nft_linear_terms *terms;
    const nft_exec *exec;
    const nft_term_input *input;
    const float *in; /* of gather */
    float *grad_in;  /* of scatter */
} input_call;

static void gather_chunk(void *argument, int64_t item, float *item_memory)
{
    (void)item_memory;
    const input_call *call = argument;
    const nft_term_input *input = call->input;
    int64_t first, count, at = 0;
    nft_chunk(input->rows, item, &first, &count);
    for (int64_t v = 0; v < input->view_count; v++) {
        const nft_term_view *view = &call->terms->views[input->first_view + v];
        const nft_margins *means = &call->terms->tensors[view->view.tensor].means;
        nft_dims kept = view->view.rows | view->view.channels;
        const float *margin = kept == means->all
                                  ? features_of(call->terms, call->exec, call->in, view->view.tensor)
                                  : nft_margin_at(means, call->exec, kept);
        nft_view_get(&view->layout, first, count, margin,
                     nft_at(call->exec, &input->x) + first * input->width + at, input->width);
        at += view->layout.entries;
    }
}

/* The transpose: adds the rows of dx to the gradients of the means and of the tensors. No place occurs in two
 * rows. */
static void scatter_chunk(void *argument, int64_t item, float *item_memory)
{
    (void)item_memory;
    const input_call *call = argument;
    const nft_linear_terms *terms = call->terms;
    const nft_term_input *input = call->input;
    int64_t first, count, at = 0;
    nft_chunk(input->rows, item, &first, &count);
    for (int64_t v = 0; v < input->view_count; v++) {
        const nft_term_view *view = &terms->views[input->first_view + v];
        const nft_margins *means = &terms->tensors[view->view.tensor].means;
        nft_dims kept = view->view.rows | view->view.channels;
        float *margin = kept == means->all ? call->grad_in + means->tensor->offset * terms->channels
                                           : nft_margin_at(means, call->exec, kept);
        nft_view_add(&view->layout, first, count, nft_at(call->exec, &terms->dx) + first * input->width + at,
                     input->width, margin);
        at += view->layout.entries;
    }
}

/* --- forward --- */

typedef struct term_call {
    const nft_linear_terms *terms;
    const nft_exec *exec;
    const nft_term *term;
    const float *x;
    float *y;
} term_call;

/* Rows of a term that are not tokens: its product, put in place. */
static void put_chunk(void *argument, int64_t item, float *item_memory)
{
    const term_call *call = argument;
    const nft_map *map = &call->term->map;
    const nft_view_layout *layout = &call->term->layout;
    int64_t first, count;
    nft_chunk(layout->rows, item, &first, &count);
    float *mapped = nft_in_item(item_memory, &call->terms->mapped);
    nft_map_rows(call->exec, map, count, call->x + first * map->inputs, map->inputs, mapped, map->outputs,
                 NFT_MAP_SET);
    nft_view_put(layout, first, count, mapped, map->outputs, call->y);
}

/* Tokens of the term that sets a dense tensor, and while they are in cache the other terms. */
static void token_chunk(void *argument, int64_t item, float *item_memory)
{
    (void)item_memory;
    const term_call *call = argument;
    const nft_map *map = &call->term->map;
    int64_t first, count;
    nft_chunk(call->term->layout.rows, item, &first, &count);
    float *y = call->y + first * map->outputs;
    nft_map_rows(call->exec, map, count, call->x + first * map->inputs, map->inputs, y, map->outputs,
                 NFT_MAP_SET);
    nft_margins_spread_rows(&call->terms->tensors[call->term->tensor].terms, call->exec, first, count, y);
}

static term_call call_of(const nft_linear_terms *terms, const nft_exec *exec, const float *in,
                         const nft_term *term, float *y)
{
    const float *x = term->input == NFT_INPUT_SELF ? features_of(terms, exec, in, term->tensor)
                                                   : nft_at(exec, &terms->inputs[term->input].x);
    return (term_call){.terms = terms, .exec = exec, .term = term, .x = x, .y = y};
}

/* y_t = Σ broadcast(map(input)) */
static void tensor_forward(const nft_linear_terms *terms, const nft_exec *exec, const float *in,
                           const nft_term_tensor *of, float *y)
{
    for (int64_t i = of->first_term; i < of->first_term + of->term_count; i++) {
        const nft_term *term = &terms->terms[i];
        if (i == of->whole)
            continue;
        term_call call =
            call_of(terms, exec, in, term, nft_margin_at(&of->terms, exec, term->rows | of->channels));
        if (of->dense)
            nft_exec_linear(exec, &term->map, term->layout.rows, call.x, call.y, NFT_MAP_SET);
        else
            nft_exec_for(exec, nft_chunk_count(term->layout.rows), put_chunk, &call);
    }
    nft_margins_clear_others(&of->terms, exec);
    nft_margins_join(&of->terms, exec);
    term_call whole = call_of(terms, exec, in, &terms->terms[of->whole], y);
    nft_exec_for(exec, nft_chunk_count(whole.term->layout.rows), of->dense ? token_chunk : put_chunk, &whole);
    if (!of->dense)
        nft_margins_spread(&of->terms, exec, y);
}

void nft_terms_forward(const nft_linear_terms *terms, const nft_exec *exec, const float *in, float *out)
{
    const nft_space *space = terms->space;
    for (int64_t t = 0; t < space->tensor_count; t++)
        nft_margins_reduce(&terms->tensors[t].means, exec, NFT_MEANS, features_of(terms, exec, in, t));
    for (int64_t i = 0; i < terms->input_count; i++) {
        input_call call = {.terms = terms, .exec = exec, .input = &terms->inputs[i], .in = in};
        nft_exec_for(exec, nft_chunk_count(call.input->rows), gather_chunk, &call);
    }
    for (int64_t t = 0; t < space->tensor_count; t++)
        tensor_forward(terms, exec, in, &terms->tensors[t],
                       out + space->tensors[t].offset * terms->out_channels);
}

/* --- backward --- */

static bool is_self(const nft_linear_terms *terms, const nft_term_tensor *of)
{
    return terms->terms[of->whole].input == NFT_INPUT_SELF;
}

/* A term that was broadcast gets the sum of the gradient over where it went. */
static void set_term_gradients(const nft_linear_terms *terms, const nft_exec *exec, const nft_term_tensor *of,
                               const float *grad_out)
{
    nft_margins_reduce(&of->sums, exec, NFT_SUMS, grad_out);
    for (int64_t i = of->first_term; i < of->first_term + of->term_count; i++) {
        const nft_term *term = &terms->terms[i];
        bool is_there = i == of->whole ? is_self(terms, of) : of->dense;
        if (!is_there)
            get_rows(exec, &term->layout,
                     i == of->whole ? grad_out : nft_margin_at(&of->sums, exec, term->rows | of->channels),
                     nft_at(exec, &term->dy));
    }
}

/* The gradient of an input, through all maps that read it, to the means and tensors that it came from. */
static void input_backward(const nft_linear_terms *terms, const nft_exec *exec, const nft_term_input *input,
                           float *grad_in)
{
    nft_map_mode mode = NFT_MAP_SET;
    for (int64_t i = input->first_term; i >= 0; i = terms->terms[i].next) {
        const nft_term *term = &terms->terms[i];
        nft_exec_linear_back(exec, &term->map, term->layout.rows, nft_at(exec, &term->dy),
                             nft_at(exec, &terms->dx), mode);
        mode = NFT_MAP_ADD;
    }
    input_call call = {.terms = terms, .exec = exec, .input = input, .grad_in = grad_in};
    if (input->first_term >= 0)
        nft_exec_for(exec, nft_chunk_count(input->rows), scatter_chunk, &call);
}

typedef struct self_call {
    const nft_linear_terms *terms;
    const nft_exec *exec;
    const nft_term_tensor *of;
    const float *grad_out;
    float *grad_in;
} self_call;

/* Tokens of a tensor's gradient through its own map, and while they are in cache that of its means. */
static void self_chunk(void *argument, int64_t item, float *item_memory)
{
    (void)item_memory;
    const self_call *call = argument;
    const nft_term *term = &call->terms->terms[call->of->whole];
    int64_t first, count, inputs = term->map.inputs, outputs = term->map.outputs;
    nft_chunk(term->layout.rows, item, &first, &count);
    float *dy = nft_at(call->exec, &term->dy) + first * outputs, *dx = call->grad_in + first * inputs;
    memcpy(dy, call->grad_out + first * outputs, (size_t)(count * outputs) * sizeof *dy);
    nft_map_rows_back(call->exec, &term->map, count, dy, outputs, dx, inputs, NFT_MAP_SET);
    nft_margins_spread_rows(&call->of->means, call->exec, first, count, dx);
}

static void tensor_backward(const nft_linear_terms *terms, const nft_exec *exec, const nft_term_tensor *of,
                            const float *grad_out, float *grad_in)
{
    nft_margins_share(&of->means, exec);
    nft_margins_join(&of->means, exec);
    if (!is_self(terms, of)) {
        nft_margins_spread(&of->means, exec, grad_in);
        return;
    }
    self_call call = {terms, exec, of, grad_out, grad_in};
    nft_exec_for(exec, nft_chunk_count(terms->terms[of->whole].layout.rows), self_chunk, &call);
}

/* First the gradients of all means, which tensors take from each other, then those of the tensors. */
void nft_terms_backward(const nft_linear_terms *terms, const nft_exec *exec, const float *grad_out,
                        float *grad_in)
{
    const nft_space *space = terms->space;
    for (int64_t t = 0; t < space->tensor_count; t++) {
        const nft_term_tensor *of = &terms->tensors[t];
        int64_t offset = space->tensors[t].offset;
        set_term_gradients(terms, exec, of, grad_out + offset * terms->out_channels);
        nft_margins_clear_all(&of->means, exec);
        if (!is_self(terms, of))
            memset(grad_in + offset * terms->channels, 0,
                   (size_t)(space->tensors[t].tokens * of->means.width) * sizeof *grad_in);
    }
    for (int64_t i = 0; i < terms->input_count; i++)
        input_backward(terms, exec, &terms->inputs[i], grad_in);
    for (int64_t t = 0; t < space->tensor_count; t++) {
        int64_t offset = space->tensors[t].offset;
        tensor_backward(terms, exec, &terms->tensors[t], grad_out + offset * terms->out_channels,
                        grad_in + offset * terms->channels);
    }
}
