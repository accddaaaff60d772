#include "jpeg.h"

#include "report.h"

#include <inttypes.h>
#include <stdio.h> /* jpeglib.h needs FILE */

bool is_jpeg(const unsigned char *bytes, size_t count)
{
    return count >= 3 && bytes[0] == 0xff && bytes[1] == 0xd8 && bytes[2] == 0xff;
}

#ifdef NFT_JPEG

#include <errno.h>
#include <jpeglib.h>
#include <setjmp.h>
#include <string.h>

#define MOST_MEMORY (1L << 30) /* of a progressive file, which is decoded as a whole */
#define MOST_SCANS 100         /* a few bytes each can ask for all pixels again */

/* A file that is being read. The first two are looked for by the library, through pointers to them. */
typedef struct reader {
    struct jpeg_decompress_struct decoder;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf failed;
    char message[JMSG_LENGTH_MAX];
    FILE *file;
} reader;

static void stop(j_common_ptr decoder)
{
    reader *r = decoder->client_data;
    decoder->err->format_message(decoder, r->message);
    longjmp(r->failed, 1);
}

/* Warnings are of damaged data, which is refused. */
static void stop_at_warning(j_common_ptr decoder, int level)
{
    if (level < 0)
        stop(decoder);
}

static void count_scans(j_common_ptr decoder)
{
    reader *r = decoder->client_data;
    if (r->decoder.input_scan_number <= MOST_SCANS)
        return;
    snprintf(r->message, sizeof r->message, "it has more than %d scans", MOST_SCANS);
    longjmp(r->failed, 1);
}

static void begin(reader *r)
{
    r->decoder.err = jpeg_std_error(&r->errors);
    r->errors.error_exit = stop;
    r->errors.emit_message = stop_at_warning;
    r->decoder.client_data = r;
    jpeg_create_decompress(&r->decoder);
    r->decoder.mem->max_memory_to_use = MOST_MEMORY;
    r->progress.progress_monitor = count_scans;
    r->decoder.progress = &r->progress;
    jpeg_stdio_src(&r->decoder, r->file);
    jpeg_read_header(&r->decoder, TRUE);
}

static void read_rows(reader *r, const picture *wanted, unsigned char *pixels)
{
    r->decoder.out_color_space = wanted->colours == 1 ? JCS_GRAYSCALE : JCS_RGB;
    r->decoder.dct_method = JDCT_ISLOW;
    jpeg_start_decompress(&r->decoder);
    while (r->decoder.output_scanline < r->decoder.output_height) {
        JSAMPROW row = pixels + (int64_t)r->decoder.output_scanline * wanted->width * wanted->colours;
        jpeg_read_scanlines(&r->decoder, &row, 1);
    }
    jpeg_finish_decompress(&r->decoder);
}

/* With `pixels` NULL it reads only the header. */
static int run(picture *about, const char *path, unsigned char *pixels)
{
    reader r = {.file = fopen(path, "rb")};
    int failed = EXIT_SUCCESS;
    if (!r.file)
        return fail("%s: cannot open: %s", path, strerror(errno));
    if (setjmp(r.failed)) {
        failed = fail("%s: is no JPEG file that can be read: %s", path, r.message);
    } else {
        begin(&r);
        if (pixels && (r.decoder.image_height != about->height || r.decoder.image_width != about->width))
            failed = fail("%s: is %u × %u pixels, it was %" PRId64 " × %" PRId64 " before", path,
                          r.decoder.image_height, r.decoder.image_width, about->height, about->width);
        else if (pixels)
            read_rows(&r, about, pixels);
        else
            *about = (picture){r.decoder.image_height, r.decoder.image_width,
                               r.decoder.jpeg_color_space == JCS_GRAYSCALE ? 1 : 3};
    }
    jpeg_destroy_decompress(&r.decoder);
    fclose(r.file);
    return failed;
}

int jpeg_measure(picture *about, const char *path)
{
    return run(about, path, NULL);
}

int jpeg_read(const picture *wanted, const char *path, unsigned char *pixels)
{
    picture same = *wanted;
    return run(&same, path, pixels);
}

#else

int jpeg_measure(picture *about, const char *path)
{
    *about = (picture){0};
    return fail("%s: is a JPEG file, which this program was built without (libjpeg)", path);
}

int jpeg_read(const picture *wanted, const char *path, unsigned char *pixels)
{
    (void)wanted;
    (void)pixels;
    return jpeg_measure(&(picture){0}, path);
}

#endif
