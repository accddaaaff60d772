/* Checks for tests of files and weight sets. Included after cmocka.h. */
#ifndef NFT_TESTS_CHECKS_H
#define NFT_TESTS_CHECKS_H

#include "nft/base.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

#define assert_ok(call) assert_string_equal((call) ? nft_error_message() : "", "")
#define assert_message(text)                                                                                 \
    do {                                                                                                     \
        if (!strstr(nft_error_message(), text))                                                              \
            fail_msg("message is \"%s\", expected \"%s\" in it", nft_error_message(), text);                 \
    } while (0)

#endif
