/* nftool canonicalize: one sign and phase for every neuron of SIRENs. */
#include "commands.h"
#include "nft/inr.h"
#include "omega.h"
#include "parts.h"
#include "report.h"
#include "rewrite.h"
#include "sources.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>

static int describe(const cli_options *given, const cli_input *input)
{
    const char *path = option_text(given, "output");
    char text[TEXT_CAPACITY];
    if (given->json)
        return print_json(
            json_pack("{s:o, s:I}", "output", json_text(path), "networks", (json_int_t)input->count));
    say("%s: %s in canonical form", path, text_plural(text, input->count, "network"));
    return EXIT_SUCCESS;
}

static nft_status canonicalize(void *user, nft_weights *weights, int64_t first)
{
    (void)user;
    (void)first;
    return nft_inr_canonicalize(weights, 0);
}

static int note_form(nft_weights *holder, cli_input *input, const cli_omega *omega, const cli_options *given)
{
    write_omega(input->omega, omega, 17);
    if (nft_weights_set_metadata(holder, CANONICAL_KEY, SIGN_PHASE))
        return fail_library();
    if (!option_text(given, "omega") || nft_weights_metadata(holder, OMEGA_KEY))
        return EXIT_SUCCESS;
    return nft_weights_set_metadata(holder, OMEGA_KEY, input->omega) ? fail_library() : EXIT_SUCCESS;
}

static int canonicalize_file(const cli_options *given, int64_t first)
{
    cli_input input = {0};
    cli_rewrite rewrite;
    cli_omega omega = {.count = 0};
    (void)first;
    report_chains_known(true); /* SIRENs have no residual connections */
    int failed = begin_rewrite(&rewrite, &input, given);
    report_chains_known(false);
    if (!failed)
        failed = choose_omega(&omega, input.path, nft_weights_metadata(rewrite.holder, OMEGA_KEY), given);
    if (!failed)
        failed = note_form(rewrite.holder, &input, &omega, given);
    rewrite.change = canonicalize;
    if (!failed)
        failed = rewrite_networks(&rewrite);
    if (!failed)
        failed = describe(given, &input);
    end_rewrite(&rewrite);
    return failed;
}

static int run(const cli_options *given)
{
    return work_on_parts(given, canonicalize_file);
}

static const cli_option own_options[] = {
    {"output", 'o', OPTION_RESULT, "OUT", "file to write, replaced if it exists; - is standard output", 0, 0,
     NULL},
    OMEGA_OPTION("that of WEIGHTS, or 30"),
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
        "every neuron's weights have a positive sum and W times its bias is in (-15/32 pi, 17/32 pi]. With\n"
        "the right W the networks compute the same functions; files of nftool fit have it. Names, labels\n"
        "and other tensors are kept. For an index OUT.json is an index too.",
    .least_operands = 1,
    .most_operands = 1,
    .options = own_options,
    .required = "output",
    .idle = "threads seed",
    .run = run,
};
