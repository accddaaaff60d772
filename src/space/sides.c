/* Everything that each axis indexes, and the colouring of the axes. */
#include "space/build.h"

#include <inttypes.h>
#include <string.h>

static nft_axis_side side_of(const nft_tensor *tensor, int64_t t, int64_t d)
{
    nft_axis_side side = {.tensor = t, .dimension = d, .outer = 1, .inner = 1};
    for (int64_t k = 0; k < d; k++)
        side.outer = nft_size_multiply(side.outer, tensor->sizes[k]);
    for (int64_t k = d + 1; k < tensor->rank; k++)
        side.inner = nft_size_multiply(side.inner, tensor->sizes[k]);
    side.vectors = nft_size_multiply(side.outer, side.inner);
    return side;
}

static void fill_sides(nft_space *space)
{
    nft_axis_side *next = space->sides;
    for (int64_t t = 0; t < space->tensor_count; t++)
        for (int64_t d = 0; d < space->tensors[t].rank; d++)
            space->axes[space->tensors[t].axes[d]].side_count++;
    for (int64_t a = 0; a < space->axis_count; a++) {
        space->axes[a].sides = next;
        next += space->axes[a].side_count;
        space->axes[a].side_count = 0;
    }
    for (int64_t t = 0; t < space->tensor_count; t++)
        for (int64_t d = 0; d < space->tensors[t].rank; d++) {
            nft_axis *axis = &space->axes[space->tensors[t].axes[d]];
            nft_axis_side *side = &axis->sides[axis->side_count++];
            *side = side_of(&space->tensors[t], t, d);
            side->first = axis->vectors;
            axis->vectors = nft_size_add(axis->vectors, side->vectors);
        }
}

/* The smallest colour that no axis before this one has which shares a tensor with it; `taken` has room for
 * every colour and one more, and is all false before and after. */
static int64_t choose_colour(const nft_space *space, int64_t a, const int64_t *colours, bool *taken)
{
    for (int pass = 0; pass < 2; pass++) {
        const nft_axis *axis = &space->axes[a];
        int64_t colour = 0;
        while (pass == 1 && taken[colour])
            colour++;
        for (int64_t i = 0; i < axis->side_count; i++) {
            const nft_tensor *tensor = &space->tensors[axis->sides[i].tensor];
            for (int64_t d = 0; d < tensor->rank; d++)
                if (tensor->axes[d] < a)
                    taken[colours[tensor->axes[d]]] = pass == 0;
        }
        if (pass == 1)
            return colour;
    }
    return 0;
}

static void fill_colours(nft_space *space, int64_t *colours, bool *taken)
{
    for (int64_t a = 0; a < space->axis_count; a++) {
        colours[a] = choose_colour(space, a, colours, taken);
        space->colour_count = colours[a] >= space->colour_count ? colours[a] + 1 : space->colour_count;
    }
    int64_t next = 0;
    for (int64_t colour = 0; colour < space->colour_count; colour++) {
        space->colour_starts[colour] = next;
        for (int64_t a = 0; a < space->axis_count; a++)
            if (colours[a] == colour)
                space->colour_axes[next++] = a;
    }
    space->colour_starts[space->colour_count] = next;
}

/* In the order in which axes are processed. */
static void fill_sets(nft_space *space, bool *set)
{
    for (int64_t i = 0; i < space->axis_count; i++) {
        nft_axis *axis = &space->axes[space->colour_axes[i]];
        for (int64_t k = 0; k < axis->side_count; k++) {
            nft_axis_side *side = &axis->sides[k];
            side->sets = !set[side->tensor];
            set[side->tensor] = true;
        }
    }
}

static nft_status check_named(const nft_space *space)
{
    for (int64_t a = 0; a < space->axis_count; a++)
        if (!space->axes[a].side_count)
            return nft_fail(NFT_ERROR_CONFIG, "space: no tensor names the axis '%s'", space->axes[a].name);
    return NFT_OK;
}

nft_status nft_space_fill_sides(nft_space *space)
{
    size_t axes = (size_t)space->axis_count, sides = 0;
    for (int64_t t = 0; t < space->tensor_count; t++)
        sides += (size_t)space->tensors[t].rank;
    space->sides = nft_allocate_array(sides, sizeof *space->sides);
    space->colour_starts = nft_allocate_array(axes + 1, sizeof *space->colour_starts);
    space->colour_axes = nft_allocate_array(axes, sizeof *space->colour_axes);
    int64_t *colours = nft_allocate_array(axes, sizeof *colours);
    bool *taken = nft_allocate_array(axes + 1, sizeof *taken),
         *set = nft_allocate_array((size_t)space->tensor_count, sizeof *set);
    nft_status status = NFT_OK;
    if (!space->sides || !space->colour_starts || !space->colour_axes || !colours || !taken || !set)
        status = nft_fail_memory("a space", (int64_t)(sides * sizeof *space->sides));
    if (!status) {
        fill_sides(space);
        status = check_named(space);
    }
    if (!status) {
        fill_colours(space, colours, taken);
        fill_sets(space, set);
    }
    nft_release(set);
    nft_release(taken);
    nft_release(colours);
    return status;
}
