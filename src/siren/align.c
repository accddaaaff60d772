#include "siren/align.h"

#include "base/memory.h"
#include "siren/siren.h"

#include <math.h>
#include <string.h>

struct nft_siren_alignment {
    const nft_space *space; /* borrowed */
    int64_t most;           /* neurons of the widest hidden layer */
    double *costs;          /* (most, most): row of the network to be like, column of the other */
    double *row_price, *column_price, *slack;
    int64_t *row_of, *previous; /* of each column */
    bool *done;
    float *rows; /* of a tensor while it is ordered */
};

static int64_t widest(const nft_space *space)
{
    int64_t most = 0;
    for (int64_t l = 0; l + 1 < space->layer_count; l++)
        most = space->layers[l].out > most ? space->layers[l].out : most;
    return most;
}

static int64_t largest_tensor(const nft_space *space)
{
    int64_t most = 0;
    for (int64_t t = 0; t < space->tensor_count; t++)
        most = space->tensors[t].tokens > most ? space->tensors[t].tokens : most;
    return most;
}

int64_t nft_siren_alignment_bytes(const nft_space *space)
{
    int64_t n = nft_size_add(widest(space), 1);
    int64_t costs = nft_size_multiply(nft_size_multiply(n, n), sizeof(double)),
            vectors = nft_size_multiply(n, 3 * sizeof(double) + 2 * sizeof(int64_t) + sizeof(bool)),
            rows = nft_size_multiply(largest_tensor(space), sizeof(float));
    return nft_size_add(nft_size_add(costs, vectors), rows);
}

nft_status nft_siren_alignment_create(nft_siren_alignment **out, const nft_space *space)
{
    size_t n = (size_t)widest(space) + 1;
    *out = NULL;
    nft_siren_alignment *a = nft_allocate(sizeof *a);
    if (!a)
        return nft_fail_memory("an alignment", sizeof *a);
    a->space = space;
    a->most = (int64_t)n - 1;
    a->costs = nft_allocate_array(n * n, sizeof *a->costs);
    a->row_price = nft_allocate_array(n, sizeof *a->row_price);
    a->column_price = nft_allocate_array(n, sizeof *a->column_price);
    a->slack = nft_allocate_array(n, sizeof *a->slack);
    a->row_of = nft_allocate_array(n, sizeof *a->row_of);
    a->previous = nft_allocate_array(n, sizeof *a->previous);
    a->done = nft_allocate_array(n, sizeof *a->done);
    a->rows = nft_allocate_array((size_t)largest_tensor(space), sizeof *a->rows);
    if (!a->costs || !a->row_price || !a->column_price || !a->slack || !a->row_of || !a->previous ||
        !a->done || !a->rows) {
        nft_siren_alignment_free(a);
        return nft_fail_memory("an alignment", nft_siren_alignment_bytes(space));
    }
    *out = a;
    return NFT_OK;
}

void nft_siren_alignment_free(nft_siren_alignment *a)
{
    if (!a)
        return;
    nft_release(a->costs);
    nft_release(a->row_price);
    nft_release(a->column_price);
    nft_release(a->slack);
    nft_release(a->row_of);
    nft_release(a->previous);
    nft_release(a->done);
    nft_release(a->rows);
    nft_release(a);
}

/* One more row joins the assignment along a shortest path of reduced costs. Columns count from 1; column 0
 * stands for the row that joins. */
static void assign_row(nft_siren_alignment *a, int64_t row, int64_t n)
{
    int64_t column = 0;
    a->row_of[0] = row;
    for (int64_t j = 0; j <= n; j++) {
        a->slack[j] = INFINITY;
        a->done[j] = false;
    }
    while (a->row_of[column] >= 0) {
        int64_t from = a->row_of[column], next = 0;
        double least = INFINITY;
        a->done[column] = true;
        for (int64_t j = 1; j <= n; j++) {
            double reduced = a->costs[from * n + j - 1] - a->row_price[from] - a->column_price[j];
            if (!a->done[j] && reduced < a->slack[j]) {
                a->slack[j] = reduced;
                a->previous[j] = column;
            }
            if (!a->done[j] && (a->slack[j] < least || !next)) {
                least = a->slack[j];
                next = j;
            }
        }
        for (int64_t j = 0; j <= n; j++)
            if (a->done[j]) {
                a->row_price[a->row_of[j]] += least;
                a->column_price[j] -= least;
            } else {
                a->slack[j] -= least;
            }
        column = next;
    }
    for (; column; column = a->previous[column])
        a->row_of[column] = a->row_of[a->previous[column]];
}

/* row_of[1 … n]: the row of each column of costs (n, n), so that the sum is least (Kuhn, "The Hungarian
 * Method for the Assignment Problem", 1955; with prices, in n³ steps). */
static void assign(nft_siren_alignment *a, int64_t n)
{
    for (int64_t j = 0; j <= n; j++) {
        a->row_of[j] = -1;
        a->row_price[j] = a->column_price[j] = 0;
    }
    for (int64_t row = 0; row < n; row++)
        assign_row(a, row, n);
}

static void find_costs(nft_siren_alignment *a, int64_t n, int64_t inputs, const float *weight,
                       const float *bias, const float *like_weight, const float *like_bias)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) {
            double difference = (double)like_bias[i] - (double)bias[j], sum = difference * difference;
            for (int64_t k = 0; k < inputs; k++) {
                difference = (double)like_weight[i * inputs + k] - (double)weight[j * inputs + k];
                sum += difference * difference;
            }
            a->costs[i * n + j] = sum;
        }
}

/* Row row_of[j + 1] of (n, width) is row j. */
static void order_rows(nft_siren_alignment *a, int64_t n, int64_t width, float *x)
{
    memcpy(a->rows, x, (size_t)(n * width) * sizeof *x);
    for (int64_t j = 0; j < n; j++)
        memcpy(x + a->row_of[j + 1] * width, a->rows + j * width, (size_t)width * sizeof *x);
}

static void order_columns(nft_siren_alignment *a, int64_t rows, int64_t n, float *x)
{
    memcpy(a->rows, x, (size_t)(rows * n) * sizeof *x);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < n; j++)
            x[i * n + a->row_of[j + 1]] = a->rows[i * n + j];
}

void nft_siren_align(nft_siren_alignment *a, float *const *tensors, int64_t index, const float *const *like,
                     int64_t like_index)
{
    const nft_space *space = a->space;
    for (int64_t l = 0; l + 1 < space->layer_count; l++) {
        int64_t n = space->layers[l].out, inputs = space->layers[l].in, after = space->layers[l + 1].out;
        float *weight = tensors[NFT_WEIGHT_OF(l)] + index * n * inputs,
              *bias = tensors[NFT_BIAS_OF(l)] + index * n;
        find_costs(a, n, inputs, weight, bias, like[NFT_WEIGHT_OF(l)] + like_index * n * inputs,
                   like[NFT_BIAS_OF(l)] + like_index * n);
        assign(a, n);
        order_rows(a, n, inputs, weight);
        order_rows(a, n, 1, bias);
        order_columns(a, after, n, tensors[NFT_WEIGHT_OF(l + 1)] + index * after * n);
    }
}
