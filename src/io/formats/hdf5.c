/* HDF5: every dataset by its path. The library is not asked to print, nor to change the process in another
 * way. It serves one thread at a time. */
#include "io/formats/format.h"

#ifdef NFT_HDF5
#include "io/formats/hdf5_library.h"
#include "space/array.h"

#include <inttypes.h>
#include <pthread.h>
#include <string.h>

#define LONGEST_TEXT (INT64_C(1) << 24)

#define READ_ONLY 0 /* H5F_ACC_RDONLY calls the library */

static pthread_mutex_t serial = PTHREAD_MUTEX_INITIALIZER;

/* Takes the library's lock and silences it; `leave` undoes both. */
typedef struct quiet {
    H5E_auto2_t function;
    void *data;
} quiet;

static void enter(quiet *q)
{
    pthread_mutex_lock(&serial);
    nft_hdf5.Eget_auto2(H5E_DEFAULT, &q->function, &q->data);
    nft_hdf5.Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

static void leave(const quiet *q)
{
    nft_hdf5.Eset_auto2(H5E_DEFAULT, q->function, q->data);
    pthread_mutex_unlock(&serial);
}

/* The type of the file's elements, if it is one of IEEE 754's or of integers. */
static bool find_type(hid_t type, nft_type *found)
{
    static const struct {
        size_t size;
        bool is_signed;
        nft_type type;
    } integers[] = {{1, true, NFT_TYPE_I8},   {2, true, NFT_TYPE_I16}, {4, true, NFT_TYPE_I32},
                    {8, true, NFT_TYPE_I64},  {1, false, NFT_TYPE_U8}, {2, false, NFT_TYPE_U16},
                    {4, false, NFT_TYPE_U32}, {8, false, NFT_TYPE_U64}};
    H5T_class_t kind = nft_hdf5.Tget_class(type);
    size_t size = nft_hdf5.Tget_size(type);
    if (kind == H5T_FLOAT) {
        size_t exponent = 0, fraction = 0, place;
        if (nft_hdf5.Tget_fields(type, &place, &place, &exponent, &place, &fraction) < 0)
            return false;
        *found = size == 4       ? NFT_TYPE_F32
                 : size == 8     ? NFT_TYPE_F64
                 : exponent == 8 ? NFT_TYPE_BF16
                                 : NFT_TYPE_F16;
        return (size == 4 && exponent == 8 && fraction == 23) ||
               (size == 8 && exponent == 11 && fraction == 52) ||
               (size == 2 && ((exponent == 5 && fraction == 10) || (exponent == 8 && fraction == 7)));
    }
    for (size_t i = 0; i < sizeof integers / sizeof *integers && kind == H5T_INTEGER; i++)
        if (integers[i].size == size && integers[i].is_signed == (nft_hdf5.Tget_sign(type) == H5T_SGN_2)) {
            *found = integers[i].type;
            return true;
        }
    /* h5py's booleans: an enumeration of FALSE and TRUE */
    *found = NFT_TYPE_BOOL;
    return kind == H5T_ENUM && size == 1 && nft_hdf5.Tget_nmembers(type) == 2;
}

/* A single text, as Keras and Fit-a-NeF write descriptions. */
static nft_status add_text(nft_file *file, hid_t dataset, hid_t type, const char *name)
{
    nft_scalar scalar = {.kind = NFT_SCALAR_TEXT};
    nft_status status = NFT_OK;
    size_t size = nft_hdf5.Tget_size(type);
    hid_t memory = nft_hdf5.Tcopy(type);
    if (nft_hdf5.Tis_variable_str(type) > 0) {
        char *text = NULL;
        if (nft_hdf5.Dread(dataset, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, &text) >= 0 && text) {
            scalar.text = text;
            status = nft_file_add_scalar(file, name, strlen(name), &scalar);
        }
        nft_hdf5.free_memory(text);
    } else if (size < LONGEST_TEXT) {
        scalar.text = nft_allocate(size + 1);
        if (!scalar.text)
            status = nft_fail_memory("a text", (int64_t)size);
        else if (nft_hdf5.Dread(dataset, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, scalar.text) >= 0)
            status = nft_file_add_scalar(file, name, strlen(name), &scalar);
        nft_release(scalar.text);
    }
    nft_hdf5.Tclose(memory);
    return status;
}

static nft_status add_dataset(nft_file *file, hid_t dataset, const char *name)
{
    nft_entry entry = {0};
    hsize_t shape[H5S_MAX_RANK];
    hid_t type = nft_hdf5.Dget_type(dataset), space = nft_hdf5.Dget_space(dataset);
    int rank = nft_hdf5.Sget_simple_extent_dims(space, shape, NULL);
    bool is_single = nft_hdf5.Sget_simple_extent_npoints(space) == 1;
    nft_status status;
    if (type < 0 || rank < 0)
        status = nft_file_leave_out(file, name, strlen(name), "its type or shape is not known");
    else if (nft_hdf5.Tget_class(type) == H5T_STRING && is_single)
        status = add_text(file, dataset, type, name);
    else if (nft_hdf5.Tget_class(type) == H5T_STRING)
        status = nft_file_leave_out(file, name, strlen(name), "its elements are texts");
    else if (!find_type(type, &entry.type))
        status = nft_file_leave_out(file, name, strlen(name), "its elements are of a type that is not read");
    else if (rank > NFT_ARRAY_MAX_RANK)
        status = nft_file_leave_out(file, name, strlen(name), "it has %d axes, expected at most %d", rank,
                                    NFT_ARRAY_MAX_RANK);
    else {
        entry.rank = rank;
        for (int axis = 0; axis < rank; axis++)
            entry.shape[axis] = shape[axis] > INT64_MAX ? INT64_MAX : (int64_t)shape[axis];
        status = nft_file_add_entry(file, name, strlen(name), &entry, 0);
    }
    nft_hdf5.Tclose(type);
    nft_hdf5.Sclose(space);
    return status;
}

/* While a file's objects are gone through. */
typedef struct visit {
    nft_file *file;
    nft_status status;
} visit;

static herr_t visit_object(hid_t root, const char *name, const H5O_info_t *info, void *data)
{
    visit *v = data;
    if (info->type != H5O_TYPE_DATASET)
        return 0;
    hid_t dataset = nft_hdf5.Dopen2(root, name, H5P_DEFAULT);
    if (dataset < 0)
        v->status = nft_file_leave_out(v->file, name, strlen(name), "it cannot be opened");
    else
        v->status = add_dataset(v->file, dataset, name);
    if (dataset >= 0)
        nft_hdf5.Dclose(dataset);
    return v->status ? -1 : 0;
}

/* In memory the library works on a copy of the bytes. */
static hid_t open_library_file(const nft_file *file)
{
    hid_t access = nft_hdf5.Pcreate(*nft_hdf5.P_CLS_FILE_ACCESS_ID), opened;
    if (file->source.bytes &&
        (nft_hdf5.Pset_fapl_core(access, 1 << 16, 0) < 0 ||
         nft_hdf5.Pset_file_image(access, (void *)file->source.bytes, (size_t)file->source.size) < 0)) {
        nft_hdf5.Pclose(access);
        return -1;
    }
    nft_hdf5.Pset_fclose_degree(access, H5F_CLOSE_STRONG);
    opened = nft_hdf5.Fopen(file->path, READ_ONLY, access);
    nft_hdf5.Pclose(access);
    return opened;
}

static void close_file(void *state)
{
    quiet q;
    enter(&q);
    nft_hdf5.Fclose(*(hid_t *)state);
    leave(&q);
    nft_release(state);
}

static nft_status open_file(nft_file *file)
{
    quiet q;
    visit v = {file, NFT_OK};
    nft_status status = nft_hdf5_load();
    hid_t *opened = status ? NULL : nft_allocate(sizeof *opened);
    if (!opened)
        return status ? status : nft_fail_memory("a file", sizeof *opened);
    enter(&q);
    *opened = open_library_file(file);
    if (*opened < 0)
        v.status = nft_fail(NFT_ERROR_FORMAT, "the HDF5 file is damaged; is it cut short?");
    else if (nft_hdf5.Ovisit2(*opened, H5_INDEX_NAME, H5_ITER_NATIVE, visit_object, &v, H5O_INFO_BASIC) < 0 &&
             !v.status)
        v.status = nft_fail(NFT_ERROR_FORMAT, "the HDF5 file's groups are damaged");
    leave(&q);
    if (*opened < 0) {
        nft_release(opened);
        return v.status;
    }
    file->state = opened;
    file->close_state = close_file;
    return v.status;
}

/* Little-endian, as the rest of the reader expects. */
static hid_t memory_type(nft_type type)
{
    switch (type) {
    case NFT_TYPE_F32:
        return nft_hdf5.Tcopy(*nft_hdf5.T_IEEE_F32LE);
    case NFT_TYPE_F64:
        return nft_hdf5.Tcopy(*nft_hdf5.T_IEEE_F64LE);
    case NFT_TYPE_I8:
        return nft_hdf5.Tcopy(*nft_hdf5.T_STD_I8LE);
    case NFT_TYPE_I16:
        return nft_hdf5.Tcopy(*nft_hdf5.T_STD_I16LE);
    case NFT_TYPE_I32:
        return nft_hdf5.Tcopy(*nft_hdf5.T_STD_I32LE);
    case NFT_TYPE_I64:
        return nft_hdf5.Tcopy(*nft_hdf5.T_STD_I64LE);
    case NFT_TYPE_U8:
        return nft_hdf5.Tcopy(*nft_hdf5.T_STD_U8LE);
    case NFT_TYPE_U16:
        return nft_hdf5.Tcopy(*nft_hdf5.T_STD_U16LE);
    case NFT_TYPE_U32:
        return nft_hdf5.Tcopy(*nft_hdf5.T_STD_U32LE);
    case NFT_TYPE_U64:
        return nft_hdf5.Tcopy(*nft_hdf5.T_STD_U64LE);
    default: /* F16, BF16, BOOL: the file's own type, in this order of bytes */
        return -1;
    }
}

static hid_t own_type(hid_t dataset, nft_type type)
{
    hid_t copy = memory_type(type);
    if (copy >= 0)
        return copy;
    copy = nft_hdf5.Dget_type(dataset);
    if (type != NFT_TYPE_BOOL)
        nft_hdf5.Tset_order(copy, H5T_ORDER_LE);
    return copy;
}

/* The largest box that begins at element `first`, ends before first + count, and is whole behind one axis.
 * Returns its number of elements. */
static int64_t find_box(const nft_entry *entry, int64_t first, int64_t count, hsize_t *start, hsize_t *size)
{
    int64_t below = 1, axis = entry->rank - 1, rest = first;
    for (int64_t i = entry->rank - 1; i >= 0; i--) {
        start[i] = (hsize_t)(rest % entry->shape[i]);
        rest /= entry->shape[i];
        size[i] = 1;
    }
    while (axis > 0 && !start[axis] && count >= below * entry->shape[axis]) {
        size[axis] = (hsize_t)entry->shape[axis];
        below *= entry->shape[axis--];
    }
    int64_t most = entry->shape[axis] - (int64_t)start[axis], fits = count / below;
    size[axis] = (hsize_t)(fits < most ? fits : most);
    return (int64_t)size[axis] * below;
}

static bool read_box(hid_t dataset, hid_t type, hid_t space, int rank, const hsize_t *start,
                     const hsize_t *size, int64_t count, uint8_t *out)
{
    const hsize_t flat = (hsize_t)count;
    hid_t memory = nft_hdf5.Screate_simple(1, &flat, NULL);
    bool done = (!rank || nft_hdf5.Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, size, NULL) >= 0) &&
                nft_hdf5.Dread(dataset, type, memory, space, H5P_DEFAULT, out) >= 0;
    nft_hdf5.Sclose(memory);
    return done;
}

static bool read_boxes(hid_t dataset, const nft_entry *entry, int64_t first, int64_t count, uint8_t *out)
{
    hid_t type = own_type(dataset, entry->type), space = nft_hdf5.Dget_space(dataset);
    bool good = true;
    for (int64_t done = 0, now = 1; done < count && good; done += now) {
        hsize_t start[NFT_ARRAY_MAX_RANK], size[NFT_ARRAY_MAX_RANK];
        if (entry->rank)
            now = find_box(entry, first + done, count - done, start, size);
        good = read_box(dataset, type, space, (int)entry->rank, start, size, now,
                        out + done * nft_type_size(entry->type));
    }
    nft_hdf5.Sclose(space);
    nft_hdf5.Tclose(type);
    return good;
}

static nft_status read_elements(const nft_file *file, const nft_entry *entry, int64_t first, int64_t count,
                                uint8_t *out)
{
    quiet q;
    enter(&q);
    hid_t dataset = nft_hdf5.Dopen2(*(const hid_t *)file->state, entry->name, H5P_DEFAULT);
    bool good = dataset >= 0 && read_boxes(dataset, entry, first, count, out);
    if (dataset >= 0)
        nft_hdf5.Dclose(dataset);
    leave(&q);
    return good ? NFT_OK
                : nft_fail(NFT_ERROR_FORMAT, "its data are damaged, or packed by a filter that is missing");
}

#else

static nft_status open_file(nft_file *file)
{
    (void)file;
    return nft_fail(NFT_ERROR_FORMAT,
                    "it is an HDF5 file, and this libnft was built without HDF5; install libhdf5-dev "
                    "and build it again with -DNFT_HDF5=ON");
}

#define read_elements NULL
#endif

static bool matches(const nft_start *start)
{
    return nft_start_is(start, "\x89HDF\r\n\x1a\n", 8);
}

const nft_format nft_format_hdf5 = {"HDF5", matches, open_file, read_elements};
