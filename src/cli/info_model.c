/* nftool info of models and configurations. */
#include "info.h"
#include "metrics.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>

static const char *const value_names[] = {"features", "tokens", "vector"};

static nft_status model_tensor(const void *model, int64_t index, nft_tensor_info *info)
{
    return nft_model_tensor(info, model, index);
}

static int64_t count_non_finite(const nft_model *model)
{
    int64_t found = 0;
    for (int64_t i = 0; i < nft_model_describe(model)->tensor_count; i++) {
        nft_tensor_info info = NFT_TENSOR_INFO_INIT;
        if (nft_model_tensor(&info, model, i))
            continue;
        for (int64_t j = 0; j < info.count; j++)
            found += !all_finite(info.data + j, 1);
    }
    return found;
}

static json_t *value_json(const nft_module_info *info)
{
    json_t *object = json_object();
    json_object_set_new(object, "kind", json_string(value_names[info->output]));
    if (info->output == NFT_VALUE_TOKENS)
        json_object_set_new(object, "tokens", json_integer(info->tokens));
    json_object_set_new(object, "channels", json_integer(info->channels));
    return object;
}

static json_t *modules_json(const nft_model *model)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < nft_model_describe(model)->module_count; i++) {
        nft_module_info info = NFT_MODULE_INFO_INIT;
        if (nft_model_module(&info, model, i))
            continue;
        json_array_append_new(
            list, json_pack("{s:s, s:o, s:I, s:I, s:I}", "type", info.type, "output", value_json(&info),
                            "parameters", (json_int_t)info.parameter_count, "buffers",
                            (json_int_t)info.buffer_count, "flops", (json_int_t)info.flops));
    }
    return list;
}

static const char *kind_of(const nft_file *file)
{
    return file ? "model" : "configuration";
}

static int print_as_json(const nft_model *model, const nft_file *file)
{
    const nft_module_info *input = nft_model_describe(model)->input;
    const nft_module_info *output = nft_model_describe(model)->output;
    const char *loss = nft_model_metadata(model, "nft.loss");
    json_t *object = json_object();
    json_object_set_new(object, "kind", json_string(kind_of(file)));
    json_object_set_new(object, "space", space_json(nft_model_describe(model)->space));
    json_object_set_new(object, "parameters", json_integer(output->parameter_count));
    json_object_set_new(object, "buffers", json_integer(output->buffer_count));
    json_object_set_new(object, "flops", json_integer(output->flops));
    json_object_set_new(object, "input", value_json(input));
    json_object_set_new(object, "output", value_json(output));
    json_object_set_new(object, "decoder", json_boolean(nft_model_describe(model)->has_decoder));
    json_object_set_new(object, "loss", loss ? json_text(loss) : json_null());
    json_object_set_new(object, "non_finite", json_integer(count_non_finite(model)));
    json_object_set_new(object, "metadata", metadata_json(file));
    json_object_set_new(object, "modules", modules_json(model));
    json_object_set_new(object, "tensors",
                        tensors_json(model, nft_model_describe(model)->tensor_count, model_tensor));
    return print_json(object);
}

/* "features, 16 channels", "16 tokens of 256", "vector of 10" */
static char *describe_value(char *text, const nft_module_info *info)
{
    char part[TEXT_CAPACITY];
    if (info->output == NFT_VALUE_FEATURES)
        snprintf(text, TEXT_CAPACITY, "features, %.64s", text_plural(part, info->channels, "channel"));
    else if (info->output == NFT_VALUE_TOKENS)
        snprintf(text, TEXT_CAPACITY, "%.64s of %" PRId64, text_plural(part, info->tokens, "token"),
                 info->channels);
    else
        snprintf(text, TEXT_CAPACITY, "vector of %.32s", text_count(part, info->channels));
    return text;
}

static void module_cells(cli_table *table, const char *index, const char *name, const nft_module_info *info)
{
    char text[TEXT_CAPACITY];
    table_cell(table, "%s", index);
    table_cell(table, "%s", name);
    table_cell(table, "%s", describe_value(text, info));
    table_cell(table, "%s", text_count(text, info->parameter_count));
    table_cell(table, "%s", text_count(text, info->buffer_count));
    table_cell(table, info->flops ? "%.6f" : "%.0f", (double)info->flops * 1e-9);
}

/* The totals without the modules' parts. */
static nft_module_info decoder_share(const nft_model *model, const nft_module_info *output)
{
    nft_module_info rest = *output;
    for (int64_t i = 0; i < nft_model_describe(model)->module_count; i++) {
        nft_module_info info = NFT_MODULE_INFO_INIT;
        if (nft_model_module(&info, model, i))
            continue;
        rest.parameter_count -= info.parameter_count;
        rest.buffer_count -= info.buffer_count;
        rest.flops -= info.flops;
    }
    return rest;
}

static int print_modules(const nft_model *model, const nft_module_info *output)
{
    static const char *const titles[] = {"", "module", "gives", "parameters", "buffers", "GFLOP"};
    cli_table table = TABLE_INIT("rllrrr", 2);
    table_header(&table, titles);
    for (int64_t i = 0; i < nft_model_describe(model)->module_count; i++) {
        nft_module_info info = NFT_MODULE_INFO_INIT;
        char index[24];
        if (nft_model_module(&info, model, i))
            return table_fail(&table);
        snprintf(index, sizeof index, "%" PRId64, i);
        module_cells(&table, index, info.type, &info);
    }
    if (nft_model_describe(model)->has_decoder) {
        nft_module_info decoder = decoder_share(model, output);
        module_cells(&table, "", "decoder", &decoder);
    }
    module_cells(&table, "", "total", output);
    putchar('\n');
    return table_print(&table);
}

static int print_for_people(const nft_model *model, const nft_file *file, const cli_options *given)
{
    const nft_module_info *input = nft_model_describe(model)->input;
    const nft_module_info *output = nft_model_describe(model)->output;
    char text[2][TEXT_CAPACITY];
    const char *loss = nft_model_metadata(model, "nft.loss");
    const nft_space *space = nft_model_describe(model)->space;
    int64_t wrong = count_non_finite(model);
    int failed = EXIT_SUCCESS;
    printf("kind       %s\n", kind_of(file));
    printf("takes      %s\n", describe_value(text[0], input));
    if (nft_model_describe(model)->has_decoder)
        printf("gives      %s, the decoder's images\n", describe_value(text[0], output));
    else
        printf("gives      %s\n", describe_value(text[0], output));
    if (loss)
        say("loss       %s", loss);
    if (wrong)
        printf("non-finite %s\n", text_plural(text[0], wrong, "value"));
    if (space) {
        printf("networks   of %s in %s\n\n",
               text_plural(text[0], nft_space_describe(space)->parameter_count, "parameter"),
               describe_space_size(text[1], space));
        failed = print_space(space, NULL);
    }
    if (!failed)
        failed = print_modules(model, output);
    if (!failed)
        failed = print_metadata(file);
    if (!failed && option_text(given, "tensors"))
        failed = print_tensors(model, nft_model_describe(model)->tensor_count, model_tensor);
    return failed;
}

int info_model(const nft_model *model, const nft_file *file, const cli_options *given)
{
    return given->json ? print_as_json(model, file) : print_for_people(model, file, given);
}
