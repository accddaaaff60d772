/* nftool info of the texts in a file's metadata. */
#include "info.h"
#include "text.h"

#include <stdio.h>
#include <string.h>

#define LONGEST_VALUE 100 /* bytes of a text that people see; --json gives all */

json_t *metadata_json(const nft_file *file)
{
    json_t *object = json_object();
    const char *key, *text;
    for (int64_t i = 0; file && (key = nft_file_metadata_at(&text, file, i)); i++)
        json_object_set_new(object, key, json_text(text));
    return object;
}

/* Bytes of the text that are shown: whole characters of UTF-8. */
static int shown_length(const char *text)
{
    size_t length = strlen(text);
    if (length <= LONGEST_VALUE)
        return (int)length;
    int shown = LONGEST_VALUE;
    while (shown && ((unsigned char)text[shown] & 0xc0) == 0x80)
        shown--;
    return shown;
}

int print_metadata(const nft_file *file)
{
    static const char *const titles[] = {"metadata", "value"};
    cli_table table = TABLE_INIT("ll", 2);
    const char *key, *text;
    if (!file || !nft_file_metadata_at(NULL, file, 0))
        return EXIT_SUCCESS;
    table_header(&table, titles);
    for (int64_t i = 0; (key = nft_file_metadata_at(&text, file, i)); i++) {
        int shown = shown_length(text);
        table_cell(&table, "%s", key);
        table_cell(&table, "%.*s%s", shown, text, text[shown] ? " …" : "");
    }
    putchar('\n');
    return table_print(&table);
}

void append_class_names(char *said, size_t size, const nft_file *file, const char *tensor)
{
    char key[TEXT_CAPACITY];
    bool is_label = !strcmp(tensor, "label");
    snprintf(key, sizeof key, is_label ? "nft.classes" : "nft.classes.%s", tensor);
    const char *text = nft_file_metadata(file, key);
    json_t *names = text ? json_loads(text, 0, NULL) : NULL;
    size_t used = strlen(said);
    for (size_t i = 0; i < json_array_size(names) && used < size; i++) {
        const char *name = json_string_value(json_array_get(names, i));
        used += (size_t)snprintf(said + used, size - used, "%s%.40s", i ? ", " : ": ", name ? name : "?");
        if (used < size && used > LONGEST_VALUE && i + 1 < json_array_size(names)) {
            snprintf(said + used, size - used, ", …");
            break;
        }
    }
    json_decref(names);
}
