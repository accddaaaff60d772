/* `.npy` as NumPy's "NEP 1" defines it, versions 1 to 3, and `.npz`, a zip of them. The header is the literal
 * of a Python dictionary, which is parsed and never evaluated. */
#include "io/formats/numpy.h"
#include "space/array.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC "\x93NUMPY"
#define MAGIC_BYTES 6
#define LARGEST_HEADER (INT64_C(1) << 20)
#define LONGEST_TYPE 32

/* The header while it is read; ends with a 0. */
typedef struct header {
    const char *at;
    char type[LONGEST_TYPE]; /* of "descr"; empty if it is no text */
    int64_t shape[NFT_ARRAY_MAX_RANK];
    int64_t rank; /* may be more than there is room for */
    bool is_fortran, has_type, has_shape;
} header;

static nft_status fail_header(const header *h)
{
    return nft_fail(NFT_ERROR_FORMAT,
                    "the array's header is not the dictionary that NumPy writes, at '%.16s'", h->at);
}

static void skip_space(header *h)
{
    while (*h->at == ' ' || *h->at == '\n' || *h->at == '\t')
        h->at++;
}

/* Skips the character if it comes next. */
static bool skip(header *h, char character)
{
    skip_space(h);
    if (*h->at != character)
        return false;
    h->at++;
    return true;
}

/* A text in quotes, without escapes; false if none comes next, or it is too long. */
static bool read_text(header *h, char text[LONGEST_TYPE])
{
    skip_space(h);
    char quote = *h->at;
    size_t length = 0;
    if (quote != '\'' && quote != '"')
        return false;
    while (h->at[1 + length] && h->at[1 + length] != quote)
        length++;
    if (!h->at[1 + length] || length >= LONGEST_TYPE)
        return false;
    memcpy(text, h->at + 1, length);
    text[length] = 0;
    h->at += length + 2;
    return true;
}

static bool read_word(header *h, const char *word)
{
    skip_space(h);
    if (strncmp(h->at, word, strlen(word)) != 0)
        return false;
    h->at += strlen(word);
    return true;
}

/* "(3, 4)", "(3,)" or "()"; Python 2 wrote an L behind large sizes. */
static bool read_shape(header *h)
{
    if (!skip(h, '('))
        return false;
    while (!skip(h, ')')) {
        int64_t size = 0;
        const char *digits = h->at;
        for (; *h->at >= '0' && *h->at <= '9'; h->at++)
            size = nft_size_add(nft_size_multiply(size, 10), *h->at - '0');
        if (h->at == digits)
            return false;
        if (h->rank < NFT_ARRAY_MAX_RANK)
            h->shape[h->rank] = size;
        h->rank++;
        skip(h, 'L');
        if (!skip(h, ',') && *h->at != ')')
            return false;
    }
    return true;
}

/* The list of a structured type's fields, which is not looked into. */
static bool skip_list(header *h)
{
    int depth = 0;
    char text[LONGEST_TYPE];
    do {
        if (skip(h, '[') || skip(h, '('))
            depth++;
        else if (skip(h, ']') || skip(h, ')'))
            depth--;
        else if (!read_text(h, text) && *h->at)
            h->at++;
    } while (depth > 0 && *h->at);
    return !depth;
}

static bool read_pair(header *h)
{
    char key[LONGEST_TYPE];
    if (!read_text(h, key) || !skip(h, ':'))
        return false;
    if (!strcmp(key, "descr")) {
        h->has_type = true;
        skip_space(h);
        return *h->at == '[' ? skip_list(h) : read_text(h, h->type);
    }
    if (!strcmp(key, "shape"))
        return h->has_shape = !h->has_shape && read_shape(h);
    if (strcmp(key, "fortran_order") != 0)
        return false;
    h->is_fortran = read_word(h, "True");
    return h->is_fortran || read_word(h, "False");
}

static nft_status read_header(header *h)
{
    if (!skip(h, '{'))
        return fail_header(h);
    while (!skip(h, '}'))
        if (!read_pair(h) || (!skip(h, ',') && *h->at != '}'))
            return fail_header(h);
    return h->has_type && h->has_shape ? NFT_OK : fail_header(h);
}

static const struct {
    const char *code; /* behind the character of the byte order */
    nft_type type;
} types[] = {{"f4", NFT_TYPE_F32}, {"f8", NFT_TYPE_F64}, {"f2", NFT_TYPE_F16}, {"i8", NFT_TYPE_I64},
             {"i4", NFT_TYPE_I32}, {"i2", NFT_TYPE_I16}, {"i1", NFT_TYPE_I8},  {"u8", NFT_TYPE_U64},
             {"u4", NFT_TYPE_U32}, {"u2", NFT_TYPE_U16}, {"u1", NFT_TYPE_U8},  {"b1", NFT_TYPE_BOOL}};

static bool find_type(const char *type, nft_type *found)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (*type && strchr("<>|", *type) && !strcmp(type + 1, types[i].code)) {
            *found = types[i].type;
            return true;
        }
    return false;
}

static const char *other_type(const char *type)
{
    char kind = 0;
    if (*type)
        kind = type[1];
    return kind == 'c'                  ? "complex numbers"
           : kind == 'O'                ? "Python objects"
           : kind == 'U' || kind == 'S' ? "texts"
           : kind == 'f'                ? "floats of another size"
           : kind == 'V'                ? "bytes without a type"
           : kind == 'M' || kind == 'm' ? "times"
                                        : "structures of several fields";
}

/* Column-major order as strides. */
static void set_strides(nft_entry *entry)
{
    int64_t stride = 1;
    entry->is_strided = true;
    for (int64_t axis = 0; axis < entry->rank; axis++) {
        entry->strides[axis] = stride;
        stride = nft_size_multiply(stride, entry->shape[axis]);
    }
}

static nft_status add_array(nft_file *file, const char *name, size_t length, const header *h,
                            nft_entry *entry, int64_t end)
{
    if (!find_type(h->type, &entry->type))
        return nft_file_leave_out(file, name, length, "its elements are %s (%s)", other_type(h->type),
                                  *h->type ? h->type : "a list");
    if (h->rank > NFT_ARRAY_MAX_RANK)
        return nft_file_leave_out(file, name, length, "it has %" PRId64 " axes, expected at most %d", h->rank,
                                  NFT_ARRAY_MAX_RANK);
    entry->rank = h->rank;
    memcpy(entry->shape, h->shape, sizeof entry->shape);
    entry->is_big_endian = h->type[0] == '>';
    if (h->is_fortran)
        set_strides(entry);
    return nft_file_add_entry(file, name, length, entry, end);
}

nft_status nft_numpy_list(nft_file *file, const char *name, size_t length, const nft_source *source,
                          int64_t offset, int64_t end)
{
    uint8_t start[12] = {0};
    int64_t available = end - offset < (int64_t)sizeof start ? end - offset : (int64_t)sizeof start;
    nft_status status = nft_source_read(source, offset, available, start);
    if (status)
        return status;
    int prefix = start[MAGIC_BYTES] == 1 ? 10 : 12;
    int64_t bytes = (int64_t)nft_load_le(start + 8, prefix - 8);
    if (memcmp(start, MAGIC, MAGIC_BYTES) != 0 || start[MAGIC_BYTES] < 1 || start[MAGIC_BYTES] > 3)
        return nft_fail(NFT_ERROR_FORMAT, "it is no array of NumPy's versions 1 to 3");
    if (bytes > LARGEST_HEADER || prefix + bytes > end - offset)
        return nft_fail(NFT_ERROR_FORMAT,
                        "the array's header is %" PRId64 " bytes long, but %" PRId64
                        " follow; is it cut short?",
                        bytes, end - offset - prefix);
    char *text = nft_allocate((size_t)bytes + 1);
    if (!text)
        return nft_fail_memory("a header", bytes);
    header h = {.at = text};
    nft_entry entry = {.source = source, .offset = offset + prefix + bytes};
    status = nft_source_read(source, offset + prefix, bytes, text);
    if (!status)
        status = read_header(&h);
    if (!status)
        status = add_array(file, name, length, &h, &entry, end);
    nft_release(text);
    return status;
}

static bool matches(const nft_start *start)
{
    return nft_start_is(start, MAGIC, MAGIC_BYTES);
}

static nft_status open_array(nft_file *file)
{
    return nft_numpy_list(file, "tensor", strlen("tensor"), &file->source, 0, file->source.size);
}

const nft_format nft_format_numpy = {"NumPy", matches, open_array, NULL};

bool nft_numpy_is_archive(const nft_zip *zip)
{
    for (int64_t i = 0; i < zip->count; i++)
        if (!nft_zip_ends_with(&zip->members[i], ".npy"))
            return false;
    return zip->count > 0;
}

nft_status nft_numpy_open_archive(nft_file *file, nft_zip *zip)
{
    nft_status status = NFT_OK;
    for (int64_t i = 0; i < zip->count && !status; i++) {
        nft_zip_member *member = &zip->members[i];
        const nft_source *source;
        int64_t offset = 0;
        size_t length = member->name_length - strlen(".npy");
        status = nft_zip_place(file, member, &source, &offset);
        if (status)
            return status;
        status = nft_numpy_list(file, member->name, length, source, offset, offset + member->size);
        if (status)
            nft_fail_in(status, "'%.*s.npy' in the archive", length < 80 ? (int)length : 80, member->name);
    }
    return status;
}
