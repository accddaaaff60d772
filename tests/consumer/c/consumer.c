/* Uses an installed libnft from C: a model from a configuration, one network, one forward. */
#include <nft/nft.h>

#include <stdio.h>
#include <string.h>

/* Names that a program may well have: libnft's are out of their way, in the static library too. */
int matmul = 1;
double softmax = 2;
void log_message(const char *message);

void log_message(const char *message)
{
    fprintf(stderr, "%d %g %s\n", matmul, softmax, message);
}

int main(void)
{
    static const char config[] = "{\"format_version\": 1, \"space\": {\"layers\": ["
                                 "{\"type\": \"linear\", \"in\": 2, \"out\": 4}, "
                                 "{\"type\": \"linear\", \"in\": 4, \"out\": 1}]}, "
                                 "\"modules\": [{\"type\": \"np_pool\"}]}";
    nft_model *model = NULL;
    nft_weights *weights = NULL;
    nft_context *context = NULL;
    int failed = nft_model_create(&model, config, strlen(config), 0, NULL) ||
                 nft_weights_create(&weights, nft_model_describe(model)->space, 3, 1, NULL) ||
                 nft_context_create(&context, model, NULL) || nft_forward(context, NFT_VIEW_WEIGHTS(weights));
    if (failed)
        log_message(nft_error_message());
    else
        printf("%s: %d numbers\n", nft_build_info(),
               (int)nft_array_count(nft_context_output(context, NFT_OUTPUT)->array));
    nft_context_free(context);
    nft_weights_free(weights);
    nft_model_free(model);
    return failed;
}
