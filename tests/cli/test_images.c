/* The program's readers of pictures: IDX files, also damaged ones, and PNG files of every kind. Their
 * messages go to standard error. */
#define _XOPEN_SOURCE 700
#include "images.h"
#include "unit/temporary.h"

#include <math.h>
#include <png.h>
#include <setjmp.h>
#include <stdarg.h>
#include <zlib.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const unsigned char idx_bytes[] = {0, 0,  8,   3,   0,   0,   0,   2,   0, 0, 0, 2,
                                          0, 0,  0,   3, /* 2 × 2 × 3 */
                                          0, 51, 102, 153, 204, 255, 255, 254, 3, 2, 1, 0};

/* temporary_path(), for functions that take paths as the command line has them. */
static char *path_of(const char *name)
{
    return (char *)(uintptr_t)temporary_path(name);
}

static float colour(int byte)
{
    return (float)(((double)byte / 255 - 0.5) / 0.5);
}

static void check_idx_images(char *path)
{
    cli_images images;
    float values[12];
    assert_int_equal(open_images(&images, &path, 1), 0);
    assert_int_equal(images.count, 2);
    assert_int_equal(images.height, 2);
    assert_int_equal(images.width, 3);
    assert_int_equal(images.colours, 1);
    assert_int_equal(read_images(&images, 1, values), 0);
    assert_int_equal(read_images(&images, 1, values + 6), 0);
    for (int i = 0; i < 12; i++)
        assert_true(values[i] == colour(idx_bytes[16 + i]));
    close_images(&images);
    assert_int_equal(open_images(&images, &path, 1), 0);
    assert_int_equal(skip_images(&images, 1), 0);
    assert_int_equal(read_images(&images, 1, values), 0);
    assert_true(values[1] == colour(254));
    close_images(&images);
}

static void write_gzip(const char *path, const void *bytes, unsigned size)
{
    gzFile file = gzopen(path, "wb");
    assert_int_equal(gzwrite(file, bytes, size), (int)size);
    assert_int_equal(gzclose(file), Z_OK);
}

static void idx_images(void **state)
{
    (void)state;
    char *plain = path_of("plain"), *packed = path_of("packed");
    temporary_write(plain, idx_bytes, sizeof idx_bytes);
    check_idx_images(plain);
    write_gzip(packed, idx_bytes, sizeof idx_bytes);
    check_idx_images(packed);
}

/* Opening or reading must fail, plain and gzipped. */
static void check_damaged(const unsigned char *bytes, size_t size, const char *words)
{
    for (int packed = 0; packed < 2; packed++) {
        const char *path = temporary_path("damaged");
        idx_file file;
        double numbers[64];
        if (packed)
            write_gzip(path, bytes, (unsigned)size);
        else
            temporary_write(path, bytes, size);
        bool read = idx_open(&file, path) && idx_read(&file, file.left < 4 ? file.left : 4, numbers);
        idx_close(&file);
        if (read || !strstr(file.message, words) || strncmp(file.message, path, strlen(path)) != 0)
            fail_msg("%s: '%s' does not say '%s'", read ? "no failure" : "failure", file.message, words);
    }
}

static void damaged_idx(void **state)
{
    (void)state;
    unsigned char bytes[sizeof idx_bytes + 1] = {0};
    memcpy(bytes, idx_bytes, sizeof idx_bytes);
    check_damaged(bytes, 0, "ends too soon");
    check_damaged(bytes, 3, "ends too soon");
    check_damaged(bytes, 11, "ends too soon");
    check_damaged(bytes, 16, "its header says");
    check_damaged(bytes, sizeof idx_bytes - 1, "its header says");
    check_damaged(bytes, sizeof bytes, "its header says");
    bytes[2] = 0x0a;
    check_damaged(bytes, sizeof idx_bytes, "is no IDX file");
    bytes[2] = 8;
    bytes[3] = 5;
    check_damaged(bytes, sizeof idx_bytes, "5 dimensions");
    bytes[3] = 0;
    check_damaged(bytes, sizeof idx_bytes, "0 dimensions");
    bytes[3] = 3;
    memset(bytes + 4, 0xff, 12);
    check_damaged(bytes, sizeof idx_bytes, "numbers");
    memset(bytes + 8, 0, 4);
    memset(bytes + 12, 0xff, 4);
    bytes[11] = 1;
    check_damaged(bytes, sizeof idx_bytes, "numbers");
}

static void damaged_gzip(void **state)
{
    (void)state;
    const char *path = temporary_path("cut.gz");
    unsigned char bytes[256];
    idx_file file;
    double numbers[12];
    write_gzip(path, idx_bytes, sizeof idx_bytes);
    FILE *stream = fopen(path, "rb");
    size_t size = fread(bytes, 1, sizeof bytes, stream);
    fclose(stream);
    for (size_t cut = 11; cut < size; cut++) {
        temporary_write(path, bytes, cut);
        assert_false(idx_open(&file, path) && idx_read(&file, 2, numbers));
        idx_close(&file);
    }
    bytes[size - 6] ^= 1; /* the checksum */
    temporary_write(path, bytes, size);
    assert_false(idx_open(&file, path) && idx_read(&file, 2, numbers));
    assert_non_null(strstr(file.message, "damaged"));
    idx_close(&file);
    assert_false(idx_open(&file, temporary_folder));
    assert_false(idx_open(&file, temporary_path("absent")));
}

static void idx_numbers(void **state)
{
    (void)state;
    const struct {
        unsigned char bytes[24];
        size_t size;
        double expected[2];
    } cases[] = {
        {{0, 0, 0x09, 1, 0, 0, 0, 2, 0xff, 5}, 10, {-1, 5}},
        {{0, 0, 0x0b, 1, 0, 0, 0, 2, 0x80, 0, 1, 2}, 12, {-32768, 258}},
        {{0, 0, 0x0c, 1, 0, 0, 0, 2, 0xff, 0xff, 0xff, 0xfe, 0, 1, 0, 0}, 16, {-2, 65536}},
        {{0, 0, 0x0d, 1, 0, 0, 0, 2, 0x3f, 0x80, 0, 0, 0xc0, 0, 0, 0}, 16, {1, -2}},
        {{0, 0, 0x0e, 1, 0, 0, 0, 2, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0, 0xbf, 0xe0}, 24, {1, -0.5}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *path = temporary_path("numbers");
        nft_array *labels = NULL;
        temporary_write(path, cases[i].bytes, cases[i].size);
        assert_int_equal(load_labels(&labels, path, 2), 0);
        for (int k = 0; k < 2; k++)
            assert_true((nft_array_f32(labels) ? (double)nft_array_f32(labels)[k]
                                               : (double)nft_array_i64(labels)[k]) == cases[i].expected[k]);
        nft_array_free(labels);
        labels = NULL;
        assert_int_not_equal(load_labels(&labels, path, 3), 0);
    }
}

typedef struct png_kind {
    const char *name;
    int depth, type;
    int64_t colours;
    unsigned char row[16]; /* of an image of 2 × 1 pixels */
    unsigned char expected[6];
} png_kind;

static void write_png(const char *path, const png_kind *kind, unsigned width, unsigned height)
{
    const png_color palette[2] = {{10, 20, 30}, {200, 100, 50}};
    FILE *stream = fopen(path, "wb");
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    if (setjmp(png_jmpbuf(png)))
        abort();
    png_init_io(png, stream);
    png_set_IHDR(png, info, width, height, kind->depth, kind->type, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_BASE, PNG_FILTER_TYPE_BASE);
    if (kind->type == PNG_COLOR_TYPE_PALETTE)
        png_set_PLTE(png, info, palette, 2);
    png_write_info(png, info);
    for (unsigned y = 0; y < height; y++)
        png_write_row(png, (png_const_bytep)kind->row);
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    fclose(stream);
}

static const png_kind kinds[] = {
    {"grey", 8, PNG_COLOR_TYPE_GRAY, 1, {7, 250}, {7, 250}},
    {"one bit", 1, PNG_COLOR_TYPE_GRAY, 1, {0x40}, {0, 255}},
    {"16 bits", 16, PNG_COLOR_TYPE_GRAY, 1, {7, 7, 250, 250}, {7, 250}},
    {"RGB", 8, PNG_COLOR_TYPE_RGB, 3, {1, 2, 3, 4, 5, 6}, {1, 2, 3, 4, 5, 6}},
    {"RGB of 16 bits", 16, PNG_COLOR_TYPE_RGB, 3, {1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6}, {1, 2, 3, 4, 5, 6}},
    {"palette", 8, PNG_COLOR_TYPE_PALETTE, 3, {1, 0}, {200, 100, 50, 10, 20, 30}},
    {"grey with alpha", 8, PNG_COLOR_TYPE_GRAY_ALPHA, 1, {90, 255, 90, 0}, {90, 0}},
    {"RGB with alpha", 8, PNG_COLOR_TYPE_RGB_ALPHA, 3, {1, 2, 3, 255, 9, 9, 9, 0}, {1, 2, 3, 0, 0, 0}},
};

static void png_kinds(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(kinds); i++) {
        char *path = path_of("kind.png");
        cli_images images;
        float values[6];
        write_png(path, &kinds[i], 2, 1);
        assert_int_equal(open_images(&images, &path, 1), 0);
        assert_int_equal(images.colours, kinds[i].colours);
        assert_int_equal(images.width, 2);
        assert_int_equal(read_images(&images, 1, values), 0);
        for (int64_t k = 0; k < 2 * images.colours; k++)
            if (fabs((double)values[k] - (double)colour(kinds[i].expected[k])) > 1e-6)
                fail_msg("%s: colour %d is %g, expected that of %d", kinds[i].name, (int)k, (double)values[k],
                         kinds[i].expected[k]);
        close_images(&images);
    }
}

/* Grey next to RGB becomes RGB; each picture has its size. */
static void several_pngs(void **state)
{
    (void)state;
    char *paths[] = {path_of("a.png"), path_of("b.png"), path_of("c.png")};
    cli_images images;
    float values[12];
    write_png(paths[0], &kinds[0], 2, 1);
    write_png(paths[1], &kinds[3], 2, 1);
    write_png(paths[2], &kinds[0], 2, 2);
    assert_int_equal(open_images(&images, paths, 2), 0);
    assert_int_equal(images.count, 2);
    assert_int_equal(images.colours, 3);
    assert_int_equal(read_images(&images, 2, values), 0);
    assert_true(values[0] == colour(7) && values[1] == colour(7) && values[11] == colour(6));
    close_images(&images);
    int64_t size[2];
    assert_int_equal(open_images(&images, paths, 3), 0);
    assert_int_equal(images.largest, 4);
    assert_int_equal(choose_images(&images, 0, 2), 0);
    assert_false(images.several_sizes);
    close_images(&images);
    assert_int_equal(open_images(&images, paths, 3), 0);
    assert_int_equal(choose_images(&images, 1, 2), 0);
    assert_true(images.several_sizes);
    image_size(&images, 2, size);
    assert_true(size[0] == 2 && size[1] == 2);
    assert_int_equal(read_images(&images, 1, values), 0);
    assert_int_equal(images.height, 2);
    assert_int_equal(read_images(&images, 1, values), 0);
    assert_true(values[6] == colour(7) && values[9] == colour(250));
    close_images(&images);
    temporary_write(paths[1], idx_bytes, sizeof idx_bytes);
    assert_int_not_equal(open_images(&images, paths, 2), 0);
    close_images(&images);
}

static void damaged_png(void **state)
{
    (void)state;
    char *path = path_of("cut.png");
    unsigned char bytes[512];
    write_png(path, &kinds[3], 2, 1);
    FILE *stream = fopen(path, "rb");
    size_t size = fread(bytes, 1, sizeof bytes, stream);
    fclose(stream);
    for (size_t cut = 8; cut < size - 16; cut += 5) { /* up to the pixels' end */
        cli_images images;
        float values[6];
        temporary_write(path, bytes, cut);
        assert_true(open_images(&images, &path, 1) || read_images(&images, 1, values));
        close_images(&images);
    }
}

static void saved_png(void **state)
{
    (void)state;
    char *path = path_of("saved.png");
    const picture about = {2, 2, 3};
    const unsigned char pixels[12] = {0, 1, 2, 127, 128, 129, 253, 254, 255, 9, 8, 7};
    cli_images images;
    float values[12];
    assert_int_equal(picture_save(&about, path, pixels), 0);
    assert_int_equal(open_images(&images, &path, 1), 0);
    assert_int_equal(read_images(&images, 1, values), 0);
    for (int i = 0; i < 12; i++)
        assert_true(values[i] == colour(pixels[i]));
    close_images(&images);
    assert_int_not_equal(picture_save(&about, "absent/saved.png", pixels), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(idx_images),  cmocka_unit_test(damaged_idx), cmocka_unit_test(damaged_gzip),
        cmocka_unit_test(idx_numbers), cmocka_unit_test(png_kinds),   cmocka_unit_test(several_pngs),
        cmocka_unit_test(damaged_png), cmocka_unit_test(saved_png),
    };
    return cmocka_run_group_tests(tests, temporary_open, temporary_close);
}
