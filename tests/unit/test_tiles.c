/* Splitting into bf16 parts; the tile kernels of this machine against their portable versions, bit for bit;
 * all of them against double. */
#include "math/bf16.h"

#include "kernel_sets.h"

#include <stdio.h>

#define MOST_ROWS 37
#define MOST_INPUTS 96
#define STRIDE (MOST_INPUTS + 32)
#define GUARD 5 /* numbers between the end of a row and the next */

static float from_bits(uint32_t bits)
{
    return nft_bits_float(bits);
}

static uint32_t next_bits(void)
{
    static uint64_t seed = 1;
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (uint32_t)(seed >> 32);
}

/* --- splitting --- */

static void three_parts_hold_a_float(void **state)
{
    (void)state;
    for (int i = 0; i < 1000000; i++) {
        /* the lowest part of a number below 2^-100 may be denormal */
        float x = from_bits((next_bits() & 0x807fffff) | (27 + next_bits() % 227) << 23), rest = x;
        uint16_t part[3];
        double sum = 0;
        for (int p = 0; p < 3; p++) {
            part[p] = nft_bf16_round(rest);
            rest = nft_bf16_rest(rest, part[p]);
            sum += (double)nft_bf16_float(part[p]);
            assert_true(fabs((double)x - sum) <= ldexp(fabs((double)x), -8 * (p + 1)));
        }
        assert_true((float)sum == x);
    }
}

static void special_numbers_split_without_turning_into_others(void **state)
{
    (void)state;
    static const struct {
        uint32_t bits;
        uint16_t part;
    } cases[] = {{0x7f800000, 0x7f80},
                 {0xff800000, 0xff80},
                 {0x7f7fffff, 0x7f80},
                 {0x7f7f7fff, 0x7f7f},
                 {0, 0},
                 {0x80000000, 0x8000},
                 {0x007fffff, 0},
                 {0x807fffff, 0x8000},
                 {0x3f808000, 0x3f80},
                 {0x3f818000, 0x3f82},
                 {0x3f808001, 0x3f81}};
    for (int64_t i = 0; i < COUNT(cases); i++) {
        uint16_t part = nft_bf16_round(from_bits(cases[i].bits));
        assert_int_equal(part, cases[i].part);
        if ((part & 0x7fff) == 0x7f80)
            assert_true(nft_bf16_rest(from_bits(cases[i].bits), part) == 0);
    }
    assert_true(isnan(nft_bf16_float(nft_bf16_round(from_bits(0x7f800001)))));
    assert_true(isnan(nft_bf16_float(nft_bf16_round(NAN))));
}

/* --- kernels --- */

/* The arguments and the result of a tile kernel. */
typedef struct product {
    float x[MOST_ROWS * STRIDE];
    uint16_t split[NFT_MAX_PARTS * (MOST_ROWS + 32) * STRIDE];
    uint16_t panel[NFT_MAX_PARTS * MOST_INPUTS * NFT_TILE_WIDTH];
    float bias[NFT_TILE_WIDTH], y[MOST_ROWS * (NFT_TILE_WIDTH + GUARD)];
} product;

static float any_number(int kind)
{
    static const float special[] = {0,      -0.0f,  INFINITY,  -INFINITY,  NAN,
                                    1e-40f, -3e38f, 0x1p-126f, 0x1.8p-127f};
    if (kind == 2 && next_bits() % 40 == 0)
        return special[next_bits() % COUNT(special)];
    uint32_t exponent = kind == 0 ? 124 + next_bits() % 4 : 30 + next_bits() % 100;
    return from_bits((next_bits() & 0x807fffff) | exponent << 23);
}

static void fill(product *p, int kind)
{
    for (int64_t i = 0; i < COUNT(p->x); i++)
        p->x[i] = any_number(kind);
    for (int64_t i = 0; i < COUNT(p->panel); i++)
        p->panel[i] = nft_bf16_round(any_number(kind));
    for (int64_t i = 0; i < COUNT(p->bias); i++)
        p->bias[i] = any_number(kind);
    for (int64_t i = 0; i < COUNT(p->y); i++)
        p->y[i] = any_number(kind);
    memset(p->split, 0, sizeof p->split);
}

typedef struct shape {
    int64_t rows, inputs, columns;
    int parts;
    bool bias, add;
} shape;

static nft_tile_map map_of(const nft_tiles *tiles, product *p, const shape *s)
{
    return (nft_tile_map){.rows = s->rows,
                          .inputs = (s->inputs + tiles->step - 1) / tiles->step * tiles->step,
                          .columns = s->columns,
                          .parts = s->parts,
                          .x = p->split,
                          .x_stride = STRIDE,
                          .x_part = (MOST_ROWS + 32) * STRIDE,
                          .panel = p->panel,
                          .bias = s->bias ? p->bias : NULL,
                          .add = s->add,
                          .y = p->y,
                          .y_stride = NFT_TILE_WIDTH + GUARD};
}

static void run(const nft_tiles *tiles, product *p, const shape *s)
{
    nft_tile_map map = map_of(tiles, p, s);
    tiles->split(s->rows, s->inputs, s->parts, p->x, STRIDE, p->split, STRIDE, map.x_part);
    if (tiles->begin)
        tiles->begin();
    tiles->map(&map);
    if (tiles->end)
        tiles->end();
}

/* Part `part` of number `input` of a column. */
static double panel_at(const nft_tiles *tiles, const product *p, const shape *s, int part, int64_t input,
                       int64_t column)
{
    int64_t group = input / tiles->group, e = input % tiles->group;
    return (double)nft_bf16_float(
        p->panel[((group * s->parts + part) * NFT_TILE_WIDTH + column) * tiles->group + e]);
}

/* Against the sum of the parts' products in double. The rounding of sums remains. Round-to-odd may
 * err by a whole unit. */
static void check_sums(const char *name, const nft_tiles *tiles, product *p, const shape *s)
{
    float before[COUNT(p->y)];
    memcpy(before, p->y, sizeof before);
    run(tiles, p, s);
    nft_tile_map m = map_of(tiles, p, s);
    for (int64_t place = 0; place < s->rows * m.y_stride; place++) {
        int64_t r = place / m.y_stride, c = place % m.y_stride;
        if (c >= s->columns) {
            assert_true(same_bits(&p->y[place], &before[place], 1));
            continue;
        }
        double bias = s->bias ? (double)p->bias[c] : 0, old = s->add ? (double)before[place] : 0;
        double sum = bias + old, size = fabs(bias) + fabs(old);
        for (int64_t i = 0; i < s->inputs; i++)
            for (int a = 0; a < s->parts; a++)
                for (int b = 0; a + b < s->parts; b++) {
                    double term = (double)nft_bf16_float(p->split[a * m.x_part + r * STRIDE + i]) *
                                  panel_at(tiles, p, s, b, i, c);
                    sum += term;
                    size += fabs(term);
                }
        double bound = 0x1p-23 * (double)(s->inputs * s->parts + 3) * size;
        if (!(fabs((double)p->y[place] - sum) <= bound))
            fail_msg("%s, %" PRId64 "×%" PRId64 ", %d parts: %.9g, expected %.9g within %g", name, s->rows,
                     s->inputs, s->parts, (double)p->y[place], sum, bound);
    }
}

static const int64_t rows[] = {1, 2, 3, 13, 14, 15, 16, 17, 29, 32, 33, 37},
                     inputs[] = {1, 2, 5, 31, 32, 33, 64, 95};

typedef void check_shape(const nft_kernel_set *set, product *p, const shape *s);

static bool has_format(const nft_tiles *tiles, int parts)
{
    return tiles->parts[0] == parts || tiles->parts[1] == parts || tiles->parts[2] == parts;
}

static void each_shape(const nft_kernel_set *set, check_shape *check)
{
    product *p = malloc(sizeof *p);
    assert_non_null(p);
    for (int64_t i = 0; i < COUNT(rows) * COUNT(inputs) * 2 * NFT_MAX_PARTS * 4; i++) {
        int64_t rest = i / COUNT(rows) / COUNT(inputs);
        shape s = {rows[i % COUNT(rows)],
                   inputs[i / COUNT(rows) % COUNT(inputs)],
                   16 * (1 + rest % 2),
                   (int)(1 + rest / 2 % NFT_MAX_PARTS),
                   (rest / 2 / NFT_MAX_PARTS) & 1,
                   (rest / 2 / NFT_MAX_PARTS) & 2};
        if (has_format(set->tiles, s.parts))
            check(set, p, &s);
    }
    free(p);
}

static void check_set(const nft_kernel_set *set, product *p, const shape *s)
{
    fill(p, 0);
    check_sums(set->name, set->tiles, p, s);
}

static void sums_of_every_set_are_right(void **state)
{
    (void)state;
    const nft_kernel_set *set;
    for (int i = 0; (set = nft_kernel_set_at(i)); i++)
        if (set->tiles && set->usable())
            each_shape(set, check_set);
}

static const nft_tiles *portable_of(const nft_kernel_set *set)
{
    char name[64];
    snprintf(name, sizeof name, "portable_%s", set->name);
    const nft_kernel_set *other;
    for (int i = 0; (other = nft_kernel_set_at(i)); i++)
        if (!strcmp(other->name, name))
            return other->tiles;
    fail_msg("there is no %s", name);
    return NULL;
}

/* NaN has many bit patterns; each is as good. */
static bool same_floats(const float *a, const float *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (!same_bits(a + i, b + i, 1) && !(isnan(a[i]) && isnan(b[i])))
            return false;
    return true;
}

static void compare(const nft_kernel_set *set, product *p, const shape *s)
{
    product *other = malloc(sizeof *other);
    assert_non_null(other);
    for (int kind = 0; kind < 3; kind++) {
        fill(p, kind);
        memcpy(other, p, sizeof *other);
        run(set->tiles, p, s);
        run(portable_of(set), other, s);
        for (int64_t i = 0; i < COUNT(p->split); i++)
            if (!same_floats(&(float){nft_bf16_float(p->split[i])}, &(float){nft_bf16_float(other->split[i])},
                             1))
                fail_msg("%s: part %" PRId64 " is %04x, its portable version gives %04x", set->name, i,
                         p->split[i], other->split[i]);
        if (!same_floats(p->y, other->y, COUNT(p->y)))
            fail_msg("%s, %" PRId64 "×%" PRId64 "×%" PRId64
                     ", %d parts, numbers %d: not the bits of its portable version",
                     set->name, s->rows, s->inputs, s->columns, s->parts, kind);
    }
    free(other);
}

static void tiles_have_the_bits_of_their_portable_versions(void **state)
{
    (void)state;
    const nft_kernel_set *set;
    int compared = 0;
    for (int i = 0; (set = nft_kernel_set_at(i)); i++)
        if (set->tiles && !set->portable && set->usable()) {
            print_message("compares the tiles of %s\n", set->name);
            each_shape(set, compare);
            compared++;
        }
    if (!compared)
        skip();
}

/* A row is bit-identical by itself and among other rows. */
static void rows_do_not_depend_on_each_other(void **state)
{
    (void)state;
    const nft_kernel_set *set;
    product *all = malloc(sizeof *all), *alone = malloc(sizeof *alone);
    assert_true(all && alone);
    for (int i = 0; (set = nft_kernel_set_at(i)); i++) {
        shape s = {MOST_ROWS, MOST_INPUTS - 1, NFT_TILE_WIDTH, 1, true, true};
        if (!set->tiles || !set->usable())
            continue;
        fill(all, 1);
        memcpy(alone, all, sizeof *alone);
        run(set->tiles, all, &s);
        int64_t row = MOST_ROWS - 2, y_stride = NFT_TILE_WIDTH + GUARD;
        memmove(alone->x, alone->x + row * STRIDE, STRIDE * sizeof *alone->x);
        memmove(alone->y, alone->y + row * y_stride, NFT_TILE_WIDTH * sizeof *alone->y);
        s.rows = 1;
        run(set->tiles, alone, &s);
        assert_true(same_floats(alone->y, all->y + row * y_stride, NFT_TILE_WIDTH));
    }
    free(all);
    free(alone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_parts_hold_a_float),
        cmocka_unit_test(special_numbers_split_without_turning_into_others),
        cmocka_unit_test(sums_of_every_set_are_right),
        cmocka_unit_test(tiles_have_the_bits_of_their_portable_versions),
        cmocka_unit_test(rows_do_not_depend_on_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
