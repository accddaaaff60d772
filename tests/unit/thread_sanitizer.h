/* Whether ThreadSanitizer watches this test. It ends the child of a process with several threads, and does
 * not support threads that such a child starts. */
#ifndef NFT_TEST_THREAD_SANITIZER_H
#define NFT_TEST_THREAD_SANITIZER_H

#include <stdbool.h>

#if defined(__SANITIZE_THREAD__)
#define UNDER_THREAD_SANITIZER true
#elif defined(__has_feature)
#define UNDER_THREAD_SANITIZER __has_feature(thread_sanitizer)
#else
#define UNDER_THREAD_SANITIZER false
#endif

#endif
