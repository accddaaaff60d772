/* nn.LSTM, nn.GRU and nn.RNN, with or without a linear layer behind them. Gates are positions. The last
 * layer's neurons are outputs, and keep their order, unless a layer reads them. */
#include "io/families/families.h"

#include <stdio.h>
#include <string.h>

/* The only other layer with a weight, which reads the last neurons; NULL if there is none. */
static const nft_entry *find_reader(const nft_family *family, int64_t width)
{
    for (int64_t i = 0; i < family->file->entry_count; i++) {
        const nft_entry *entry = &family->file->entries[i];
        const char *end = strrchr(entry->name, '.');
        if (end && !strcmp(end, ".weight") && !strncmp(entry->name, family->outer, strlen(family->outer)) &&
            entry->rank - family->leading == 2 && nft_family_size(family, entry, 1) == width)
            return entry;
    }
    return NULL;
}

static void add_reader(nft_family *family, const nft_entry *reader, int64_t in)
{
    int64_t classes = nft_family_axis(family, nft_family_size(family, reader, 0), true, "classes");
    char name[256];
    int length = (int)strlen(reader->name) - (int)strlen(".weight");
    if (snprintf(name, sizeof name, "%.*s.bias", length, reader->name) >= (int)sizeof name) {
        nft_family_fail(family, "a name is too long");
        return;
    }
    nft_family_add(family, reader, (const int64_t[]){classes, in}, 2);
    nft_family_add(family, nft_file_find(family->file, name), &classes, 1);
}

void nft_family_recurrent(nft_family *family)
{
    const nft_entry *inputs = nft_family_find(family, "weight_ih_l0");
    int64_t in = nft_family_axis(family, nft_family_size(family, inputs, 1), true, "inputs"), width = 0;
    int layers = 0;
    while (nft_family_find(family, "weight_hh_l%d", layers))
        layers++;
    if (nft_family_find(family, "weight_ih_l0_reverse") || nft_family_find(family, "weight_hr_l0"))
        nft_family_fail(family, "it is bidirectional, or projects its outputs");
    width = nft_family_size(family, nft_family_find(family, "weight_hh_l%d", layers - 1), 1);
    const nft_entry *reader = find_reader(family, width);
    for (int i = 0; i < layers && !family->status; i++) {
        const nft_entry *own = nft_family_find(family, "weight_hh_l%d", i);
        int64_t size = nft_family_size(family, own, 1), rows = nft_family_size(family, own, 0);
        int64_t hidden = nft_family_axis(family, size, i == layers - 1 && !reader, "hidden");
        int64_t gates = size ? rows / size : 0;
        nft_family_add_gates(family, nft_family_find(family, "weight_ih_l%d", i), gates, hidden, in);
        nft_family_add_gates(family, own, gates, hidden, hidden);
        nft_family_add_gates(family, nft_family_find(family, "bias_ih_l%d", i), gates, hidden, -1);
        nft_family_add_gates(family, nft_family_find(family, "bias_hh_l%d", i), gates, hidden, -1);
        in = hidden;
    }
    if (reader)
        add_reader(family, reader, in);
}
