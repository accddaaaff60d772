#include "io/graph/pieces.h"

void nft_pieces_clear(nft_pieces *pieces)
{
    nft_release(pieces->items);
    nft_release(pieces->parts.items);
    *pieces = (nft_pieces){0};
}

/* Whether a part is a product of leaves; if not, it becomes a sum of such, or ordered. */
static bool is_simple(nft_dims *dims, int32_t part)
{
    nft_dim_list factors = {0};
    bool simple = true;
    nft_dims_factors(dims, part, &factors);
    for (int64_t k = 0; k < factors.count && !dims->status; k++)
        simple = simple && dims->items[factors.items[k]].kind != NFT_DIM_SUM;
    nft_release(factors.items);
    if (!simple && !nft_dims_distribute(dims, part))
        nft_dims_order(dims, part);
    return simple;
}

static void list_parts(nft_pieces *pieces, nft_dims *dims, int32_t dim)
{
    bool simple = false;
    while (!simple && !dims->status) {
        simple = true;
        pieces->parts.count = 0;
        nft_dims_parts(dims, dim, &pieces->parts);
        for (int64_t i = 0; i < pieces->parts.count && simple && !dims->status; i++)
            simple = is_simple(dims, pieces->parts.items[i]);
    }
}

static void add(nft_pieces *pieces, nft_dims *dims, nft_piece piece)
{
    nft_piece *last = pieces->items && pieces->count ? &pieces->items[pieces->count - 1] : NULL;
    if (last && last->ordered && piece.ordered) {
        last->size += piece.size;
        last->dim = -1;
        return;
    }
    if (!dims->status && (!pieces->items || pieces->count == pieces->capacity))
        dims->status = nft_grow(&pieces->items, pieces->count + 1, &pieces->capacity, sizeof piece,
                                "the parts of an axis", 0);
    if (!dims->status)
        pieces->items[pieces->count++] = piece;
}

/* The same part n times is a product with n positions, which needs no cut. */
static void join_equal(nft_pieces *pieces, nft_dims *dims)
{
    int32_t first = pieces->count > 1 ? pieces->items[0].dim : -1;
    for (int64_t i = 0; i < pieces->count && first >= 0; i++)
        if (pieces->items[i].dim < 0 ||
            nft_dims_find(dims, pieces->items[i].dim) != nft_dims_find(dims, first))
            first = -1;
    if (first < 0 || dims->status)
        return;
    int32_t factors[2] = {nft_dims_positions(dims, pieces->count), first};
    pieces->items[0].dim = nft_dims_product(dims, factors, 2);
    pieces->items[0].size *= pieces->count;
    pieces->count = 1;
}

void nft_pieces_list(nft_pieces *pieces, nft_graph *graph, int32_t dim)
{
    nft_dims *dims = &graph->dims;
    int64_t start = 0;
    pieces->count = 0;
    list_parts(pieces, dims, dim);
    for (int64_t i = 0; i < pieces->parts.count && !dims->status; i++) {
        int32_t part = pieces->parts.items[i];
        int64_t size = nft_dims_size(dims, part);
        add(pieces, dims, (nft_piece){start, size, part, nft_dims_are_ordered(dims, part)});
        start += size;
    }
    join_equal(pieces, dims);
}

static int64_t count_free(const nft_pieces *pieces)
{
    int64_t count = 0;
    for (int64_t i = 0; i < pieces->count; i++)
        count += pieces->items[i].ordered ? 0 : pieces->items[i].size;
    return count;
}

/* Several dimensions may have several pieces. The one with most neurons to permute is cut; the others become
 * ordered. Returns it, or -1. */
static int64_t cut_once(nft_pieces *pieces, nft_graph *graph, const nft_graph_value *value)
{
    int64_t most = 0, cut = -1;
    for (int64_t d = 0; d < value->rank; d++) {
        nft_pieces_list(pieces, graph, value->dims[d]);
        if (pieces->count < 2)
            continue;
        int64_t free = count_free(pieces), loser = cut < 0 ? -1 : free > most ? cut : d;
        if (loser >= 0)
            nft_dims_order(&graph->dims, value->dims[loser]);
        if (loser != d) {
            cut = d;
            most = free;
        }
    }
    return cut;
}

/* The factors of one piece of a tensor, each with its freedom to be permuted. */
typedef struct load {
    int64_t axes, factors;
    int32_t smallest;
} load;

static void add_load(load *l, nft_dims *dims, int32_t dim)
{
    nft_dim_list factors = {0};
    nft_dims_factors(dims, dim, &factors);
    for (int64_t k = 0; k < factors.count && !dims->status; k++) {
        const nft_dim *leaf = &dims->items[factors.items[k]];
        l->factors++;
        if (leaf->ordered || leaf->size == 1)
            continue;
        l->axes++;
        if (l->smallest < 0 || leaf->size < dims->items[l->smallest].size)
            l->smallest = factors.items[k];
    }
    nft_release(factors.items);
}

/* The largest load of any piece: every dimension is one piece but for the one that is cut. */
static load find_load(nft_pieces *pieces, nft_graph *graph, const nft_graph_value *value, int64_t cut)
{
    load common = {.smallest = -1};
    for (int64_t d = 0; d < value->rank && !graph->dims.status; d++)
        if (d != cut)
            add_load(&common, &graph->dims, value->dims[d]);
    load worst = common;
    if (cut < 0)
        return worst;
    nft_pieces_list(pieces, graph, value->dims[cut]);
    for (int64_t i = 0; i < pieces->count && !graph->dims.status; i++) {
        load own = common;
        own.factors++;
        if (pieces->items[i].dim >= 0)
            add_load(&own, &graph->dims, pieces->items[i].dim);
        if (own.axes > worst.axes || (own.axes == worst.axes && own.factors > worst.factors))
            worst = own;
    }
    return worst;
}

static void settle(nft_pieces *pieces, nft_graph *graph, const nft_graph_value *value)
{
    int64_t cut = cut_once(pieces, graph, value);
    load worst = find_load(pieces, graph, value, cut);
    while (!graph->dims.status &&
           (worst.axes > NFT_TENSOR_MAX_AXES || worst.factors > NFT_TENSOR_MAX_FACTORS)) {
        if (worst.smallest < 0)
            break;
        nft_dims_order(&graph->dims, worst.smallest);
        worst = find_load(pieces, graph, value, cut);
    }
}

void nft_graph_settle(nft_graph *graph)
{
    nft_pieces pieces = {0};
    int64_t before = -1;
    while (before != graph->dims.orderings && !graph->dims.status) {
        before = graph->dims.orderings;
        for (int64_t v = 0; v < graph->value_count && !graph->dims.status; v++)
            if (graph->values[v].is_weight && graph->values[v].is_known)
                settle(&pieces, graph, &graph->values[v]);
    }
    nft_pieces_clear(&pieces);
}
