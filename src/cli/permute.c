/* nftool permute: other weights of the same functions. */
#include "commands.h"
#include "outputs.h"
#include "report.h"
#include "rewrite.h"
#include "sources.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static int64_t count_permutable_axes(const nft_space *space)
{
    int64_t count = 0;
    nft_space_axis axis = {.size = sizeof axis};
    for (int64_t a = 0; a < nft_space_axis_count(space); a++)
        count += !nft_space_get_axis(&axis, space, a) && axis.symmetry == NFT_SYMMETRY_PERMUTATION;
    return count;
}

static int describe(const cli_options *given, const nft_weights *weights, const char *path)
{
    int64_t networks = nft_weights_count(weights);
    int64_t axes = count_permutable_axes(nft_weights_space(weights));
    char text[2][TEXT_CAPACITY];
    if (given->json)
        return print_json(json_pack("{s:o, s:I, s:I, s:I}", "output", json_text(path), "networks",
                                    (json_int_t)networks, "axes", (json_int_t)axes, "seed",
                                    (json_int_t)given->seed));
    say("%s: %s permuted, %s each", path, text_plural(text[0], networks, "network"),
        text_count(text[1], axes));
    return EXIT_SUCCESS;
}

static int run(const cli_options *given)
{
    const char *path = option_text(given, "output");
    nft_weights *weights = NULL;
    int failed = check_outputs(given);
    if (!option_text(given, "layers"))
        nft_set_log(NULL, NULL); /* what belongs to no layer is carried along */
    if (!failed)
        failed = load_weights(&weights, given->operands[0], given);
    if (!failed && nft_weights_permute_random(weights, given->seed))
        failed = fail_library();
    if (!failed)
        failed = rewrite_weights(weights, path, 0);
    if (!failed)
        failed = describe(given, weights, path);
    nft_weights_free(weights);
    return failed;
}

static const cli_option own_options[] = {
    {"output", 'o', OPTION_OUTPUT, "OUT", "file to write, replaced if it exists", 0, 0, NULL},
    LAYERS_OPTION,
    {0},
};

const cli_command permute_command = {
    .name = "permute",
    .operands = "WEIGHTS -o OUT",
    .summary = "permute hidden neurons, which changes no network's function",
    .description =
        "Writes the networks of WEIGHTS to OUT with their hidden neurons in another order: one random\n"
        "permutation for each hidden layer of each network, from --seed. The networks compute what they\n"
        "computed before. Names, labels and other tensors that belong to the networks are kept.",
    .least_operands = 1,
    .most_operands = 1,
    .options = own_options,
    .required = "output",
    .run = run,
};
