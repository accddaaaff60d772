/* nftool permute: other weights of the same functions. */
#include "commands.h"
#include "parts.h"
#include "report.h"
#include "rewrite.h"
#include "sources.h"
#include "text.h"

#include <nft/permute.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static int64_t count_permutable_axes(const nft_space *space)
{
    int64_t count = 0;
    nft_space_axis axis = {.size = sizeof axis};
    for (int64_t a = 0; a < nft_space_describe(space)->axis_count; a++)
        count += !nft_space_get_axis(&axis, space, a) && axis.symmetry == NFT_SYMMETRY_PERMUTATION;
    return count;
}

static int describe(const cli_options *given, const cli_input *input)
{
    const char *path = option_text(given, "output");
    int64_t axes = count_permutable_axes(input->space);
    char networks[TEXT_CAPACITY];
    if (given->json)
        return print_json(json_pack("{s:o, s:I, s:I, s:I}", "output", json_text(path), "networks",
                                    (json_int_t)input->count, "axes", (json_int_t)axes, "seed",
                                    (json_int_t)given->seed));
    say("%s: %s permuted, %" PRId64 " %s each", path, text_plural(networks, input->count, "network"), axes,
        axes == 1 ? "axis" : "axes");
    return EXIT_SUCCESS;
}

typedef struct permuting {
    uint64_t seed;
    int64_t first; /* number of the file's first network */
} permuting;

static nft_status permute(void *user, nft_weights *weights, int64_t first)
{
    const permuting *p = user;
    return nft_weights_permute_random(weights, p->seed, p->first + first);
}

static int permute_file(const cli_options *given, int64_t first)
{
    cli_input input = {0};
    cli_rewrite rewrite;
    permuting p = {given->seed, first};
    report_doubts_fail(true);
    int failed = begin_rewrite(&rewrite, &input, given);
    rewrite.change = permute;
    rewrite.user = &p;
    if (!failed)
        failed = rewrite_networks(&rewrite);
    if (!failed)
        failed = describe(given, &input);
    end_rewrite(&rewrite);
    report_doubts_fail(false);
    return failed;
}

static int run(const cli_options *given)
{
    return work_on_parts(given, permute_file);
}

static const cli_option own_options[] = {
    {"output", 'o', OPTION_RESULT, "OUT", "file to write, replaced if it exists; - is standard output", 0, 0,
     NULL},
    LAYERS_OPTION,
    {0},
};

const cli_command permute_command = {
    .name = "permute",
    .operands = "WEIGHTS -o OUT",
    .summary = "permute hidden neurons, which changes no network's function",
    .description =
        "Writes the networks of WEIGHTS to OUT with their hidden neurons in another order. Each network\n"
        "gets a random permutation, from --seed, for each axis with that symmetry. In a chain these axes\n"
        "are the hidden layers. The networks compute the same functions. Names, labels and other tensors\n"
        "are kept. For an index OUT.json is an index too, with its parts in the same folder. A file does "
        "not\n"
        "show residual connections, nor whether a convolution is transposed. Where names and shapes leave\n"
        "that open, permute refuses: --layers says that the layers are a chain, --space gives the network.",
    .least_operands = 1,
    .most_operands = 1,
    .options = own_options,
    .required = "output",
    .idle = "threads",
    .run = run,
};
