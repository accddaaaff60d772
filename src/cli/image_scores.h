/* Scores of a model's images. A decoder's images are compared with the renderings of the input SIRENs, or the
 * renderings of output SIRENs with the tensor `target`. Each function prints its failure and returns the exit
 * status. */
#ifndef NFT_CLI_IMAGE_SCORES_H
#define NFT_CLI_IMAGE_SCORES_H

#include "input.h"
#include "nft/inr.h"
#include "ranks.h"
#include "scores.h"

typedef struct image_scores {
    loss_kind kind;
    const cli_options *given; /* of nftool evaluate */
    const nft_model *model;
    cli_input *input;
    int64_t height, width, colours;
    nft_inr_render_options options;
    cli_omega omega;     /* of the networks that come out, or where the data say none of those that go in */
    bool replaces_omega; /* --omega stands in place of the model's */
    double *losses;      /* of each network's image; not-a-number if that is not finite */
    int64_t finite;      /* networks with finite images */
    int64_t bad_inputs;  /* networks with weights that are not finite */
} image_scores;

/* Fails unless the model is one for the loss. */
int image_scores_begin(image_scores *task, loss_kind kind, const nft_model *model, const cli_options *given);
/* Fails unless the data fit the loss. */
int image_scores_set_data(image_scores *task, cli_input *input);
/* Runs the model on --batch-size networks at a time, and keeps only the images of one batch. The ranks share
 * the networks. Fails if no network has finite images. The loss and the PSNR are means over the images. */
int image_scores_compute(cli_scores *scores, image_scores *task, cli_ranks *ranks);

#endif
