/* Wrong configurations, as tables of cases, and how each must be refused. */
#ifndef NFT_TEST_CONFIG_CASES_H
#define NFT_TEST_CONFIG_CASES_H

#include "unit/support.h"

#define WORDS 5

typedef struct config_case {
    const char *text; /* with single quotes */
    nft_status status;
    const char *words[WORDS]; /* all of them are in the message */
} config_case;

#define MLP_LAYERS "{'type': 'linear', 'in': 2, 'out': 5}, {'type': 'linear', 'in': 5, 'out': 3}"
#define CNN_LAYERS                                                                                           \
    "{'type': 'conv2d', 'in': 2, 'out': 5, 'kernel': [3, 2]}, {'type': 'linear', 'in': 5, 'out': 3}"
#define WITH_LAYERS(layers, modules)                                                                         \
    "{'format_version': 1, 'space': {'layers': [" layers "]}, 'in_channels': 4, 'modules': [" modules "]}"
#define MLP(modules) WITH_LAYERS(MLP_LAYERS, modules) /* 33 weights and biases */
#define CNN(modules) WITH_LAYERS(CNN_LAYERS, modules)
#define ONE_LAYER(modules) WITH_LAYERS("{'type': 'linear', 'in': 2, 'out': 5}", modules)
#define LAYERS(layers) WITH_LAYERS(layers, "{'type': 'relu'}")
#define ONE_CHANNEL(modules)                                                                                 \
    "{'format_version': 1, 'space': {'layers': [" MLP_LAYERS "]}, 'modules': [" modules "]}"
#define TOKENS(modules)                                                                                      \
    "{'format_version': 1, 'input': {'type': 'tokens', 'tokens': 6, 'channels': 4}, 'modules': [" modules "]}"
#define FLAT "{'type': 'flatten_weights'}, "
#define POOLED "{'type': 'np_pool'}, "
#define LATENTS(count) FLAT "{'type': 'perceiver', 'num_latents': " #count ", 'latent_dim': 6}"
#define DECODED(layers, modules, options)                                                                    \
    "{'format_version': 1, 'space': {'layers': [" layers "]}, 'modules': [" modules                          \
    "], 'decoder': {'type': 'hypernetwork'" options "}}"
#define STYLE ", 'style': 'joint'"
#define SIZES ", 'hidden_size': 4, 'hidden_layers': 1, 'height': 5, 'width': 5"

static inline void check_message(const char *text, const char *const *words)
{
    const char *message = nft_error_message();
    if (!*message || strpbrk(message, "\n\r\t") || strlen(message) > 600)
        fail_msg("%.200s: the message is not one line: \"%s\"", text, message);
    for (int i = 0; i < WORDS && words[i]; i++)
        if (!strstr(message, words[i]))
            fail_msg("%.300s: the message is \"%s\", expected \"%s\" in it", text, message, words[i]);
}

static inline void refuse(const char *text, nft_status status, const char *const *words)
{
    static int untouched; /* a pointer that must be replaced by NULL */
    nft_model *model = (nft_model *)&untouched;
    char *json = support_json(text);
    nft_status found = nft_model_create(&model, json, strlen(json), 0, NULL);
    free(json);
    if (found != status)
        fail_msg("%.300s: %s (%s), expected %s", text, nft_status_name(found),
                 found ? nft_error_message() : "no message", nft_status_name(status));
    assert_null(model);
    check_message(text, words);
}

typedef struct case_list {
    const config_case *cases;
    size_t count;
} case_list;

/* For a test whose state is a list of cases. */
static inline void refused(void **state)
{
    const case_list *list = *state;
    for (size_t i = 0; i < list->count; i++)
        refuse(list->cases[i].text, list->cases[i].status, list->cases[i].words);
}

#define LIST(cases) (&(case_list){cases, COUNT(cases)})

#endif
