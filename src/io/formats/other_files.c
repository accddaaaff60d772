/* Files that hold no tensors for us, by their name and with the way out. */
#include "io/formats/format.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#define SPLIT_ZIP                                                                                            \
    "it is one of several parts of a zip archive; join them with `zip -s 0 NAME.zip --out whole.zip`, "      \
    "unpack "                                                                                                \
    "that, and read the files in it"

static const struct {
    const char *mark;
    int64_t length, offset;
    const char *message;
} kinds[] = {
    {"GGUF", 4, 0,
     "it is a GGUF file, whose tensors are quantised; take the safetensors file that it was made from"},
    {"version https://git-lfs", 23, 0,
     "it is a Git LFS pointer, not the file; fetch the file with `git lfs pull`"},
    {"\xfd"
     "7zXZ\0",
     6, 0, "it is packed by xz; unpack it with `unxz`"},
    {"\x28\xb5\x2f\xfd", 4, 0, "it is packed by zstd; unpack it with `zstd -d`"},
    {"BZh", 3, 0, "it is packed by bzip2; unpack it with `bunzip2`"},
    {"7z\xbc\xaf\x27\x1c", 6, 0, "it is a 7-Zip archive; unpack it and read the files in it"},
    {"Rar!\x1a\x07", 6, 0, "it is a RAR archive; unpack it and read the files in it"},
    {"ustar", 5, 257, "it is a tar archive; unpack it with `tar xf` and read the files in it"},
    {"\x89PNG", 4, 0, "it looks like a PNG image; nftool fit makes networks of images"},
    {"\xff\xd8\xff", 3, 0, "it is a JPEG image; nftool fit makes networks of images"},
    {"TFL3", 4, 4, "it is a TensorFlow Lite model, which is not read; export the model to ONNX"},
    {"PK\7\10", 4, 0, SPLIT_ZIP},
    {"%PDF", 4, 0, "it is a PDF document"},
};

/* The length of a safetensors header has zeros. */
static bool is_text(const nft_start *start)
{
    for (int64_t i = 0; i < start->length; i++)
        if ((start->bytes[i] < ' ' && !isspace(start->bytes[i])) ||
            start->bytes[i] >= 0xf8) /* not in UTF-8 */
            return false;
    return start->length > 0;
}

static bool is_page(const nft_start *start)
{
    static const char *const marks[] = {"<!doctype html", "<html", "<head"};
    int64_t at = 0;
    while (at < start->length && isspace(start->bytes[at]))
        at++;
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        size_t n = 0;
        while (marks[i][n] && at + (int64_t)n < start->length &&
               tolower(start->bytes[at + (int64_t)n]) == marks[i][n])
            n++;
        if (!marks[i][n])
            return true;
    }
    return false;
}

static bool is_zero(const nft_start *start)
{
    for (int64_t i = 0; i < start->length; i++)
        if (start->bytes[i])
            return false;
    return start->length > 8; /* which may be the beginning of an empty header */
}

/* A line of text, with a comma or tab in it. */
static bool is_table(const nft_start *start)
{
    bool separated = false;
    int64_t i = 0;
    for (; i < start->length && start->bytes[i] != '\n' && start->bytes[i] != '\r'; i++) {
        if (start->bytes[i] < 0x20 && start->bytes[i] != '\t')
            return false;
        separated |= start->bytes[i] == ',' || start->bytes[i] == '\t';
    }
    return separated && i > 8;
}

static bool is_pickle(const nft_start *start)
{
    return start->length > 2 && start->bytes[0] == 0x80 && start->bytes[1] >= 2 && start->bytes[1] <= 5;
}

/* Two zeros, the type of the numbers and how many axes there are; the first of these is no 0. A safetensors
 * header of as many bytes would be too long. */
static bool is_idx(const nft_start *start)
{
    const uint8_t *bytes = start->bytes;
    return start->length >= 8 && !bytes[0] && !bytes[1] && bytes[2] >= 0x08 && bytes[2] <= 0x0e && bytes[3] &&
           bytes[3] <= 4 && (bytes[4] || bytes[5] || bytes[6] || bytes[7]);
}

/* Whether the text before the end of a name is that of an archive. */
static bool is_archive(const char *name, size_t length)
{
    static const char *const ends[] = {".zip", ".tar", ".gz", ".tgz", ".xz", ".txz", ".bz2", ".zst", ".7z"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t end = strlen(ends[i]);
        if (length > end && !strncmp(name + length - end, ends[i], end))
            return true;
    }
    return false;
}

/* "zoo.tar.gz.aa" of split, "zoo.zip.001" of 7-Zip. */
static bool is_piece(const char *name)
{
    const char *dot = strrchr(name, '.');
    size_t length = dot ? strlen(dot + 1) : 0;
    bool is_number = length == 3 && strspn(dot + 1, "0123456789") == 3;
    bool is_letters = length == 2 && strspn(dot + 1, "abcdefghijklmnopqrstuvwxyz") == 2;
    return (is_number || is_letters) && is_archive(name, (size_t)(dot - name));
}

nft_status nft_refuse_pieces(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');
    if (!is_piece(name))
        return NFT_OK;
    return nft_fail(
        NFT_ERROR_FORMAT,
        "not a file of tensors: by its name it is one of several parts of an archive; join them with "
        "`cat %.*s.* >%.*s`, unpack that, and read the files in it",
        (int)(dot - name), name, (int)(dot - name), name);
}

/* "zoo.z01" of zip -s; its last part is "zoo.zip", which does not begin as an archive. */
static bool is_of_split_zip(const char *path)
{
    const char *dot = strrchr(path, '.');
    bool is_number = dot && dot[1] == 'z' && strlen(dot) >= 4 && !dot[2 + strspn(dot + 2, "0123456789")];
    return is_number || (dot && !strcmp(dot, ".zip"));
}

nft_status nft_refuse_other_files(const char *path, const nft_start *start)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (start->length >= kinds[i].offset + kinds[i].length &&
            !memcmp(start->bytes + kinds[i].offset, kinds[i].mark, (size_t)kinds[i].length))
            return nft_fail(NFT_ERROR_FORMAT, "not a file of tensors: %s", kinds[i].message);
    if (!start->size)
        return nft_fail(NFT_ERROR_FORMAT, "the file is empty");
    if (is_page(start))
        return nft_fail(
            NFT_ERROR_FORMAT,
            "not a file of tensors: it is a web page; the download needs a login or another address");
    if (is_zero(start))
        return nft_fail(NFT_ERROR_FORMAT,
                        "not a file of tensors: it begins with zeros; the copy or download was interrupted");
    if (is_idx(start))
        return nft_fail(NFT_ERROR_FORMAT, "not a file of tensors: it is an IDX file of %s",
                        start->bytes[3] > 2 ? "images; 'nftool fit' makes networks of it" : "labels");
    if (is_pickle(start))
        return nft_fail(NFT_ERROR_FORMAT,
                        "not a file of tensors: it is a plain pickle, which is not read; save the "
                        "tensors with torch.save, numpy.savez or safetensors");
    if (is_table(start))
        return nft_fail(
            NFT_ERROR_FORMAT,
            "not a file of tensors: it looks like a table of text; it may hold labels, not networks");
    if (is_text(start))
        return nft_fail(NFT_ERROR_FORMAT, "not a file of tensors: it looks like text");
    if (is_of_split_zip(path))
        return nft_fail(NFT_ERROR_FORMAT, "not a file of tensors: by its name " SPLIT_ZIP);
    return NFT_OK;
}
