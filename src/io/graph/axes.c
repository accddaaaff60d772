#include "io/graph/axes.h"

#include <inttypes.h>

#define MAX_DIMS (INT64_C(1) << 22)
#define MAX_LIST (INT64_C(1) << 16)  /* parts of one dimension */
#define MAX_TIMES 16                 /* that a sum is repeated */
#define MAX_STEPS (INT64_C(1) << 28) /* of all walks together: some seconds */

void nft_dims_clear(nft_dims *dims)
{
    nft_release(dims->items);
    nft_release(dims->children.items);
    nft_release(dims->pairs.items);
    nft_release(dims->stack.items);
    *dims = (nft_dims){0};
}

/* Counts work, so that no file can cause more work than any network needs. */
static bool step(nft_dims *dims)
{
    if (!dims->status && ++dims->steps > MAX_STEPS)
        dims->status = nft_fail(NFT_ERROR_LIMIT, "the graph joins and cuts axes more often than any network");
    return !dims->status;
}

void nft_dim_list_add(nft_dims *dims, nft_dim_list *list, int32_t dim)
{
    if (!dims->status && list->count == list->capacity)
        dims->status = nft_grow(&list->items, list->count + 1, &list->capacity, sizeof *list->items,
                                "a list of axes", 0);
    if (!dims->status)
        list->items[list->count++] = dim;
}

static int32_t add(nft_dims *dims, nft_dim dim)
{
    if (!dims->status && dims->count >= MAX_DIMS)
        dims->status = nft_fail(NFT_ERROR_LIMIT, "the graph has more than %" PRId64 " axes", MAX_DIMS);
    if (!dims->status && dims->count == dims->capacity)
        dims->status =
            nft_grow(&dims->items, dims->count + 1, &dims->capacity, sizeof dim, "a table of axes", 0);
    if (dims->status)
        return 0;
    dim.same = (int32_t)dims->count;
    dims->items[dims->count++] = dim;
    return dim.same;
}

int32_t nft_dims_leaf(nft_dims *dims, int64_t size)
{
    return add(dims, (nft_dim){.kind = NFT_DIM_LEAF, .size = size});
}

int32_t nft_dims_ordered(nft_dims *dims, int64_t size)
{
    return add(dims, (nft_dim){.kind = NFT_DIM_LEAF, .size = size, .ordered = true});
}

int32_t nft_dims_positions(nft_dims *dims, int64_t size)
{
    return add(dims, (nft_dim){.kind = NFT_DIM_LEAF, .size = size, .ordered = true, .positions = true});
}

int64_t nft_dims_size(const nft_dims *dims, int32_t dim)
{
    return dims->status ? 1 : dims->items[dim].size;
}

static void set_children(nft_dims *dims, nft_dim *dim, const int32_t *children, int64_t count,
                         int64_t without)
{
    dim->first = (int32_t)dims->children.count;
    for (int64_t i = 0; i < count; i++)
        if (nft_dims_size(dims, children[i]) != without)
            nft_dim_list_add(dims, &dims->children, children[i]);
    dim->count = (int32_t)(dims->children.count - dim->first);
    if (!dims->status && dims->children.count > MAX_DIMS)
        dims->status =
            nft_fail(NFT_ERROR_LIMIT, "the graph has more than %" PRId64 " parts of axes", MAX_DIMS);
}

/* A dimension of the children that are not left out: the child itself if only one is left. */
static int32_t compose(nft_dims *dims, nft_dim_kind kind, const int32_t *children, int64_t count)
{
    int64_t neutral = kind == NFT_DIM_PRODUCT;
    nft_dim dim = {.kind = kind, .size = neutral};
    set_children(dims, &dim, children, count, neutral);
    if (dims->status)
        return 0;
    if (dim.count == 0)
        return count ? children[count - 1] : nft_dims_leaf(dims, neutral);
    if (dim.count == 1)
        return dims->children.items[dim.first];
    for (int32_t i = 0; i < dim.count; i++) {
        int64_t size = nft_dims_size(dims, dims->children.items[dim.first + i]);
        dim.size = neutral ? nft_size_multiply(dim.size, size) : nft_size_add(dim.size, size);
    }
    return add(dims, dim);
}

int32_t nft_dims_product(nft_dims *dims, const int32_t *factors, int64_t count)
{
    return compose(dims, NFT_DIM_PRODUCT, factors, count);
}

int32_t nft_dims_sum(nft_dims *dims, const int32_t *parts, int64_t count)
{
    return compose(dims, NFT_DIM_SUM, parts, count);
}

int32_t nft_dims_find(nft_dims *dims, int32_t dim)
{
    if (dims->status)
        return 0;
    while (dims->items[dim].same != dim) {
        dims->items[dim].same = dims->items[dims->items[dim].same].same;
        dim = dims->items[dim].same;
    }
    return dim;
}

static void push_children(nft_dims *dims, const nft_dim *dim)
{
    for (int32_t i = dim->count - 1; i >= 0 && !dims->status; i--)
        nft_dim_list_add(dims, &dims->stack, dims->children.items[dim->first + i]);
}

/* A dimension that is ordered everywhere needs no structure: it becomes a leaf. */
void nft_dims_order(nft_dims *dims, int32_t dim)
{
    int64_t bottom = dims->stack.count;
    nft_dim_list_add(dims, &dims->stack, dim);
    while (dims->stack.count > bottom && step(dims)) {
        nft_dim *top = &dims->items[nft_dims_find(dims, dims->stack.items[--dims->stack.count])];
        if (top->kind != NFT_DIM_LEAF)
            push_children(dims, top);
        dims->orderings += !top->ordered;
        top->kind = NFT_DIM_LEAF;
        top->ordered = true;
    }
}

void nft_dims_order_all(nft_dims *dims)
{
    for (int64_t i = 0; i < dims->count && !dims->status; i++)
        nft_dims_order(dims, (int32_t)i);
}

bool nft_dims_are_ordered(nft_dims *dims, int32_t dim)
{
    int64_t bottom = dims->stack.count;
    bool ordered = true;
    nft_dim_list_add(dims, &dims->stack, dim);
    while (dims->stack.count > bottom && step(dims)) {
        const nft_dim *top = &dims->items[nft_dims_find(dims, dims->stack.items[--dims->stack.count])];
        if (top->kind != NFT_DIM_LEAF)
            push_children(dims, top);
        else
            ordered = ordered && (top->ordered || top->size == 1);
    }
    dims->stack.count = dims->status ? dims->stack.count : bottom;
    return ordered;
}

static void add_factors(nft_dims *dims, int32_t dim, nft_dim_list *list)
{
    int64_t bottom = dims->stack.count;
    nft_dim_list_add(dims, &dims->stack, dim);
    while (dims->stack.count > bottom && step(dims)) {
        int32_t top = nft_dims_find(dims, dims->stack.items[--dims->stack.count]);
        if (dims->items[top].kind == NFT_DIM_PRODUCT)
            push_children(dims, &dims->items[top]);
        else
            nft_dim_list_add(dims, list, top);
    }
}

void nft_dims_factors(nft_dims *dims, int32_t dim, nft_dim_list *list)
{
    add_factors(dims, dim, list);
}

/* Factor `at` of a product is a sum, and those before it are given: before · (a + b) · behind is the sum of
 * before · a · behind and before · b · behind only if `before` is empty; with n ordered places before it, it
 * is that sum n times. */
static void expand(nft_dims *dims, int32_t product, const nft_dim_list *factors, int64_t at, int64_t times)
{
    nft_dim sum = dims->items[factors->items[at]];
    nft_dim_list parts = {0}, own = {0};
    for (int32_t i = 0; i < sum.count && step(dims); i++) {
        own.count = 0;
        nft_dim_list_add(dims, &own, dims->children.items[sum.first + i]);
        for (int64_t k = at + 1; k < factors->count; k++)
            nft_dim_list_add(dims, &own, factors->items[k]);
        nft_dim_list_add(dims, &parts, nft_dims_product(dims, own.items, own.count));
    }
    int64_t once = parts.count;
    for (int64_t i = once; i < once * times && step(dims); i++)
        nft_dim_list_add(dims, &parts, parts.items[i - once]);
    if (!dims->status) {
        nft_dim whole = dims->items[product];
        whole.kind = NFT_DIM_SUM;
        set_children(dims, &whole, parts.items, parts.count, 0);
        dims->items[product] = whole;
    }
    nft_release(parts.items);
    nft_release(own.items);
}

/* A product that begins with a sum is a sum. */
static void expose(nft_dims *dims, int32_t dim)
{
    if (dims->status || dims->items[dim].kind != NFT_DIM_PRODUCT)
        return;
    nft_dim_list factors = {0};
    add_factors(dims, dim, &factors);
    if (!dims->status && factors.items && dims->items[factors.items[0]].kind == NFT_DIM_SUM)
        expand(dims, dim, &factors, 0, 1);
    nft_release(factors.items);
}

/* The structure of an ordered dimension does not matter. */
static void order_if_all_are(nft_dims *dims, int32_t dim)
{
    if (!dims->status && dims->items[dim].kind != NFT_DIM_LEAF && nft_dims_are_ordered(dims, dim))
        nft_dims_order(dims, dim);
}

bool nft_dims_distribute(nft_dims *dims, int32_t dim)
{
    nft_dim_list factors = {0};
    int64_t at = 0, times = 1;
    add_factors(dims, dim, &factors);
    for (int64_t i = 0; i < factors.count && !dims->status; i++)
        order_if_all_are(dims, factors.items[i]);
    for (; at < factors.count && !dims->status && dims->items[factors.items[at]].kind == NFT_DIM_LEAF; at++)
        times = nft_size_multiply(times, nft_dims_size(dims, factors.items[at]));
    bool few = times <= MAX_TIMES;
    for (int64_t i = 0; i < at && at < factors.count && few; i++)
        nft_dims_order(dims, factors.items[i]);
    if (!dims->status && at < factors.count && few)
        expand(dims, dim, &factors, at, times);
    nft_release(factors.items);
    return few || at == factors.count;
}

void nft_dims_parts(nft_dims *dims, int32_t dim, nft_dim_list *list)
{
    int64_t bottom = dims->stack.count, first = list->count;
    nft_dim_list_add(dims, &dims->stack, dim);
    while (dims->stack.count > bottom && step(dims)) {
        int32_t top = nft_dims_find(dims, dims->stack.items[--dims->stack.count]);
        expose(dims, top);
        if (dims->status)
            return;
        if (dims->items[top].kind == NFT_DIM_SUM)
            push_children(dims, &dims->items[top]);
        else
            nft_dim_list_add(dims, list, top);
        if (list->count - first > MAX_LIST)
            dims->status = nft_fail(NFT_ERROR_LIMIT,
                                    "the graph cuts an axis into more than %" PRId64 " parts", MAX_LIST);
    }
}

static void push_pair(nft_dims *dims, int32_t a, int32_t b)
{
    nft_dim_list_add(dims, &dims->pairs, a);
    nft_dim_list_add(dims, &dims->pairs, b);
}

/* Leaf `dim` becomes a product or a sum of leaves of two sizes. */
static void divide(nft_dims *dims, int32_t dim, nft_dim_kind kind, int64_t first, int64_t second)
{
    nft_dim whole = dims->items[dim];
    int32_t children[2];
    for (int i = 0; i < 2; i++) {
        children[i] = nft_dims_leaf(dims, i ? second : first);
        if (dims->status)
            return;
        dims->items[children[i]].ordered = whole.ordered;
        dims->items[children[i]].positions = whole.positions;
        dims->items[children[i]].hint = whole.hint;
        dims->items[children[i]].is_output = whole.is_output;
    }
    whole.kind = kind;
    set_children(dims, &whole, children, 2, -1);
    if (!dims->status)
        dims->items[dim] = whole;
}

/* Cuts a part of a sum in two; false if its structure has no place for the cut. */
static bool cut(nft_dims *dims, int32_t dim, int64_t first)
{
    nft_dim_list factors = {0};
    add_factors(dims, dim, &factors);
    int64_t rest = 1;
    for (int64_t i = 1; i < factors.count && !dims->status; i++)
        rest = nft_size_multiply(rest, nft_dims_size(dims, factors.items[i]));
    int32_t leading = dims->status || !factors.items ? 0 : factors.items[0];
    nft_release(factors.items);
    if (dims->status || first % rest || dims->items[leading].kind != NFT_DIM_LEAF)
        return false;
    divide(dims, leading, NFT_DIM_SUM, first / rest, dims->items[leading].size - first / rest);
    expose(dims, dim);
    return true;
}

static void order_both(nft_dims *dims, int32_t a, int32_t b)
{
    nft_dims_order(dims, a);
    nft_dims_order(dims, b);
}

static void align_sums(nft_dims *dims, int32_t a, int32_t b, const nft_dim_list *x, const nft_dim_list *y)
{
    for (int64_t i = 0; i < x->count && i < y->count && step(dims); i++) {
        int64_t p = nft_dims_size(dims, x->items[i]), q = nft_dims_size(dims, y->items[i]);
        if (p == q)
            continue;
        if (cut(dims, p > q ? x->items[i] : y->items[i], p > q ? q : p))
            push_pair(dims, a, b);
        else
            order_both(dims, a, b);
        return;
    }
    for (int64_t i = 0; i < x->count && i < y->count; i++)
        push_pair(dims, x->items[i], y->items[i]);
}

static void align_products(nft_dims *dims, int32_t a, int32_t b, const nft_dim_list *x, const nft_dim_list *y)
{
    for (int64_t i = 0; i < x->count && i < y->count && step(dims); i++) {
        int64_t p = nft_dims_size(dims, x->items[i]), q = nft_dims_size(dims, y->items[i]);
        int32_t larger = p > q ? x->items[i] : y->items[i];
        int64_t most = p > q ? p : q, least = p > q ? q : p;
        if (p == q)
            continue;
        order_if_all_are(dims, larger);
        if (most % least || dims->items[larger].kind != NFT_DIM_LEAF) {
            order_both(dims, a, b);
            return;
        }
        divide(dims, larger, NFT_DIM_PRODUCT, least, most / least);
        push_pair(dims, a, b);
        return;
    }
    for (int64_t i = 0; i < x->count && i < y->count; i++)
        push_pair(dims, x->items[i], y->items[i]);
}

/* Cuts the first factor of a product where the parts of a sum end. Where no part of it is larger than 1, the
 * first factor only counts the parts, and is ordered. */
static void align_mixed(nft_dims *dims, int32_t sum, int32_t product, const nft_dim_list *parts,
                        const nft_dim_list *factors)
{
    if (!factors->items || !parts->items)
        return;
    int32_t leading = factors->items[0];
    int64_t first = nft_dims_size(dims, leading), rest = dims->items[product].size / first, end = 0, i = 0;
    do
        end += nft_dims_size(dims, parts->items[i++]);
    while (end % rest && i < parts->count);
    if (end == dims->items[product].size) {
        order_both(dims, sum, product);
        return;
    }
    divide(dims, leading, NFT_DIM_SUM, end / rest, first - end / rest);
    expose(dims, product);
    push_pair(dims, sum, product);
}

static void align(nft_dims *dims, int32_t a, int32_t b)
{
    nft_dim_list x = {0}, y = {0};
    bool sums[2] = {dims->items[a].kind == NFT_DIM_SUM, dims->items[b].kind == NFT_DIM_SUM};
    (sums[0] ? nft_dims_parts : nft_dims_factors)(dims, a, &x);
    (sums[1] ? nft_dims_parts : nft_dims_factors)(dims, b, &y);
    if (!dims->status && sums[0] && sums[1])
        align_sums(dims, a, b, &x, &y);
    else if (!dims->status && !sums[0] && !sums[1])
        align_products(dims, a, b, &x, &y);
    else if (!dims->status && sums[0])
        align_mixed(dims, a, b, &x, &y);
    else if (!dims->status)
        align_mixed(dims, b, a, &y, &x);
    nft_release(x.items);
    nft_release(y.items);
}

/* A leaf takes the structure of the other side. */
static void replace(nft_dims *dims, int32_t leaf, int32_t by)
{
    nft_dim *from = &dims->items[leaf], *to = &dims->items[by];
    from->same = by;
    to->positions |= from->positions;
    to->channels |= from->channels;
    if (!to->hint) {
        to->hint = from->hint;
        to->is_output = from->is_output;
    }
    if (from->ordered)
        nft_dims_order(dims, by);
}

static void unite_once(nft_dims *dims, int32_t a, int32_t b)
{
    a = nft_dims_find(dims, a);
    b = nft_dims_find(dims, b);
    if (dims->status || a == b)
        return;
    if (dims->items[a].size != dims->items[b].size)
        order_both(dims, a, b);
    else if (dims->items[a].kind == NFT_DIM_LEAF)
        replace(dims, a, b);
    else if (dims->items[b].kind == NFT_DIM_LEAF)
        replace(dims, b, a);
    else {
        expose(dims, a);
        expose(dims, b);
        if (!dims->status)
            align(dims, a, b);
    }
}

void nft_dims_unite(nft_dims *dims, int32_t a, int32_t b)
{
    int64_t bottom = dims->pairs.count;
    push_pair(dims, a, b);
    while (dims->pairs.count > bottom && step(dims)) {
        dims->pairs.count -= 2;
        unite_once(dims, dims->pairs.items[dims->pairs.count], dims->pairs.items[dims->pairs.count + 1]);
    }
}
