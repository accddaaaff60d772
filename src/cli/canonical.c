/* nftool canonicalize: one sign and phase for every neuron of SIRENs. */
#include "commands.h"
#include "omega.h"
#include "outputs.h"
#include "report.h"
#include "rewrite.h"
#include "sources.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>

static int describe(const cli_options *given, const nft_weights *weights, const char *path)
{
    int64_t networks = nft_weights_count(weights);
    char text[TEXT_CAPACITY];
    if (given->json)
        return print_json(
            json_pack("{s:o, s:I}", "output", json_text(path), "networks", (json_int_t)networks));
    say("%s: %s in canonical form", path, text_plural(text, networks, "network"));
    return EXIT_SUCCESS;
}

static int run(const cli_options *given)
{
    const char *path = option_text(given, "output");
    nft_weights *weights = NULL;
    double omega = 0;
    int failed = check_outputs(given);
    if (!option_text(given, "layers"))
        nft_set_log(NULL, NULL); /* what belongs to no layer is carried along */
    if (!failed)
        failed = load_weights(&weights, given->operands[0], given);
    if (!failed)
        failed = choose_omega(&omega, given->operands[0], given);
    if (!failed && nft_inr_canonicalize(weights, omega))
        failed = fail("%s: %s", given->operands[0], library_message());
    if (!failed)
        failed = rewrite_weights(weights, path, option_value(given, "omega")->number);
    if (!failed)
        failed = describe(given, weights, path);
    nft_weights_free(weights);
    return failed;
}

static const cli_option own_options[] = {
    {"output", 'o', OPTION_OUTPUT, "OUT", "file to write, replaced if it exists", 0, 0, NULL},
    {"omega", 0, OPTION_POSITIVE, "W", "frequency of the sines (default: what WEIGHTS says, or 30)", 0,
     1000000, NULL},
    LAYERS_OPTION,
    {0},
};

const cli_command canonicalize_command = {
    .name = "canonicalize",
    .operands = "WEIGHTS -o OUT",
    .summary = "bring SIRENs to one sign and phase, which changes no function",
    .description =
        "Writes the SIRENs of WEIGHTS to OUT with every hidden neuron in one of its many equal forms: sine\n"
        "is odd and periodic, so a neuron may change its sign, or its bias by half a period, if the next\n"
        "layer's weights change with it. Models learn much more from networks in one form. Afterwards\n"
        "every neuron's weights have a positive sum and W times its bias is in (-15/32 pi, 17/32 pi]. If W\n"
        "is theirs, which files of nftool fit say, the networks compute what they computed before. Names,\n"
        "labels and other tensors are kept.",
    .least_operands = 1,
    .most_operands = 1,
    .options = own_options,
    .required = "output",
    .run = run,
};
