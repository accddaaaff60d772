#include "io/file.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int64_t size;
    bool is_float, is_integer;
} types[] = {
    [NFT_TYPE_F32] = {"F32", 4, true, false},
    [NFT_TYPE_F16] = {"F16", 2, true, false},
    [NFT_TYPE_BF16] = {"BF16", 2, true, false},
    [NFT_TYPE_F64] = {"F64", 8, true, false},
    [NFT_TYPE_I64] = {"I64", 8, false, true},
    [NFT_TYPE_I32] = {"I32", 4, false, true},
    [NFT_TYPE_I16] = {"I16", 2, false, true},
    [NFT_TYPE_I8] = {"I8", 1, false, true},
    [NFT_TYPE_U32] = {"U32", 4, false, true},
    [NFT_TYPE_U16] = {"U16", 2, false, true},
    [NFT_TYPE_U8] = {"U8", 1, false, true},
    [NFT_TYPE_BOOL] = {"BOOL", 1, false, true},
    [NFT_TYPE_U64] = {"U64", 8, false, true},
    [NFT_TYPE_F8_E4M3] = {"F8_E4M3", 1, true, false},
    [NFT_TYPE_F8_E5M2] = {"F8_E5M2", 1, true, false},
    [NFT_TYPE_F8_E8M0] = {"F8_E8M0", 1, true, false},
    [NFT_TYPE_F8_E4M3FNUZ] = {"F8_E4M3FNUZ", 1, true, false},
    [NFT_TYPE_F8_E5M2FNUZ] = {"F8_E5M2FNUZ", 1, true, false},
};

const char *nft_type_name(nft_type type)
{
    return types[type].name;
}

int64_t nft_type_size(nft_type type)
{
    return types[type].size;
}

bool nft_type_is_float(nft_type type)
{
    return types[type].is_float;
}

bool nft_type_is_integer(nft_type type)
{
    return types[type].is_integer;
}

void nft_shape_describe(const int64_t *shape, int64_t rank, char *text, size_t capacity)
{
    size_t used = 0;
    for (int64_t axis = 0; axis < rank && used < capacity; axis++)
        used += (size_t)snprintf(text + used, capacity - used, "%s%" PRId64, axis ? ", " : "(", shape[axis]);
    if (used < capacity)
        snprintf(text + used, capacity - used, rank > 0 ? ")" : "()");
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Compares the runs of digits at *a and *b, of any length, and moves both behind them. */
static int compare_integers(const char **a, const char **b)
{
    const char *p = *a + strspn(*a, "0"), *q = *b + strspn(*b, "0");
    size_t m = strspn(p, "0123456789"), n = strspn(q, "0123456789");
    *a = p + m;
    *b = q + n;
    if (m != n)
        return m < n ? -1 : 1;
    return memcmp(p, q, m);
}

/* A run of digits ends the text before it, and a text sorts before its continuations: so a digit comes before
 * any other byte. Names that differ only in leading zeros are told apart bytewise. */
int nft_compare_names(const char *a, const char *b)
{
    const char *p = a, *q = b;
    while (*p && *q) {
        bool digit = is_digit(*p);
        if (digit != is_digit(*q))
            return digit ? -1 : 1;
        if (digit) {
            int order = compare_integers(&p, &q);
            if (order)
                return order;
        } else if (*p != *q) {
            return (unsigned char)*p < (unsigned char)*q ? -1 : 1;
        } else {
            p++;
            q++;
        }
    }
    if (*p || *q)
        return *p ? 1 : -1;
    return strcmp(a, b);
}
