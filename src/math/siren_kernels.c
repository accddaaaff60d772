/* The kernels of siren_kernels.h, compiled once for each instruction set with NFT_KERNELS_SET its name. A
 * tile of rows times one or two vectors of columns is held in registers while it runs over the inner axis. */
#include "math/siren_kernels.h"

#include "math/siren_functions.h"

#include <math.h>

#if LANES == 16 || defined(__aarch64__)
#define TILE_ROWS 8 /* 16 accumulators of 32 registers */
#else
#define TILE_ROWS 4 /* 8 of 16 */
#endif

/* y (rows, columns) of a tile, which begins at row `first` and at `column`. */
typedef struct tile {
    const nft_product *p;
    const float *in; /* bias, or factors */
    float *out;      /* cosines, or sums */
    const float *places;
    int64_t places_stride;
    int64_t first, column;
    floats sum[TILE_ROWS][2];
} tile;

#define PLACE(pointer, stride) ((pointer) + (t->first + r) * (stride) + t->column + v * LANES)

/* sum += a b, and unless it is NULL column_sums += the sums of b's columns. `rows`, `vectors` and
 * `transposed` (of a) are constants where it is called. */
INLINE void multiply(tile *t, floats *column_sums, int rows, int vectors, bool transposed)
{
    const nft_product *p = t->p;
    const float *a = transposed ? p->a + t->first : p->a + t->first * p->a_stride, *b = p->b + t->column;
    int64_t inner = p->inner, a_stride = p->a_stride, b_stride = p->b_stride;
    for (int64_t k = 0; k < inner; k++) {
        floats row[2];
        UNROLLED (v, vectors) {
            row[v] = load(b + k * b_stride + v * LANES);
            if (column_sums)
                column_sums[v] += row[v];
        }
        UNROLLED (r, rows) {
            floats factor = fill(transposed ? a[k * a_stride + r] : a[r * a_stride + k]);
            UNROLLED (v, vectors)
                t->sum[r][v] = fused(factor, row[v], t->sum[r][v]);
        }
    }
}

INLINE void forward_tile(tile *t, int rows, int vectors)
{
    UNROLLED (r, rows)
        UNROLLED (v, vectors)
            t->sum[r][v] = load(t->in + t->column + v * LANES);
    multiply(t, NULL, rows, vectors, false);
    UNROLLED (r, rows)
        UNROLLED (v, vectors) {
            wave w = wave_of_turns(t->sum[r][v]);
            store(PLACE(t->p->y, t->p->y_stride), w.sine);
            store(PLACE(t->out, t->p->y_stride), w.cosine);
        }
}

INLINE void backward_tile(tile *t, int rows, int vectors)
{
    UNROLLED (r, rows)
        UNROLLED (v, vectors)
            t->sum[r][v] = fill(0);
    multiply(t, NULL, rows, vectors, false);
    UNROLLED (r, rows)
        UNROLLED (v, vectors)
            store(PLACE(t->p->y, t->p->y_stride), t->sum[r][v] * load(PLACE(t->in, t->p->y_stride)));
}

/* The gradients with respect to the angles stay in registers: y (2, columns) += placesᵀ of them, sums +=
 * their sums. */
INLINE void first_tile(tile *t, int rows, int vectors)
{
    UNROLLED (r, rows)
        UNROLLED (v, vectors)
            t->sum[r][v] = fill(0);
    multiply(t, NULL, rows, vectors, false);
    UNROLLED (v, vectors) {
        floats sum = fill(0), of_y = fill(0), of_x = fill(0);
        UNROLLED (r, rows) {
            const float *place = t->places + (t->first + r) * t->places_stride;
            floats angle = t->sum[r][v] * load(PLACE(t->in, t->p->y_stride));
            sum += angle;
            of_y = fused(fill(place[0]), angle, of_y);
            of_x = fused(fill(place[1]), angle, of_x);
        }
        float *y = t->p->y + t->column + v * LANES, *x = y + t->p->y_stride,
              *sums = t->out + t->column + v * LANES;
        store(y, load(y) + of_y);
        store(x, load(x) + of_x);
        store(sums, load(sums) + sum);
    }
}

INLINE void gradient_tile(tile *t, int rows, int vectors)
{
    float *sums = t->first == 0 ? t->out : NULL; /* the first tile of rows sums b's columns on the way */
    floats column_sums[2] = {fill(0), fill(0)};
    UNROLLED (r, rows)
        UNROLLED (v, vectors)
            t->sum[r][v] = fill(0);
    if (sums)
        multiply(t, column_sums, rows, vectors, true);
    else
        multiply(t, NULL, rows, vectors, true);
    UNROLLED (r, rows)
        UNROLLED (v, vectors) {
            float *place = PLACE(t->p->y, t->p->y_stride);
            store(place, t->sum[r][v] + load(place));
        }
    for (int v = 0; v < vectors && sums; v++) {
        float *place = sums + t->column + v * LANES;
        store(place, column_sums[v] + load(place));
    }
}

typedef enum kernel { FORWARD, BACKWARD, FIRST, GRADIENT } kernel;

/* A pointer to the function would not be a constant early enough. */
INLINE void work(kernel which, tile *t, int rows, int vectors)
{
    if (which == FORWARD)
        forward_tile(t, rows, vectors);
    else if (which == BACKWARD)
        backward_tile(t, rows, vectors);
    else if (which == FIRST)
        first_tile(t, rows, vectors);
    else
        gradient_tile(t, rows, vectors);
}

INLINE void tiles_of_columns(kernel which, tile *t, int vectors)
{
    t->first = 0;
    for (; t->first + TILE_ROWS <= t->p->rows; t->first += TILE_ROWS)
        work(which, t, TILE_ROWS, vectors);
    for (; t->first + 2 <= t->p->rows; t->first += 2)
        work(which, t, 2, vectors);
    for (; t->first < t->p->rows; t->first++)
        work(which, t, 1, vectors);
}

INLINE void all_tiles(kernel which, tile t)
{
    for (; t.column + 2 * LANES <= t.p->columns; t.column += 2 * LANES)
        tiles_of_columns(which, &t, 2);
    if (t.column < t.p->columns)
        tiles_of_columns(which, &t, 1);
}

static void forward(const nft_product *product, const float *bias, float *cosine)
{
    all_tiles(FORWARD, (tile){.p = product, .in = bias, .out = cosine});
}

static void backward(const nft_product *product, const float *factor)
{
    all_tiles(BACKWARD, (tile){.p = product, .in = factor});
}

static void backward_first(const nft_product *product, const float *factor, const float *places,
                           int64_t places_stride, float *sums)
{
    all_tiles(
        FIRST,
        (tile){.p = product, .in = factor, .out = sums, .places = places, .places_stride = places_stride});
}

static void gradient(const nft_product *product, float *sums)
{
    all_tiles(GRADIENT, (tile){.p = product, .out = sums});
}

/* sin(a + b) = sin a cos b + cos a sin b, cos(a + b) = cos a cos b - sin a sin b */
static void waves(int64_t count, int64_t columns, const float *a_sine, const float *a_cosine,
                  const float *b_sine, const float *b_cosine, float *sine, float *cosine)
{
    for (int64_t c = 0; c < columns; c += LANES) {
        floats sa = load(a_sine + c), ca = load(a_cosine + c);
        for (int64_t i = c; i < count * columns; i += columns) {
            floats sb = load(b_sine + i), cb = load(b_cosine + i);
            store(sine + i, fused(sa, cb, ca * sb));
            store(cosine + i, fused(ca, cb, -(sa * sb)));
        }
    }
}

static void outputs(const nft_product *p, int64_t count, const float *bias)
{
    for (int64_t r = 0; r < p->rows; r++) {
        const float *a = p->a + r * p->a_stride;
        for (int64_t o = 0; o < count; o++) {
            const float *b = p->b + o * p->b_stride;
            floats sum = load(a) * load(b);
            for (int64_t i = LANES; i < p->columns; i += LANES)
                sum = fused(load(a + i), load(b + i), sum);
            p->y[r * p->y_stride + o] = sum_lanes(sum) + bias[o];
        }
    }
}

/* Four rows at a time, or one; the sum of their errors. */
INLINE float last_rows(const nft_last_layer *l, int64_t first, int rows)
{
    const float *sine = l->sine + first * l->columns, *cosine = l->cosine + first * l->columns;
    float *angle_gradient = l->angle_gradient + first * l->columns, error[4];
    floats sum[4] = {fill(0), fill(0), fill(0), fill(0)};
    for (int64_t c = 0; c < l->columns; c += LANES)
        UNROLLED (r, rows)
            sum[r] = fused(load(sine + r * l->columns + c), load(l->weight + c), sum[r]);
    sum_four(sum, error);
    UNROLLED (r, rows)
        error[r] = l->factor * (error[r] + l->bias - l->target[first + r]);
    for (int64_t c = 0; c < l->columns; c += LANES) {
        floats gradient = load(l->weight_gradient + c), weight = load(l->weight + c);
        UNROLLED (r, rows) {
            int64_t at = r * l->columns + c;
            gradient = fused(fill(error[r]), load(sine + at), gradient);
            store(angle_gradient + at, fill(error[r]) * weight * load(cosine + at));
        }
        store(l->weight_gradient + c, gradient);
    }
    return rows == 4 ? (error[0] + error[1]) + (error[2] + error[3]) : error[0];
}

static void last(const nft_last_layer *layer)
{
    int64_t row = 0;
    float errors = 0;
    for (; row + 4 <= layer->rows; row += 4)
        errors += last_rows(layer, row, 4);
    for (; row < layer->rows; row++)
        errors += last_rows(layer, row, 1);
    *layer->bias_gradient += errors;
}

#define JOIN_NAMES(a, b) a##b
#define JOIN(a, b) JOIN_NAMES(a, b)

extern const nft_siren_kernels JOIN(nft_siren_kernels_, NFT_KERNELS_SET);
const nft_siren_kernels JOIN(nft_siren_kernels_, NFT_KERNELS_SET) = {
    .forward = forward,
    .backward = backward,
    .backward_first = backward_first,
    .gradient = gradient,
    .waves = waves,
    .outputs = outputs,
    .last = last,
};
