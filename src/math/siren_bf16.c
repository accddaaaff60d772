/* The kernels of siren_bf16.h, compiled twice: with NFT_SIREN_BF16 nft_siren_bf16_avx512 for AVX512_BF16's
 * dot products of pairs, and for any processor, where a pair is two operations in float. A tile of rows times
 * two vectors of columns is held in registers while it runs over the inner axis. */
#include "math/siren_bf16.h"

#include "math/siren_functions.h"

#ifndef NFT_SIREN_BF16
#define NFT_SIREN_BF16 nft_siren_bf16_portable
#endif

#define TILE_ROWS 8
#define BLOCK (2 * LANES) /* columns of a tile */

INLINE ints load_pairs(const uint32_t *p)
{
    ints v;
    memcpy(&v, p, sizeof v);
    return v;
}

INLINE void store_pairs(uint32_t *p, ints v)
{
    memcpy(p, &v, sizeof v);
}

/* Two vectors of a row. */
typedef struct block {
    floats v[2];
} block;

/* dot: sum + the products of each lane's two pairs.
 * keep: rows r and r + 1 of a block that begins at `column`, or with `both` false row r and zeros. */
#if defined(__AVX512BF16__)

INLINE floats dot(floats sum, ints a, ints b)
{
    return (floats)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
}

INLINE ints rounded(block row)
{
    return (ints)_mm512_cvtne2ps_pbh((__m512)row.v[1], (__m512)row.v[0]);
}

INLINE void keep(const nft_pairs *to, int64_t r, int64_t column, block first, block second, bool both)
{
    typedef uint16_t halves __attribute__((vector_size(sizeof(ints))));
    const halves low = {0, 32, 1, 33, 2,  34, 3,  35, 4,  36, 5,  37, 6,  38, 7,  39,
                        8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47};
    ints a = rounded(first), b = both ? rounded(second) : fill_bits(0);
    uint32_t *across = to->across + (r * to->stride + column) / 2,
             *down = to->down + r / 2 * to->stride + column;
    if (to->across)
        store_pairs(across, a);
    if (to->across && both)
        store_pairs(across + to->stride / 2, b);
    store_pairs(down, (ints)_mm512_permutex2var_epi16((__m512i)a, (__m512i)low, (__m512i)b));
    store_pairs(down + LANES, (ints)_mm512_permutex2var_epi16((__m512i)a, (__m512i)(low + 16), (__m512i)b));
}

#else

INLINE floats dot(floats sum, ints a, ints b)
{
    sum = fused((floats)(a & 0xffff0000), (floats)(b & 0xffff0000), sum);
    return fused((floats)(a << 16), (floats)(b << 16), sum);
}

/* nft_bf16_round() in the upper halves. */
INLINE ints rounded(floats x)
{
    ints bits = (ints)x, size = bits & 0x7fffffff, nearest_half = bits + 0x7fff + (bits >> 16 & 1);
    ints is_nan = (ints)(size > 0x7f800000), is_small = (ints)(size < 0x00800000);
    ints number = (nearest_half & ~is_small) | (bits & is_small & 0x80000000);
    return ((number & ~is_nan) | ((bits | 0x400000) & is_nan)) & 0xffff0000;
}

INLINE void store_halves(uint16_t *p, ints upper)
{
    for (int l = 0; l < LANES; l++)
        p[l] = (uint16_t)(upper[l] >> 16);
}

INLINE void keep(const nft_pairs *to, int64_t r, int64_t column, block first, block second, bool both)
{
    for (int v = 0; v < 2; v++, column += LANES) {
        ints a = rounded(first.v[v]), b = both ? rounded(second.v[v]) : fill_bits(0);
        if (to->across)
            store_halves((uint16_t *)to->across + r * to->stride + column, a);
        if (to->across && both)
            store_halves((uint16_t *)to->across + (r + 1) * to->stride + column, b);
        store_pairs(to->down + r / 2 * to->stride + column, a >> 16 | b);
    }
}

#endif

INLINE block load_block(const float *p)
{
    return (block){{load(p), load(p + LANES)}};
}

INLINE void store_block(float *p, block b)
{
    store(p, b.v[0]);
    store(p + LANES, b.v[1]);
}

static void pack(int64_t rows, int64_t columns, const float *x, int64_t stride, const nft_pairs *pairs)
{
    const block none = {{fill(0), fill(0)}};
    for (int64_t c = 0; c < columns; c += BLOCK) {
        int64_t r = 0;
        for (; r + 2 <= rows; r += 2)
            keep(pairs, r, c, load_block(x + r * stride + c), load_block(x + (r + 1) * stride + c), true);
        if (r < rows)
            keep(pairs, r, c, load_block(x + r * stride + c), none, false);
    }
}

/* sin(a + b) = sin a cos b + cos a sin b, cos(a + b) = cos a cos b - sin a sin b, of a row and a column of
 * pixels. */
INLINE block wave_at(const nft_pixel_waves *w, int64_t row, int64_t column, int64_t y, int64_t x)
{
    const float *a_sine = w->row_sine + y * w->columns + column,
                *a_cosine = w->row_cosine + y * w->columns + column,
                *b_sine = w->column_sine + x * w->columns + column,
                *b_cosine = w->column_cosine + x * w->columns + column;
    block sine, cosine;
    UNROLLED (v, 2) {
        floats sa = load(a_sine + v * LANES), ca = load(a_cosine + v * LANES);
        floats sb = load(b_sine + v * LANES), cb = load(b_cosine + v * LANES);
        sine.v[v] = fused(sa, cb, ca * sb);
        cosine.v[v] = fused(ca, cb, -(sa * sb));
    }
    store_block(w->cosine + row * w->columns + column, cosine);
    return sine;
}

static void waves(const nft_pixel_waves *w)
{
    const block none = {{fill(0), fill(0)}};
    for (int64_t c = 0; c < w->columns; c += BLOCK) {
        int64_t y = w->first / w->width, x = w->first % w->width;
        block before = none;
        for (int64_t r = 0; r < w->rows; r++) {
            block sine = wave_at(w, r, c, y, x);
            if (r % 2)
                keep(&w->sine, r - 1, c, before, sine, true);
            else if (r + 1 == w->rows)
                keep(&w->sine, r, c, sine, none, false);
            before = sine;
            x++;
            if (x == w->width) {
                x = 0;
                y++;
            }
        }
    }
}

/* Of a kernel that works tile by tile: the product, its other operands, and the tile, which begins at row
 * `first` and at `column`. */
typedef struct tile {
    const nft_pair_product *p;
    const float *in; /* bias, or factors (rows, columns) */
    float *sine, *cosine, *y, *sums;
    const nft_pairs *pairs;
    const float *places;
    int64_t places_stride;
    int64_t first, column;
    block sum[TILE_ROWS];
} tile;

#define PLACE(pointer, row) ((pointer) + (t->first + (row)) * t->p->columns + t->column)

/* sum += a b, and unless it is NULL column_sums += the sums of b's columns. `rows` is a constant where it is
 * called. */
INLINE void multiply(tile *t, block *column_sums, int rows)
{
    const nft_pair_product *p = t->p;
    const uint32_t *a = p->a + t->first * p->a_row, *b = p->b + t->column;
    const ints ones = fill_bits(0x3f803f80);
    int64_t inner = p->inner, a_row = p->a_row;
    for (int64_t k = 0; k < inner; k++, a += p->a_step, b += p->b_stride) {
        ints row[2];
        UNROLLED (v, 2) {
            row[v] = load_pairs(b + v * LANES);
            if (column_sums)
                column_sums->v[v] = dot(column_sums->v[v], ones, row[v]);
        }
        UNROLLED (r, rows) {
            ints factor = fill_bits(a[r * a_row]);
            UNROLLED (v, 2)
                t->sum[r].v[v] = dot(t->sum[r].v[v], factor, row[v]);
        }
    }
}

INLINE void keep_rows(const tile *t, const block *values, int rows)
{
    UNROLLED (r, rows)
        if (r % 2 == 0)
            keep(t->pairs, t->first + r, t->column, values[r], values[r + 1 < rows ? r + 1 : r],
                 r + 1 < rows);
}

INLINE void forward_tile(tile *t, int rows)
{
    block bias = load_block(t->in + t->column);
    UNROLLED (r, rows)
        t->sum[r] = bias;
    multiply(t, NULL, rows);
    UNROLLED (r, rows) {
        wave low = wave_of_turns(t->sum[r].v[0]), high = wave_of_turns(t->sum[r].v[1]);
        t->sum[r] = (block){{low.sine, high.sine}};
        store_block(PLACE(t->cosine, r), (block){{low.cosine, high.cosine}});
        if (t->sine)
            store_block(PLACE(t->sine, r), t->sum[r]);
    }
    if (t->pairs)
        keep_rows(t, t->sum, rows);
}

INLINE void backward_tile(tile *t, int rows)
{
    const block none = {{fill(0), fill(0)}};
    UNROLLED (r, rows)
        t->sum[r] = none;
    multiply(t, NULL, rows);
    UNROLLED (r, rows) {
        block factor = load_block(PLACE(t->in, r));
        UNROLLED (v, 2)
            t->sum[r].v[v] *= factor.v[v];
    }
    if (t->pairs)
        keep_rows(t, t->sum, rows);
}

/* The gradients with respect to the angles stay in registers. */
INLINE void first_tile(tile *t, int rows)
{
    backward_tile(t, rows);
    UNROLLED (v, 2) {
        floats sum = fill(0), of_y = fill(0), of_x = fill(0);
        UNROLLED (r, rows) {
            const float *place = t->places + (t->first + r) * t->places_stride;
            floats angle = t->sum[r].v[v];
            sum += angle;
            of_y = fused(fill(place[0]), angle, of_y);
            of_x = fused(fill(place[1]), angle, of_x);
        }
        float *y = t->y + t->column + v * LANES, *x = y + t->p->columns,
              *sums = t->sums + t->column + v * LANES;
        store(y, load(y) + of_y);
        store(x, load(x) + of_x);
        store(sums, load(sums) + sum);
    }
}

INLINE void gradient_tile(tile *t, int rows)
{
    block none = {{fill(0), fill(0)}}, column_sums = none;
    UNROLLED (r, rows)
        t->sum[r] = none;
    if (t->first == 0)
        multiply(t, &column_sums, rows); /* the first tile of rows sums b's columns on the way */
    else
        multiply(t, NULL, rows);
    UNROLLED (v, 2) {
        UNROLLED (r, rows) {
            float *place = PLACE(t->y, r) + v * LANES;
            store(place, t->sum[r].v[v] + load(place));
        }
        float *place = t->sums + t->column + v * LANES;
        store(place, column_sums.v[v] + load(place));
    }
}

typedef enum kernel { FORWARD, BACKWARD, FIRST, GRADIENT } kernel;

/* A pointer to the function would not be a constant early enough. */
INLINE void work(kernel which, tile *t, int rows)
{
    if (which == FORWARD)
        forward_tile(t, rows);
    else if (which == BACKWARD)
        backward_tile(t, rows);
    else if (which == FIRST)
        first_tile(t, rows);
    else
        gradient_tile(t, rows);
}

INLINE void all_tiles(kernel which, tile t)
{
    for (; t.column < t.p->columns; t.column += BLOCK) {
        t.first = 0;
        for (; t.first + TILE_ROWS <= t.p->rows; t.first += TILE_ROWS)
            work(which, &t, TILE_ROWS);
        for (; t.first + 2 <= t.p->rows; t.first += 2)
            work(which, &t, 2);
        for (; t.first < t.p->rows; t.first++)
            work(which, &t, 1);
    }
}

static void forward(const nft_pair_product *product, const float *bias, float *sine, const nft_pairs *pairs,
                    float *cosine)
{
    all_tiles(FORWARD, (tile){.p = product, .in = bias, .sine = sine, .pairs = pairs, .cosine = cosine});
}

static void backward(const nft_pair_product *product, const float *factor, const nft_pairs *pairs)
{
    all_tiles(BACKWARD, (tile){.p = product, .in = factor, .pairs = pairs});
}

static void backward_first(const nft_pair_product *product, const float *factor, const float *places,
                           int64_t places_stride, float *y, float *sums)
{
    all_tiles(FIRST, (tile){.p = product,
                            .in = factor,
                            .places = places,
                            .places_stride = places_stride,
                            .y = y,
                            .sums = sums});
}

static void gradient(const nft_pair_product *product, float *y, float *sums)
{
    all_tiles(GRADIENT, (tile){.p = product, .y = y, .sums = sums});
}

/* factor (out - target) of each row. */
INLINE void errors_of(const nft_last_layer *l, int64_t first, int rows, float *error)
{
    const float *sine = l->sine + first * l->columns;
    floats sum[4] = {fill(0), fill(0), fill(0), fill(0)};
    for (int64_t c = 0; c < l->columns; c += LANES)
        UNROLLED (r, rows)
            sum[r] = fused(load(sine + r * l->columns + c), load(l->weight + c), sum[r]);
    sum_four(sum, error);
    UNROLLED (r, rows)
        error[r] = l->factor * (error[r] + l->bias - l->target[first + r]);
}

/* Four rows at a time, two, or one; the sum of their errors. */
INLINE float last_rows(const nft_last_layer *l, const nft_pairs *to, int64_t first, int rows)
{
    const float *sine = l->sine + first * l->columns, *cosine = l->cosine + first * l->columns;
    float error[4], sum = 0;
    errors_of(l, first, rows, error);
    for (int64_t c = 0; c < l->columns; c += BLOCK) {
        block gradient = load_block(l->weight_gradient + c), weight = load_block(l->weight + c), angle[4];
        UNROLLED (r, rows)
            UNROLLED (v, 2) {
                int64_t at = r * l->columns + c + v * LANES;
                gradient.v[v] = fused(fill(error[r]), load(sine + at), gradient.v[v]);
                angle[r].v[v] = fill(error[r]) * weight.v[v] * load(cosine + at);
            }
        store_block(l->weight_gradient + c, gradient);
        UNROLLED (r, rows)
            if (r % 2 == 0)
                keep(to, first + r, c, angle[r], angle[r + 1 < rows ? r + 1 : r], r + 1 < rows);
    }
    UNROLLED (r, rows)
        sum += error[r];
    return sum;
}

static void last(const nft_last_layer *layer, const nft_pairs *angle_gradient)
{
    int64_t row = 0;
    float errors = 0;
    for (; row + 4 <= layer->rows; row += 4)
        errors += last_rows(layer, angle_gradient, row, 4);
    for (; row + 2 <= layer->rows; row += 2)
        errors += last_rows(layer, angle_gradient, row, 2);
    for (; row < layer->rows; row++)
        errors += last_rows(layer, angle_gradient, row, 1);
    *layer->bias_gradient += errors;
}

extern const nft_siren_bf16 NFT_SIREN_BF16;
const nft_siren_bf16 NFT_SIREN_BF16 = {
    .width = BLOCK,
    .pack = pack,
    .waves = waves,
    .forward = forward,
    .backward = backward,
    .backward_first = backward_first,
    .gradient = gradient,
    .last = last,
};
