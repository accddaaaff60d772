#define _POSIX_C_SOURCE 200809L
#include "base/status.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#undef nft_fail /* the analyzer's */
#undef nft_fail_in
#undef nft_fail_memory
#undef nft_fail_null
#undef nft_fail_index

#define MESSAGE_CAPACITY 1024

static _Thread_local char last_message[MESSAGE_CAPACITY];

static nft_log_callback *log_callback;
static void *log_user;

/* A text that was cut ends with a whole character of UTF-8. */
static void end_at_character(char *text, size_t capacity)
{
    size_t length = strlen(text), begin = length;
    if (length + 1 < capacity)
        return;
    while (begin > 0 && ((unsigned char)text[begin - 1] & 0xc0) == 0x80)
        begin--;
    if (begin > 0 && (unsigned char)text[begin - 1] >= 0xc0)
        text[begin - 1] = 0;
}

nft_status nft_fail(nft_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(last_message, sizeof last_message, format, arguments);
    va_end(arguments);
    end_at_character(last_message, sizeof last_message);
    nft_hide_controls(last_message);
    return status;
}

nft_status nft_fail_in(nft_status status, const char *format, ...)
{
    char prefix[MESSAGE_CAPACITY / 2];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(prefix, sizeof prefix - 2, format, arguments);
    va_end(arguments);
    end_at_character(prefix, sizeof prefix - 2);
    size_t used = length < 0 ? 0 : strlen(prefix);
    strcpy(prefix + used, ": ");
    used += 2;
    memmove(last_message + used, last_message, sizeof last_message - used);
    memcpy(last_message, prefix, used);
    last_message[sizeof last_message - 1] = 0;
    end_at_character(last_message, sizeof last_message);
    nft_hide_controls(last_message);
    return status;
}

nft_status nft_fail_memory(const char *what, int64_t bytes)
{
    return nft_fail(NFT_ERROR_MEMORY, "out of memory: %" PRId64 " bytes for %s", bytes, what);
}

nft_status nft_fail_null(const char *function, const char *argument)
{
    return nft_fail(NFT_ERROR_ARGUMENT, "%s: argument '%s' is NULL", function, argument);
}

nft_status nft_fail_index(const char *function, int64_t index, int64_t count)
{
    if (count == 0)
        return nft_fail(NFT_ERROR_ARGUMENT, "%s: index is %" PRId64 ", but there is none", function, index);
    return nft_fail(NFT_ERROR_ARGUMENT, "%s: index is %" PRId64 ", expected 0 … %" PRId64, function, index,
                    count - 1);
}

const char *nft_error_message(void)
{
    return last_message;
}

const char *nft_status_name(nft_status status)
{
    switch (status) {
    case NFT_OK:
        return "ok";
    case NFT_ERROR_ARGUMENT:
        return "wrong argument";
    case NFT_ERROR_MEMORY:
        return "out of memory";
    case NFT_ERROR_LIMIT:
        return "over the limit";
    case NFT_ERROR_FILE:
        return "file error";
    case NFT_ERROR_FORMAT:
        return "malformed data";
    case NFT_ERROR_CONFIG:
        return "wrong configuration";
    case NFT_ERROR_MISMATCH:
        return "mismatch";
    case NFT_ERROR_CANCELLED:
        return "cancelled";
    case NFT_ERROR_THREAD:
        return "thread error";
    case NFT_ERROR_NOT_FINITE:
        return "not finite";
    default:
        return "unknown status";
    }
}

void nft_set_log(nft_log_callback *callback, void *user)
{
    log_callback = callback;
    log_user = user;
}

void nft_log(int32_t level, const char *format, ...)
{
    if (!log_callback)
        return;
    char line[MESSAGE_CAPACITY];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    end_at_character(line, sizeof line);
    nft_hide_controls(line);
    log_callback(level, line, log_user);
}
