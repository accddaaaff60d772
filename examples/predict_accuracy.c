/* predict_accuracy MODEL WEIGHTS: how accurate are these networks? The model answers from their weights.
 * Prints each prediction with the network's true accuracy, and how alike the two rank the networks. Then
 * every network's hidden neurons are shuffled, which changes neither its function nor the prediction. */
#include <nft/nft.h>
#include <nft/permute.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Kendall's tau-b: +1 if both order all pairs alike, -1 if oppositely. Pairs that one of them ties count for
 * neither. */
static double kendall_tau_b(const float *a, const float *b, int64_t count)
{
    double agreement = 0, pairs_a = 0, pairs_b = 0;
    for (int64_t i = 0; i < count; i++)
        for (int64_t j = 0; j < i; j++) {
            int order_a = (a[i] > a[j]) - (a[i] < a[j]), order_b = (b[i] > b[j]) - (b[i] < b[j]);
            agreement += order_a * order_b;
            pairs_a += order_a != 0;
            pairs_b += order_b != 0;
        }
    return agreement / sqrt(pairs_a * pairs_b);
}

/* Runs the model; copies one number a network to `predictions`. */
static nft_status predict(nft_context *context, const nft_weights *networks, float *predictions)
{
    nft_status status = nft_forward(context, NFT_VIEW_WEIGHTS(networks));
    if (status == NFT_OK)
        memcpy(predictions, nft_array_f32(nft_context_output(context, NFT_OUTPUT)->array),
               (size_t)nft_weights_count(networks) * sizeof *predictions);
    return status;
}

static void print_predictions(int64_t count, const float *predicted, const float *actual)
{
    printf("network  predicted  actual\n");
    for (int64_t n = 0; n < count; n++)
        printf("%7d  %9.3f  %6.3f\n", (int)n, predicted[n], actual[n]);
    printf("Kendall's tau-b %.3f\n", kendall_tau_b(predicted, actual, count));
}

static void print_difference(int64_t count, const float *before, const float *after)
{
    double largest = 0;
    for (int64_t n = 0; n < count; n++)
        largest = fmax(largest, fabs((double)after[n] - before[n]));
    printf("after shuffling all hidden neurons: largest difference %.1e\n", largest);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: %s MODEL WEIGHTS\n", argv[0]);
        return 2;
    }
    nft_model *model = NULL;
    nft_weights *networks = NULL;
    nft_context *context = NULL;
    float *predicted = NULL, *again = NULL;
    int failed = 1;

    if (nft_model_load(&model, argv[1], NULL) || nft_weights_load(&networks, argv[2], NULL) ||
        nft_context_create(&context, model, NULL)) {
        fprintf(stderr, "%s\n", nft_error_message());
        goto done;
    }
    const nft_module_info *output = nft_model_describe(model)->output;
    const nft_array *label = nft_weights_extra(networks, "label");
    const float *actual = label ? nft_array_f32(label) : NULL;
    int64_t count = nft_weights_count(networks);
    if (output->output != NFT_VALUE_VECTOR || output->channels != 1) {
        fprintf(stderr, "%s: expected a model that gives one number a network\n", argv[1]);
        goto done;
    }
    if (!actual || nft_array_count(label) != count) {
        fprintf(stderr, "%s: expected 'label' with the accuracy of each network\n", argv[2]);
        goto done;
    }
    predicted = calloc((size_t)count + 1, sizeof *predicted);
    again = calloc((size_t)count + 1, sizeof *again);
    if (!predicted || !again) {
        fprintf(stderr, "out of memory\n");
        goto done;
    }
    if (predict(context, networks, predicted) || nft_weights_permute_random(networks, 1, 0) ||
        predict(context, networks, again)) {
        fprintf(stderr, "%s\n", nft_error_message());
        goto done;
    }
    print_predictions(count, predicted, actual);
    print_difference(count, predicted, again);
    failed = 0;
done:
    free(again);
    free(predicted);
    nft_context_free(context);
    nft_weights_free(networks);
    nft_model_free(model);
    return failed;
}
