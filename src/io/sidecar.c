#define _POSIX_C_SOURCE 200809L
#include "io/sidecar.h"

#include "io/collect/collect.h"
#include "io/space_json.h"

#include <string.h>
#include <unistd.h>

#define MOST_BYTES (INT64_C(64) << 20)

nft_status nft_sidecar_path(nft_text *sidecar, const char *path)
{
    const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');
    nft_text_append(sidecar, "%.*s.json", dot ? (int)(dot - path) : (int)strlen(path), path);
    return sidecar->failed ? nft_fail_memory("a path", (int64_t)strlen(path)) : NFT_OK;
}

nft_status nft_sidecar_read(json_t **sidecar, const char *path)
{
    nft_text name = {0};
    char *text = NULL;
    size_t length = 0;
    *sidecar = NULL;
    nft_status status = nft_sidecar_path(&name, path);
    if (!status && !access(name.data, F_OK) && strcmp(name.data, path) != 0) {
        status = nft_read_text_file(&text, &length, name.data);
        if (!status)
            status = nft_json_parse_within(sidecar, text, length, MOST_BYTES);
        if (status)
            nft_fail_in(status, "its sidecar");
        nft_release(text);
    }
    nft_text_clear(&name);
    return status;
}

static nft_status space_of(nft_space **space, const json_t *sidecar, const char *path)
{
    const json_t *value = json_object_get(sidecar, "space");
    bool is_space = json_object_get(value, "tensors") || json_object_get(value, "layers");
    if (!is_space || json_object_get(sidecar, "modules") || json_object_get(sidecar, "model"))
        return NFT_OK;
    nft_status status = nft_space_from_json(space, value);
    if (!status)
        return NFT_OK;
    nft_text name = {0};
    if (!nft_sidecar_path(&name, path))
        nft_fail_in(status, "'space' of its sidecar %s", name.data);
    nft_text_clear(&name);
    return status;
}

nft_status nft_sidecar_space(nft_space **space, const char *path)
{
    json_t *sidecar = NULL;
    *space = NULL;
    nft_status status = nft_sidecar_read(&sidecar, path);
    if (status && status != NFT_ERROR_MEMORY) { /* JSON of another kind, or none: nothing depends on it */
        nft_log(NFT_LOG_WARNING, "%s: %s, and is not read", path, nft_error_message());
        return NFT_OK;
    }
    if (!status)
        status = space_of(space, sidecar, path);
    json_decref(sidecar);
    return status;
}
