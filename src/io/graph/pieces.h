/* Dimensions of weights in the form that a space has: pieces one behind the other, each a product. */
#ifndef NFT_IO_GRAPH_PIECES_H
#define NFT_IO_GRAPH_PIECES_H

#include "io/graph/graph.h"

typedef struct nft_piece {
    int64_t start, size;
    int32_t dim;  /* -1: several that are ordered */
    bool ordered; /* nothing in it may be permuted */
} nft_piece;

typedef struct nft_pieces {
    nft_piece *items;
    int64_t count, capacity;
    nft_dim_list parts; /* work */
} nft_pieces;

void nft_pieces_clear(nft_pieces *pieces);
/* The pieces of a dimension; ordered neighbours are one piece. Parts that a space cannot express become
 * ordered. */
void nft_pieces_list(nft_pieces *pieces, nft_graph *graph, int32_t dim);

/* Orders dimensions that a space cannot express. A space cuts a tensor only along one dimension, and each of
 * its pieces has at most four axes. */
void nft_graph_settle(nft_graph *graph);

#endif
