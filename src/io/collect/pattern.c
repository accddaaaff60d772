#include "io/collect/pattern.h"

#include <string.h>

static const char mark[] = "{label}";

typedef struct pattern_match {
    const char *end; /* of the pattern */
    const char *label;
    size_t length;
} pattern_match;

static bool match(pattern_match *m, const char *pattern, const char *text);

static bool match_star(pattern_match *m, const char *pattern, const char *text)
{
    size_t most = strcspn(text, "/");
    for (size_t taken = most + 1; taken-- > 0;)
        if (match(m, pattern, text + taken))
            return true;
    return false;
}

static bool match_label(pattern_match *m, const char *pattern, const char *text)
{
    size_t most = strcspn(text, "/");
    for (size_t taken = 1; taken <= most; taken++)
        if (match(m, pattern, text + taken)) {
            m->label = text;
            m->length = taken;
            return true;
        }
    return false;
}

static bool match(pattern_match *m, const char *pattern, const char *text)
{
    size_t left = (size_t)(m->end - pattern);
    if (!left)
        return !*text;
    if (*pattern == '*')
        return match_star(m, pattern + 1, text);
    if (left >= strlen(mark) && !strncmp(pattern, mark, strlen(mark)))
        return match_label(m, pattern + strlen(mark), text);
    return *pattern == *text && match(m, pattern + 1, text + 1);
}

/* The last parts of the path, as many as the pattern has; NULL if it has fewer. */
static const char *last_parts(const char *path, const char *pattern, const char *end)
{
    const char *at = path + strlen(path);
    for (const char *p = pattern; p <= end; p++) {
        if (p < end && *p != '/')
            continue;
        while (at > path && at[-1] != '/')
            at--;
        if (p < end && at == path)
            return NULL;
        at -= p < end;
    }
    return at;
}

bool nft_pattern_matches(const char *pattern, const char *path, const char **label, size_t *length)
{
    for (;;) {
        pattern_match m = {.end = pattern + strcspn(pattern, "|")};
        const char *text = last_parts(path, pattern, m.end);
        if (text && match(&m, pattern, text)) {
            *label = m.label;
            *length = m.length;
            return true;
        }
        if (!*m.end)
            return false;
        pattern = m.end + 1;
    }
}
