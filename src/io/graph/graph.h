/* The graph of a model in ONNX: its values with their dimensions, and one operator at a time. Operators are
 * read in the order of the file, in which every value is made before it is used. */
#ifndef NFT_IO_GRAPH_GRAPH_H
#define NFT_IO_GRAPH_GRAPH_H

#include "io/file.h"
#include "io/graph/axes.h"
#include "nft/space.h"

#define NFT_GRAPH_MAX_RANK 12
#define NFT_GRAPH_MAX_NUMBERS 65536 /* of an integer constant whose values are kept */
#define NFT_GRAPH_MAX_SIZE INT64_C(0x7fffffff)

typedef struct nft_graph_value {
    char *name;
    bool is_made;   /* an operator, an input or a constant gave it its shape */
    bool is_known;  /* the shape is known: rank and dims */
    bool is_late;   /* used before it was made, so it is ordered when it is */
    int32_t source; /* of an output that is not described: ordered with it if it is used; -1: none */
    bool is_zero;   /* a small constant of zeros */
    bool is_weight; /* an initializer of floats: a tensor of the space */
    bool is_used;
    int64_t rank;
    int32_t dims[NFT_GRAPH_MAX_RANK];
    int64_t *numbers; /* of an integer constant; NULL if they are not known */
    int64_t number_count;
    int64_t said_rank; /* of value_info; -1 if there is none */
    int64_t said[NFT_GRAPH_MAX_RANK];
} nft_graph_value;

typedef struct nft_attribute {
    char name[32];
    int64_t first, count; /* numbers, in nft_node.numbers */
    char text[256];
    int32_t tensor; /* a value that holds it; -1: none */
} nft_attribute;

typedef struct nft_node {
    char op[64];
    bool is_foreign;           /* of another domain than ONNX's own */
    bool has_graph;            /* a loop or a branch */
    int32_t *inputs, *outputs; /* values; -1 for one that is left out */
    int64_t input_count, input_capacity, output_count, output_capacity;
    nft_attribute *attributes;
    int64_t attribute_count, attribute_capacity;
    int64_t *numbers;
    int64_t number_count, number_capacity;
} nft_node;

typedef struct nft_graph {
    nft_dims dims; /* its status is the graph's */
    nft_graph_value *values;
    int64_t value_count, value_capacity;
    int32_t *slots; /* a hash table of the values' names; -1 is empty */
    int64_t slot_count;
    nft_dim_list used; /* values in the order in which operators use them first */
    int64_t node_count;
    int64_t strange;     /* operators that were not understood */
    char strange_op[64]; /* the first of them */
} nft_graph;

void nft_graph_clear(nft_graph *graph);
/* Reads the model at a source and unites its axes. `weights` names the tensors that are weights: the floats
 * of a state dict; NULL: every initializer of floats is one. */
nft_status nft_graph_read(nft_graph *graph, const nft_source *source, const nft_file *weights);

/* The value of a name, made when it is first asked for. -1 after a failure. */
int32_t nft_graph_find(nft_graph *graph, const char *name, size_t length);
/* An operator uses it. */
void nft_graph_use(nft_graph *graph, int32_t value);
/* Its shape is `rank` dimensions. */
void nft_graph_set(nft_graph *graph, int32_t value, int64_t rank, const int32_t *dims);
/* It is an integer constant; copies the numbers. Its shape is set already. */
void nft_graph_set_numbers(nft_graph *graph, int32_t value, const int64_t *numbers, int64_t count);
/* Unites the axes that pass through one operator, or orders them. */
void nft_graph_pass(nft_graph *graph, const nft_node *node);

/* The space of the weights. Values that stand for outputs are ordered by now. */
nft_status nft_graph_make_space(nft_space **space, nft_graph *graph);

/* The space of an open ONNX model; *space stays NULL if its graph has no operators. `weights` as above. */
nft_status nft_graph_space(nft_space **space, const nft_file *model, const nft_file *weights);

#endif
