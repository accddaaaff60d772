#define _POSIX_C_SOURCE 200809L
#include "io/open_files.h"
#include "io/adapt.h"

#include <pthread.h>

typedef struct slot {
    nft_file *file; /* NULL: none */
    int64_t number;
    bool is_header; /* the file that was added, to be closed and not freed */
    int users;
    uint64_t last_use;
} slot;

struct nft_open_files {
    pthread_mutex_t mutex;
    slot slots[NFT_OPEN_FILES_MOST];
    uint64_t uses;
};

nft_status nft_open_files_create(nft_open_files **out)
{
    nft_open_files *files = *out = nft_allocate(sizeof *files);
    if (!files)
        return nft_fail_memory("a table of files", sizeof *files);
    int code = pthread_mutex_init(&files->mutex, NULL);
    if (!code)
        return NFT_OK;
    nft_release(files);
    *out = NULL;
    return nft_fail(NFT_ERROR_MEMORY, "cannot make a mutex: error %d", code);
}

static void close_slot(slot *own)
{
    if (own->file && own->is_header)
        nft_file_close(own->file);
    else
        nft_file_free(own->file);
    own->file = NULL;
}

void nft_open_files_free(nft_open_files *files)
{
    if (!files)
        return;
    for (int i = 0; i < NFT_OPEN_FILES_MOST; i++)
        close_slot(&files->slots[i]);
    pthread_mutex_destroy(&files->mutex);
    nft_release(files);
}

/* A slot that is empty, or whose file was not used for the longest time; NULL if all are in use. */
static slot *find_room(nft_open_files *files)
{
    slot *best = NULL;
    for (int i = 0; i < NFT_OPEN_FILES_MOST; i++) {
        slot *own = &files->slots[i];
        if (!own->file)
            return own;
        if (!own->users && (!best || own->last_use < best->last_use))
            best = own;
    }
    return best;
}

static slot *find_number(nft_open_files *files, int64_t number)
{
    for (int i = 0; i < NFT_OPEN_FILES_MOST; i++)
        if (files->slots[i].file && files->slots[i].number == number)
            return &files->slots[i];
    return NULL;
}

void nft_open_files_add(nft_open_files *files, nft_file *file, int64_t number)
{
    slot *room = find_room(files);
    if (room->file) {
        nft_file_close(file);
        return;
    }
    *room = (slot){.file = file, .number = number, .is_header = true};
}

/* Opens a file into a slot. If there is none, its user closes it. */
static nft_status open_again(nft_file **file, nft_open_files *files, const nft_file *header, int64_t number)
{
    slot *room = find_room(files);
    if (room)
        close_slot(room);
    nft_status status = nft_file_open_within(file, header->path, 0);
    if (!status && (status = nft_file_adapt_again(*file, header))) {
        nft_file_free(*file);
        *file = NULL;
    }
    if (!status && room)
        *room = (slot){.file = *file, .number = number, .users = 1, .last_use = ++files->uses};
    return status;
}

nft_status nft_open_files_take(nft_file **file, nft_open_files *files, nft_file *header, int64_t number)
{
    nft_status status = NFT_OK;
    *file = NULL;
    pthread_mutex_lock(&files->mutex);
    slot *own = find_number(files, number);
    if (own) {
        *file = own->file;
        own->users++;
        own->last_use = ++files->uses;
    } else {
        status = open_again(file, files, header, number);
    }
    pthread_mutex_unlock(&files->mutex);
    return status;
}

void nft_open_files_give(nft_open_files *files, nft_file *file)
{
    slot *own = NULL;
    pthread_mutex_lock(&files->mutex);
    for (int i = 0; i < NFT_OPEN_FILES_MOST && !own; i++)
        own = files->slots[i].file == file ? &files->slots[i] : NULL;
    if (own)
        own->users--;
    pthread_mutex_unlock(&files->mutex);
    if (!own)
        nft_file_free(file);
}
