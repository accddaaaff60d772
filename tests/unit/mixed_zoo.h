/* Networks of several spaces with labels, in memory and in the files of an index. Included after temporary.h.
 */
#ifndef NFT_TEST_MIXED_ZOO_H
#define NFT_TEST_MIXED_ZOO_H

#include "unit/training.h"

#define ANY(modules) "{'format_version': 1, 'space': 'any', 'modules': [" modules "]}"
#define MIXED                                                                                                \
    ANY("{'type': 'normalize'}, {'type': 'lift', 'out_channels': 4, 'positions': 9}, {'type': "              \
        "'place_embedding'}, {'type': 'nft_block', 'num_heads': 2, 'dropout': 0.2}, {'type': "               \
        "'role_pool'}, {'type': 'linear', 'out_features': 1}, {'type': 'sigmoid'}")

static const char *const space_texts[] = {
    "{'layers': [{'type': 'linear', 'in': 2, 'out': 5}, {'type': 'linear', 'in': 5, 'out': 3}]}",
    "{'axes': [{'name': 'image', 'size': 2, 'symmetry': 'none'}, {'name': 'c', 'size': 3}, {'name': "
    "'classes', 'size': 3, 'symmetry': 'none'}], 'tensors': [{'name': 'stem.weight', 'shape': ['c', "
    "'image', 3, 3]}, {'name': 'bn.weight', 'shape': ['c']}, {'name': 'bn.running_var', 'shape': ['c']}, "
    "{'name': 'block.weight', 'shape': ['c', 'c', 3, 3]}, {'name': 'fc.weight', 'shape': ['classes', ['c', "
    "4]]}]}",
    "{'axes': [{'name': 'in', 'size': 3, 'symmetry': 'none'}, {'name': 'h', 'size': 4}], 'tensors': "
    "[{'name': 'q', 'shape': ['h', 'in'], 'from': 'in_proj', 'slice': [0, 0, 4]}, {'name': 'k', 'shape': "
    "['h', 'in'], 'from': 'in_proj', 'slice': [0, 4, 4]}, {'name': 'scale', 'shape': []}]}"};
#define SPACES 3
static const int64_t counts[SPACES] = {5, 11, 4};

/* Networks of each space, and an index of their files. */
typedef struct zoo {
    nft_weights *sets[SPACES];
    char index[256];
} zoo;

static inline void expect(nft_status status, nft_status expected, const char *text)
{
    assert_int_equal(status, expected);
    if (!strstr(nft_error_message(), text))
        fail_msg("message is \"%s\", expected \"%s\" in it", nft_error_message(), text);
}

static inline nft_space *parse_space(const char *text)
{
    char *json = support_json(text);
    nft_space *space = NULL;
    assert_ok(nft_space_parse(&space, json, strlen(json)));
    free(json);
    return space;
}

static inline void label_set(nft_weights *set, uint64_t seed)
{
    nft_random random = {seed, 100};
    nft_array *label = NULL;
    int64_t count = nft_weights_count(set);
    float targets[128];
    for (int64_t i = 0; i < count; i++)
        targets[i] = nft_random_uniform(&random, (uint64_t)i);
    assert_ok(nft_array_create(&label, NFT_ARRAY_F32, &count, 1, targets));
    assert_ok(nft_weights_set_extra(set, "label", label));
    nft_array_free(label);
}

static inline void write_text(const char *path, const char *text)
{
    char *json = support_json(text);
    temporary_write(path, json, strlen(json));
    free(json);
}

static inline zoo open_zoo(const char *name, uint64_t seed)
{
    zoo z;
    char text[512] = "{'format_version': 1, 'parts': [";
    for (int i = 0; i < SPACES; i++) {
        char file[64], part[128];
        nft_space *space = parse_space(space_texts[i]);
        z.sets[i] = support_weights(space, counts[i], 1, seed + (uint64_t)i);
        label_set(z.sets[i], seed + (uint64_t)i);
        nft_space_free(space);
        snprintf(file, sizeof file, "%s-%d.safetensors", name, i);
        assert_ok(nft_weights_save(z.sets[i], temporary_path(file)));
        snprintf(part, sizeof part, "%s{'file': '%s', 'count': %" PRId64 "}", i ? ", " : "", file, counts[i]);
        strcat(text, part);
    }
    strcat(text, "]}");
    snprintf(z.index, sizeof z.index, "%s", temporary_path(name));
    write_text(z.index, text);
    return z;
}

static inline void close_zoo(zoo *z)
{
    for (int i = 0; i < SPACES; i++)
        nft_weights_free(z->sets[i]);
}

static inline const nft_weights *const *sets_of(const zoo *z)
{
    return (const nft_weights *const *)z->sets;
}

#endif
