/**
 * @file nft.hpp
 * libnft for C++17: the handles of the C headers as move-only classes, failures as exceptions. Header-only.
 *
 * @code
 * nft::Model model = nft::Model::load("accuracy-predictor.safetensors");
 * nft::Weights networks = nft::Weights::load("fashion-cnns.safetensors");
 * nft::Context context(model);
 * nft::ArrayView output = context.forward(networks);
 * for (std::int64_t n = 0; n < output.size(0); n++)
 *     std::cout << output.f32()[n] << '\n';
 * @endcode
 *
 * Array, Space and Weights own their handles. ArrayView, SpaceView and WeightsView are borrowed from the
 * object that returned them, and end with it. `get()` returns the C handle, for functions of the C API.
 * Thread safety is as in nft/nft.h. A handle that was moved from can only be
 * destroyed or assigned to.
 */
#ifndef NFT_NFT_HPP
#define NFT_NFT_HPP

#if __cplusplus < 201703L && !(defined(_MSVC_LANG) && _MSVC_LANG >= 201703L)
#error "nft.hpp needs C++17: compile with -std=c++17, or include nft/nft.h"
#elif !defined(__cpp_exceptions)
#error "nft.hpp needs exceptions, which report failures: compile with -fexceptions, or include nft/nft.h"
#else

#include "nft/file.h"
#include "nft/inr.h"
#include "nft/nft.h"
#include "nft/train.h"

#include <cstdint>
#include <exception>
#include <functional>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nft
{

/** A call that failed: what() is nft_error_message(), status() one of NFT_ERROR_…. */
class Error : public std::runtime_error
{
  public:
    /** The C API's status and message. */
    Error(nft_status status, const std::string &message) : std::runtime_error(message), status_(status)
    {
    }
    /** One of NFT_ERROR_…. */
    nft_status status() const noexcept
    {
        return status_;
    }

  private:
    nft_status status_;
};

/** Throws Error if a call of the C API failed. */
inline void check(nft_status status)
{
    if (status != NFT_OK)
        throw Error(status, nft_error_message());
}

/** nft_version() */
inline std::string version()
{
    return nft_version();
}
/** nft_build_info() */
inline std::string build_info()
{
    return nft_build_info();
}

/** Receives the work done and the work in all; returns whether to continue. An exception that it throws
 * reaches the caller of the work. */
using Progress = std::function<bool(std::int64_t done, std::int64_t total)>;

namespace detail
{

/** Nothing may be thrown through the C library: an exception of a Progress waits until the call is over. */
struct ProgressListener {
    Progress progress;         /**< the caller's */
    std::exception_ptr thrown; /**< or null */
    /** A nft_progress_callback. */
    static int report(std::int64_t done, std::int64_t total, void *user) noexcept
    {
        auto *listener = static_cast<ProgressListener *>(user);
        try {
            return listener->progress(done, total) ? 0 : 1;
        } catch (...) {
            listener->thrown = std::current_exception();
            return 1;
        }
    }
    /** Throws the stored exception again, or an Error for a failure. */
    void finish(nft_status status)
    {
        if (thrown)
            std::rethrow_exception(std::exchange(thrown, nullptr));
        check(status);
    }
};

/** Frees a handle with its function. */
template <class T, void (*release)(T *)> struct Release {
    /** Frees a handle. */
    void operator()(T *handle) const noexcept
    {
        release(handle);
    }
};
/** Owns a handle. */
template <class T, void (*release)(T *)> using Owner = std::unique_ptr<T, Release<T, release>>;

/** Options that read bytes in memory. */
inline nft_load_options with_bytes(const void *bytes, std::size_t size, const nft_load_options *options)
{
    nft_load_options with = NFT_LOAD_OPTIONS_INIT;
    if (options)
        with = *options;
    with.bytes = bytes;
    with.byte_count = size;
    return with;
}

/** A text that may be missing. */
inline std::string text(const char *borrowed)
{
    return borrowed ? borrowed : "";
}

/** The getters of an array, owned or borrowed. */
template <class Self> class ArrayGetters
{
  public:
    /** The elements if they are float, else null. Row-major. */
    const float *f32() const noexcept
    {
        return nft_array_f32(handle());
    }
    /** The elements if they are int64_t, else null. */
    const std::int64_t *i64() const noexcept
    {
        return nft_array_i64(handle());
    }
    /** Number of axes. */
    std::int64_t rank() const noexcept
    {
        return nft_array_rank(handle());
    }
    /** Of one axis, 0 if there is no such axis. */
    std::int64_t size(std::int64_t axis) const noexcept
    {
        return nft_array_size(handle(), axis);
    }
    /** Number of elements. */
    std::int64_t count() const noexcept
    {
        return nft_array_count(handle());
    }
    /** The sizes of all axes. */
    std::vector<std::int64_t> shape() const
    {
        std::vector<std::int64_t> sizes;
        for (std::int64_t axis = 0; axis < rank(); axis++)
            sizes.push_back(size(axis));
        return sizes;
    }
    /** False if there is no such array: a name that a set does not have. */
    explicit operator bool() const noexcept
    {
        return handle() != nullptr;
    }

  private:
    const nft_array *handle() const noexcept
    {
        return static_cast<const Self &>(*this).get();
    }
};

/** The getters of a space, owned or borrowed. */
template <class Self> class SpaceGetters
{
  public:
    /** Number of axes. */
    std::int64_t axis_count() const noexcept
    {
        return nft_space_describe(handle())->axis_count;
    }
    /** Axis `index`. Its name is borrowed. */
    nft_space_axis axis(std::int64_t index) const
    {
        nft_space_axis axis{};
        axis.size = sizeof axis;
        check(nft_space_get_axis(&axis, handle(), index));
        return axis;
    }
    /** Number of tensors. */
    std::int64_t tensor_count() const noexcept
    {
        return nft_space_describe(handle())->tensor_count;
    }
    /** Tensor `index`. Names and factors are borrowed. */
    nft_space_tensor tensor(std::int64_t index) const
    {
        nft_space_tensor tensor{};
        tensor.size = sizeof tensor;
        check(nft_space_get_tensor(&tensor, handle(), index));
        return tensor;
    }
    /** The JSON form that configurations and files use. */
    std::string json() const
    {
        return text(nft_space_describe(handle())->json);
    }
    /** Number of layers of a chain that was made from layers; 0 for any other space. */
    std::int64_t layer_count() const noexcept
    {
        return nft_space_describe(handle())->layer_count;
    }
    /** Layer `index`. */
    nft_layer layer(std::int64_t index) const
    {
        nft_layer layer = NFT_LAYER_INIT_LINEAR(0, 0);
        check(nft_space_layer(&layer, handle(), index));
        return layer;
    }
    /** All numbers of one network. */
    std::int64_t parameter_count() const noexcept
    {
        return nft_space_describe(handle())->parameter_count;
    }
    /** False for a model on tokens, or of any space. */
    explicit operator bool() const noexcept
    {
        return handle() != nullptr;
    }

  private:
    const nft_space *handle() const noexcept
    {
        return static_cast<const Self &>(*this).get();
    }
};

} // namespace detail

/** A row-major array that owns its elements. */
class Array : public detail::ArrayGetters<Array>
{
  public:
    /** A copy of `values`, of which there must be as many as the shape says. */
    Array(const std::vector<std::int64_t> &shape, const std::vector<float> &values)
        : Array(shape, NFT_ARRAY_F32, values)
    {
    }
    /** The same of integers: labels. */
    Array(const std::vector<std::int64_t> &shape, const std::vector<std::int64_t> &values)
        : Array(shape, NFT_ARRAY_I64, values)
    {
    }
    /** Takes the handle over. */
    explicit Array(nft_array *handle) noexcept : owner_(handle)
    {
    }
    /** The C handle. */
    const nft_array *get() const noexcept
    {
        return owner_.get();
    }

  private:
    template <class T>
    Array(const std::vector<std::int64_t> &shape, std::int32_t type, const std::vector<T> &values)
    {
        nft_array *handle = nullptr;
        const auto rank = static_cast<std::int64_t>(shape.size());
        check(nft_array_borrow(&handle, type, shape.data(), rank, values.data()));
        owner_.reset(handle);
        if (count() != static_cast<std::int64_t>(values.size()))
            throw Error(NFT_ERROR_ARGUMENT, "nft::Array: the shape is of " + std::to_string(count()) +
                                                " elements, found " + std::to_string(values.size()));
        owner_.reset();
        check(nft_array_create(&handle, type, shape.data(), rank, values.data()));
        owner_.reset(handle);
    }
    detail::Owner<nft_array, nft_array_free> owner_;
};

/** An array that belongs to something else. */
class ArrayView : public detail::ArrayGetters<ArrayView>
{
  public:
    /** A view of the object of the handle. */
    explicit ArrayView(const nft_array *handle) noexcept : handle_(handle)
    {
    }
    /** A view of an array. */
    ArrayView(const Array &array) noexcept : handle_(array.get())
    {
    }
    /** The C handle. */
    const nft_array *get() const noexcept
    {
        return handle_;
    }

  private:
    const nft_array *handle_;
};

/** Texts for the `__metadata__` of a file: keys and their texts. */
using Metadata = std::vector<std::pair<std::string, std::string>>;

namespace detail
{
/** As C takes them: borrowed from `metadata`. */
inline std::vector<const char *> texts(const Metadata &metadata)
{
    std::vector<const char *> list;
    for (const auto &[key, text] : metadata) {
        list.push_back(key.c_str());
        list.push_back(text.c_str());
    }
    list.push_back(nullptr);
    return list;
}
} // namespace detail

/** Writes arrays to a safetensors file under their names, atomically. */
inline void save(const std::string &path, const std::vector<std::pair<std::string, ArrayView>> &arrays,
                 const Metadata &metadata = {})
{
    std::vector<const char *> names;
    std::vector<const nft_array *> handles;
    for (const auto &[name, array] : arrays) {
        names.push_back(name.c_str());
        handles.push_back(array.get());
    }
    check(nft_array_save(path.c_str(), names.data(), handles.data(), names.size(),
                         detail::texts(metadata).data()));
}

/** A safetensors file. */
class File
{
  public:
    /** Opens a file and checks its header. */
    static File open(const std::string &path)
    {
        nft_file *handle = nullptr;
        check(nft_file_open(&handle, path.c_str(), nullptr));
        return File(handle);
    }
    /** The bytes must stay valid. */
    static File from_memory(const void *bytes, std::size_t size)
    {
        nft_file *handle = nullptr;
        const nft_load_options with = detail::with_bytes(bytes, size, nullptr);
        check(nft_file_open(&handle, nullptr, &with));
        return File(handle);
    }
    /** Takes the handle over. */
    explicit File(nft_file *handle) noexcept : owner_(handle)
    {
    }
    /** How many tensors it holds. */
    std::int64_t tensor_count() const noexcept
    {
        return nft_file_tensor_count(get());
    }
    /** In natural order of the names. Its texts are borrowed from the file. */
    nft_tensor_info tensor(std::int64_t index) const
    {
        nft_tensor_info info = NFT_TENSOR_INFO_INIT;
        check(nft_file_tensor(&info, get(), index));
        return info;
    }
    /** One tensor: floats become F32, integers I64; see nft_file_read(). */
    Array read(const std::string &name) const
    {
        nft_array *handle = nullptr;
        check(nft_file_read(&handle, get(), name.c_str(), 0, NFT_ALL));
        return Array(handle);
    }
    /** Rows first … first + count - 1 of a tensor's first axis. */
    Array read_rows(const std::string &name, std::int64_t first, std::int64_t count) const
    {
        nft_array *handle = nullptr;
        check(nft_file_read(&handle, get(), name.c_str(), first, count));
        return Array(handle);
    }
    /** "" if there is none of that key. */
    std::string metadata(const std::string &key) const
    {
        return detail::text(nft_file_metadata(get(), key.c_str()));
    }
    /** All texts of the header's `__metadata__`. */
    Metadata metadata() const
    {
        Metadata all;
        const char *text = nullptr;
        for (std::int64_t i = 0; const char *key = nft_file_metadata_at(&text, get(), i); i++)
            all.emplace_back(key, text);
        return all;
    }
    /** The C handle. */
    const nft_file *get() const noexcept
    {
        return owner_.get();
    }

  private:
    detail::Owner<nft_file, nft_file_free> owner_;
};

/** A safetensors file that is written piece by piece. One that is not committed leaves its path as it was. */
class FileWriter
{
  public:
    /** Begins a file: name, type ("F32" or "I64"), rank and shape of each tensor, from NFT_TENSOR_INFO_INIT.
     */
    FileWriter(const std::string &path, const std::vector<nft_tensor_info> &tensors,
               const Metadata &metadata = {})
    {
        nft_file_writer *handle = nullptr;
        check(nft_file_writer_create(&handle, path.c_str(), tensors.data(),
                                     static_cast<std::int64_t>(tensors.size()),
                                     detail::texts(metadata).data()));
        owner_ = detail::Owner<nft_file_writer, nft_file_writer_free>(handle);
    }
    /** The next bytes of the tensors, one after the other. */
    void append(const void *data, std::int64_t bytes)
    {
        check(nft_file_writer_append(owner_.get(), data, bytes));
    }
    /** Elements first … of a tensor, in any order: see nft_file_writer_write(). */
    void write(std::int64_t tensor, std::int64_t first, const void *data, std::int64_t count)
    {
        check(nft_file_writer_write(owner_.get(), tensor, first, data, count));
    }
    /** The C handle. */
    nft_file_writer *get() const noexcept
    {
        return owner_.get();
    }
    /** Renames the complete file over its path. */
    void commit()
    {
        check(nft_file_writer_commit(owner_.release()));
    }

  private:
    detail::Owner<nft_file_writer, nft_file_writer_free> owner_;
};

/** The description of one network architecture. */
class Space : public detail::SpaceGetters<Space>
{
  public:
    /** A network of these tensors, whose shapes name the axes: see nft_space_create(). */
    Space(const std::vector<nft_space_axis> &axes, const std::vector<nft_space_tensor> &tensors)
    {
        nft_space *handle = nullptr;
        check(nft_space_create(&handle, axes.data(), static_cast<std::int64_t>(axes.size()), tensors.data(),
                               static_cast<std::int64_t>(tensors.size())));
        owner_.reset(handle);
    }
    /** A chain of these layers, each feeding the next. */
    explicit Space(const std::vector<nft_layer> &layers)
    {
        nft_space *handle = nullptr;
        check(nft_space_create_chain(&handle, layers.data(), static_cast<std::int64_t>(layers.size())));
        owner_.reset(handle);
    }
    /** An MLP of these widths, inputs first. */
    static Space mlp(const std::vector<std::int64_t> &widths)
    {
        nft_space *handle = nullptr;
        check(nft_space_create_mlp(&handle, widths.data(), static_cast<std::int64_t>(widths.size())));
        return Space(handle);
    }
    /** From the JSON form that configurations use. */
    static Space parse(std::string_view json)
    {
        nft_space *handle = nullptr;
        check(nft_space_parse(&handle, json.data(), json.size()));
        return Space(handle);
    }
    /** Takes the handle over. */
    explicit Space(nft_space *handle) noexcept : owner_(handle)
    {
    }
    /** The C handle. */
    const nft_space *get() const noexcept
    {
        return owner_.get();
    }

  private:
    detail::Owner<nft_space, nft_space_free> owner_;
};

/** A space that belongs to something else. */
class SpaceView : public detail::SpaceGetters<SpaceView>
{
  public:
    /** A view of the object of the handle. */
    explicit SpaceView(const nft_space *handle) noexcept : handle_(handle)
    {
    }
    /** A view of a space. */
    SpaceView(const Space &space) noexcept : handle_(space.get())
    {
    }
    /** The C handle. */
    const nft_space *get() const noexcept
    {
        return handle_;
    }

  private:
    const nft_space *handle_;
};

/** Whether both are equal, names and roles aside. */
inline bool operator==(SpaceView a, SpaceView b) noexcept
{
    return nft_space_equal(a.get(), b.get()) != 0;
}
/** Whether they differ. */
inline bool operator!=(SpaceView a, SpaceView b) noexcept
{
    return !(a == b);
}

namespace detail
{

/** The getters of a weight set, owned or borrowed. */
template <class Self> class WeightsGetters
{
  public:
    /** Of all its networks. */
    SpaceView space() const noexcept
    {
        return SpaceView(nft_weights_space(handle()));
    }
    /** N, the networks. */
    std::int64_t count() const noexcept
    {
        return nft_weights_count(handle());
    }
    /** C, the values for each weight. */
    std::int64_t channels() const noexcept
    {
        return nft_weights_channels(handle());
    }
    /** The name of a tensor in its file. */
    std::string tensor_name(std::int64_t tensor) const
    {
        return text(nft_weights_tensor_name(handle(), tensor));
    }
    /** The array (N, C, *shape) of a tensor; null if there is no such tensor. */
    const float *data(std::int64_t tensor) const noexcept
    {
        return nft_weights_data(handle(), tensor);
    }
    /** How many floats data() points to. */
    std::int64_t data_count(std::int64_t tensor) const noexcept
    {
        return nft_weights_data_count(handle(), tensor);
    }
    /** A text of the metadata, empty if there is none. */
    std::string metadata(const std::string &key) const
    {
        return text(nft_weights_metadata(handle(), key.c_str()));
    }
    /** How many tensors travel with the set. */
    std::int64_t extra_count() const noexcept
    {
        std::int64_t count = 0;
        while (nft_weights_extra_name(handle(), count))
            ++count;
        return count;
    }
    /** The name of one of them. */
    std::string extra_name(std::int64_t index) const
    {
        return text(nft_weights_extra_name(handle(), index));
    }
    /** A tensor that travels with the set, "label" for example; false if there is none. */
    ArrayView extra(const std::string &name) const noexcept
    {
        return ArrayView(nft_weights_extra(handle(), name.c_str()));
    }
    /** Writes the set to a file, whole or not at all. */
    void save(const std::string &path) const
    {
        check(nft_weights_save(handle(), path.c_str()));
    }
    /** False if there is none. */
    explicit operator bool() const noexcept
    {
        return handle() != nullptr;
    }

  private:
    const nft_weights *handle() const noexcept
    {
        return static_cast<const Self &>(*this).get();
    }
};

} // namespace detail

/** The weights of N networks of one space. */
class Weights : public detail::WeightsGetters<Weights>
{
  public:
    /** All zero; fill it through edit(). */
    Weights(SpaceView space, std::int64_t count, std::int64_t channels = 1)
    {
        nft_weights *handle = nullptr;
        check(nft_weights_create(&handle, space.get(), count, channels, nullptr));
        owner_.reset(handle);
    }
    /** Copies an array for each tensor of the space; nullptr in place of a chain's bias is zeros. */
    static Weights copy(SpaceView space, std::int64_t count, std::int64_t channels,
                        const std::vector<const float *> &tensors)
    {
        return make(nft_weights_create, space, count, channels, tensors);
    }
    /** Reads the caller's arrays in place: they must stay valid. */
    static Weights borrow(SpaceView space, std::int64_t count, std::int64_t channels,
                          const std::vector<const float *> &tensors)
    {
        return make(nft_weights_borrow, space, count, channels, tensors);
    }
    /** Reads one network, a stack of them or features: see nft_weights_load(). */
    static Weights load(const std::string &path, const nft_load_options *options = nullptr)
    {
        nft_weights *handle = nullptr;
        check(nft_weights_load(&handle, path.c_str(), options));
        return Weights(handle);
    }
    /** As load(), from bytes in memory. */
    static Weights load_memory(const void *bytes, std::size_t size, const nft_load_options *options = nullptr)
    {
        nft_weights *handle = nullptr;
        const nft_load_options with = detail::with_bytes(bytes, size, options);
        check(nft_weights_load(&handle, nullptr, &with));
        return Weights(handle);
    }
    /** Takes the handle over. */
    explicit Weights(nft_weights *handle) noexcept : owner_(handle)
    {
    }
    /** As data(), to be written; null for a set that borrows the caller's memory. */
    float *edit(std::int64_t tensor) noexcept
    {
        return nft_weights_edit(get(), tensor);
    }
    /** Sets a text of the metadata. */
    void set_metadata(const std::string &key, const std::string &text)
    {
        check(nft_weights_set_metadata(get(), key.c_str(), text.c_str()));
    }
    /** Permutes axes, with an entry for each axis of the space: see nft_weights_permute(). */
    void permute(const std::vector<const std::int64_t *> &permutations)
    {
        const auto axes = static_cast<std::size_t>(space().axis_count());
        if (permutations.size() != axes)
            throw Error(NFT_ERROR_ARGUMENT, "nft::Weights::permute: expected an entry for each of " +
                                                std::to_string(axes) + " axes, found " +
                                                std::to_string(permutations.size()));
        check(nft_weights_permute(get(), permutations.data()));
    }
    /** Permutes every axis that has that symmetry at random: see nft_weights_permute_random(). */
    void permute_random(std::uint64_t seed)
    {
        check(nft_weights_permute_random(get(), seed, 0));
    }
    /** The same for a piece of a larger set: see nft_weights_permute_random(). */
    void permute_random_from(std::uint64_t seed, std::int64_t first)
    {
        check(nft_weights_permute_random(get(), seed, first));
    }
    /** The first `count` networks, as networks first … of a file: see nft_weights_write(). */
    void write(FileWriter &writer, std::int64_t first, std::int64_t count) const
    {
        check(nft_weights_write(writer.get(), get(), first, count));
    }
    /** Adds or replaces a tensor whose leading axis is N; the set keeps a copy. */
    void set_extra(const std::string &name, ArrayView array)
    {
        check(nft_weights_set_extra(get(), name.c_str(), array.get()));
    }
    /** Removes such a tensor. */
    void remove_extra(const std::string &name)
    {
        check(nft_weights_set_extra(get(), name.c_str(), nullptr));
    }
    /** Makes every network a fresh SIREN: see nft_inr_init(). */
    void init_sirens(std::uint64_t seed, std::int64_t first = 0, double omega = 0)
    {
        check(nft_inr_init(get(), seed, first, omega));
    }
    /** Brings every network to one sign and phase of its neurons: see nft_inr_canonicalize(). */
    void canonicalize_sirens(double omega = 0)
    {
        check(nft_inr_canonicalize(get(), omega));
    }
    /** Fits network n to image n of (N, height, width, colours); gives the losses after the last step. */
    std::vector<float> fit_sirens(ArrayView images,
                                  const nft_inr_fit_options &options = NFT_INR_FIT_OPTIONS_INIT,
                                  Progress progress = {})
    {
        std::vector<float> losses;
        fit_sirens(images, losses, options, std::move(progress));
        return losses;
    }
    /** The same; a fit that was stopped throws, and `losses` says which networks were finished. `progress`
     * receives their number, in place of the options' callback. */
    void fit_sirens(ArrayView images, std::vector<float> &losses,
                    nft_inr_fit_options options = NFT_INR_FIT_OPTIONS_INIT, Progress progress = {})
    {
        losses.assign(static_cast<std::size_t>(this->count()), std::numeric_limits<float>::quiet_NaN());
        detail::ProgressListener listener{std::move(progress), nullptr};
        if (listener.progress) {
            options.progress = detail::ProgressListener::report;
            options.user = &listener;
        }
        listener.finish(nft_inr_fit(get(), losses.data(), images.get(), &options));
    }
    /** The C handle. */
    const nft_weights *get() const noexcept
    {
        return owner_.get();
    }
    /** The C handle. */
    nft_weights *get() noexcept
    {
        return owner_.get();
    }

  private:
    template <class Make>
    static Weights make(Make function, SpaceView space, std::int64_t count, std::int64_t channels,
                        const std::vector<const float *> &arrays)
    {
        const auto tensors = static_cast<std::size_t>(space.tensor_count());
        if (arrays.size() != tensors)
            throw Error(NFT_ERROR_ARGUMENT, "nft::Weights: expected an array for each of " +
                                                std::to_string(tensors) + " tensors, found " +
                                                std::to_string(arrays.size()));
        nft_weights *handle = nullptr;
        check(function(&handle, space.get(), count, channels, arrays.data()));
        return Weights(handle);
    }
    detail::Owner<nft_weights, nft_weights_free> owner_;
};

/** A weight set that belongs to something else: a context's output. */
class WeightsView : public detail::WeightsGetters<WeightsView>
{
  public:
    /** A view of the object of the handle. */
    explicit WeightsView(const nft_weights *handle) noexcept : handle_(handle)
    {
    }
    /** A view of a weight set. */
    WeightsView(const Weights &weights) noexcept : handle_(weights.get())
    {
    }
    /** The C handle. */
    const nft_weights *get() const noexcept
    {
        return handle_;
    }

  private:
    const nft_weights *handle_;
};

namespace detail
{
/** Networks first … first + count - 1; a count of 0: all that follow. */
inline nft_view view(WeightsView weights, std::int64_t first = 0, std::int64_t count = 0) noexcept
{
    return {sizeof(nft_view), weights.get(), nullptr, first, count, nullptr};
}
/** The same samples of an array. */
inline nft_view view(ArrayView array, std::int64_t first = 0, std::int64_t count = 0) noexcept
{
    return {sizeof(nft_view), nullptr, array.get(), first, count, nullptr};
}
} // namespace detail

/** Renders SIRENs first … first + count - 1: (count, height, width, colours), about -1 … 1. */
inline Array render_sirens(WeightsView weights, std::int64_t first, std::int64_t count, std::int64_t height,
                           std::int64_t width,
                           const nft_inr_render_options &options = NFT_INR_RENDER_OPTIONS_INIT)
{
    nft_array *handle = nullptr;
    check(nft_inr_render(&handle, weights.get(), first, count, height, width, &options));
    return Array(handle);
}

/** A configuration with parameters. Shared freely between threads. */
class Model
{
  public:
    /** Freshly initialised: the same seed gives the same parameters everywhere. */
    static Model from_config(std::string_view json, std::uint64_t seed = 0)
    {
        nft_model *handle = nullptr;
        check(nft_model_create(&handle, json.data(), json.size(), seed, nullptr));
        return Model(handle);
    }
    /** The same within the memory limit of the options. */
    static Model from_config(std::string_view json, std::uint64_t seed, const nft_load_options &options)
    {
        nft_model *handle = nullptr;
        check(nft_model_create(&handle, json.data(), json.size(), seed, &options));
        return Model(handle);
    }
    /** Reads a model file. */
    static Model load(const std::string &path, const nft_load_options *options = nullptr)
    {
        nft_model *handle = nullptr;
        check(nft_model_load(&handle, path.c_str(), options));
        return Model(handle);
    }
    /** As load(), from bytes in memory. */
    static Model load_memory(const void *bytes, std::size_t size, const nft_load_options *options = nullptr)
    {
        nft_model *handle = nullptr;
        const nft_load_options with = detail::with_bytes(bytes, size, options);
        check(nft_model_load(&handle, nullptr, &with));
        return Model(handle);
    }
    /** Takes the handle over. */
    explicit Model(nft_model *handle) noexcept : owner_(handle)
    {
    }
    /** Writes a model file, whole or not at all. */
    void save(const std::string &path) const
    {
        check(nft_model_save(get(), path.c_str()));
    }
    /** The configuration as JSON text. */
    std::string config() const
    {
        return detail::text(nft_model_describe(get())->config);
    }
    /** "" if there is none of that key. */
    std::string metadata(const std::string &key) const
    {
        return detail::text(nft_model_metadata(get(), key.c_str()));
    }
    /** Of the networks that it reads; false for a model on tokens. */
    SpaceView space() const noexcept
    {
        return SpaceView(nft_model_describe(get())->space);
    }
    /** The input: see nft_model_description. */
    nft_module_info input() const
    {
        return *nft_model_describe(get())->input;
    }
    /** The output, and the model's totals: see nft_model_description. */
    nft_module_info output() const
    {
        return *nft_model_describe(get())->output;
    }
    /** Whether the output is images, and `latents` the last module's output. */
    bool has_decoder() const noexcept
    {
        return nft_model_describe(get())->has_decoder != 0;
    }
    /** Modules in the sequence. */
    std::int64_t module_count() const noexcept
    {
        return nft_model_describe(get())->module_count;
    }
    /** Module `index`; its type is borrowed from the model. */
    nft_module_info module(std::int64_t index) const
    {
        nft_module_info info = NFT_MODULE_INFO_INIT;
        check(nft_model_module(&info, get(), index));
        return info;
    }
    /** Parameters and buffers. */
    std::int64_t tensor_count() const noexcept
    {
        return nft_model_describe(get())->tensor_count;
    }
    /** Its name and data are borrowed from the model. */
    nft_tensor_info tensor(std::int64_t index) const
    {
        nft_tensor_info info = NFT_TENSOR_INFO_INIT;
        check(nft_model_tensor(&info, get(), index));
        return info;
    }
    /** The C handle. */
    const nft_model *get() const noexcept
    {
        return owner_.get();
    }

  private:
    detail::Owner<nft_model, nft_model_free> owner_;
};

/** A result of a context, borrowed as long as nft_context_output() says. One that is missing throws. */
class Output
{
  public:
    /** A result of the C API. */
    explicit Output(const nft_view &view) noexcept : array_(view.array), weights_(view.weights)
    {
    }
    /** False if there is no such result. */
    explicit operator bool() const noexcept
    {
        return array_ || weights_;
    }
    /** Tokens or vectors. */
    ArrayView array() const
    {
        if (!array_)
            throw Error(NFT_ERROR_ARGUMENT,
                        weights_ ? "nft::Output: it is features, call weights()" : missing);
        return ArrayView(array_);
    }
    /** Features. */
    WeightsView weights() const
    {
        if (!weights_)
            throw Error(NFT_ERROR_ARGUMENT, array_ ? "nft::Output: it is an array, call array()" : missing);
        return WeightsView(weights_);
    }
    /** As array(). */
    operator ArrayView() const
    {
        return array();
    }
    /** As weights(). */
    operator WeightsView() const
    {
        return weights();
    }

  private:
    static constexpr const char *missing = "nft::Output: there is no such result";
    const nft_array *array_;
    const nft_weights *weights_;
};

/** The workspace in which a model runs; one for each thread. */
class Context
{
  public:
    /** With every default. */
    explicit Context(const Model &model) : Context(model, NFT_CONTEXT_OPTIONS_INIT)
    {
    }
    /** All memory that max_batch networks need is allocated here. */
    Context(const Model &model, const nft_context_options &options)
    {
        nft_context *handle = nullptr;
        check(nft_context_create(&handle, model.get(), &options));
        owner_.reset(handle);
    }
    /** The bytes that such a context takes, before anything is allocated. */
    static std::int64_t memory(const Model &model,
                               const nft_context_options &options = NFT_CONTEXT_OPTIONS_INIT)
    {
        std::int64_t bytes = 0;
        check(nft_context_cost(&bytes, nullptr, model.get(), nullptr, &options));
        return bytes;
    }
    /** The same of a model of any space, for networks of this space. */
    static std::int64_t memory(const Model &model, SpaceView space,
                               const nft_context_options &options = NFT_CONTEXT_OPTIONS_INIT)
    {
        std::int64_t bytes = 0;
        check(nft_context_cost(&bytes, nullptr, model.get(), space.get(), &options));
        return bytes;
    }
    /** Replaces one tensor of the model that this context runs: see nft_context_set_tensor(). */
    void set_tensor(std::int64_t index, const float *values, std::int64_t count)
    {
        check(nft_context_set_tensor(get(), index, values, count));
    }
    /** The model as it is now. */
    Model snapshot() const
    {
        nft_model *handle = nullptr;
        check(nft_context_snapshot(&handle, get()));
        return Model(handle);
    }
    /** Installs the progress function, in networks; an empty one: none. Not from inside such a function. */
    void set_progress(Progress progress)
    {
        listener_ = progress ? std::make_unique<detail::ProgressListener>(
                                   detail::ProgressListener{std::move(progress), nullptr})
                             : nullptr;
        nft_context_set_progress(get(), listener_ ? detail::ProgressListener::report : nullptr,
                                 listener_.get());
    }
    /** Runs the model on every network. The result is output(). */
    Output forward(WeightsView weights)
    {
        finish(run(detail::view(weights)));
        return output();
    }
    /** On networks first … first + count - 1; a count of 0: all that follow. */
    Output forward(WeightsView weights, std::int64_t first, std::int64_t count)
    {
        finish(run(detail::view(weights, first, count)));
        return output();
    }
    /** For a model on tokens, (N, tokens, channels). */
    Output forward(ArrayView tokens, std::int64_t first, std::int64_t count)
    {
        finish(run(detail::view(tokens, first, count)));
        return output();
    }
    /** On all tokens of the array. */
    Output forward(ArrayView tokens)
    {
        finish(run(detail::view(tokens)));
        return output();
    }
    /** On these networks of the set, in this order. */
    Output forward(WeightsView weights, const std::vector<std::int64_t> &indices)
    {
        static const std::int64_t none = 0; // of an empty list, which the library refuses; NULL would be all
        nft_view view = detail::view(weights);
        view.indices = indices.empty() ? &none : indices.data();
        view.count = static_cast<std::int64_t>(indices.size());
        finish(run(view));
        return output();
    }
    /** The output of the last forward; ends with the next one. */
    Output output() const noexcept
    {
        return Output(*nft_context_output(get(), NFT_OUTPUT));
    }
    /** The gradient of the last backward with respect to the input. */
    Output input_gradient() const noexcept
    {
        return Output(*nft_context_output(get(), NFT_OUTPUT_INPUT_GRADIENT));
    }
    /** Backward for only the input's gradient: see nft_backward(). */
    void backward(ArrayView output_gradient)
    {
        const nft_view view = detail::view(output_gradient);
        check(nft_backward(get(), &view, nullptr));
    }
    /** The same for a model whose output is features. */
    void backward(WeightsView output_gradient)
    {
        const nft_view view = detail::view(output_gradient);
        check(nft_backward(get(), &view, nullptr));
    }
    /** The input of the decoder of a model that has one. */
    Output latents() const noexcept
    {
        return Output(*nft_context_output(get(), NFT_OUTPUT_LATENTS));
    }
    /** The C handle. */
    nft_context *get() const noexcept
    {
        return owner_.get();
    }

  private:
    nft_status run(const nft_view &input)
    {
        return nft_forward(get(), &input);
    }
    void finish(nft_status status)
    {
        if (listener_)
            listener_->finish(status);
        else
            check(status);
    }

    std::unique_ptr<detail::ProgressListener> listener_;
    detail::Owner<nft_context, nft_context_free> owner_;
};

/** One number for each trained parameter of a model. */
class Gradients
{
  public:
    /** All 0, one for each trained parameter. */
    explicit Gradients(const Model &model)
    {
        nft_gradients *handle = nullptr;
        check(nft_gradients_create(&handle, model.get()));
        owner_.reset(handle);
    }
    /** Sets every gradient to 0. */
    void clear() noexcept
    {
        nft_gradients_clear(get());
    }
    /** Adds those of Σ output_gradient · output over the networks of the context's last forward. */
    void backward(Context &context, ArrayView output_gradient)
    {
        const nft_view view = detail::view(output_gradient);
        check(nft_backward(context.get(), &view, get()));
    }
    /** The same for a model whose output is features. */
    void backward(Context &context, WeightsView output_gradient)
    {
        const nft_view view = detail::view(output_gradient);
        check(nft_backward(context.get(), &view, get()));
    }
    /** Of the model's tensor `index`; borrowed. */
    nft_tensor_info tensor(std::int64_t index) const
    {
        nft_tensor_info info = NFT_TENSOR_INFO_INIT;
        check(nft_gradients_tensor(&info, get(), index));
        return info;
    }
    /** The C handle. */
    nft_gradients *get() const noexcept
    {
        return owner_.get();
    }

  private:
    detail::Owner<nft_gradients, nft_gradients_free> owner_;
};

/** An open file of networks or tokens with their labels. */
class Dataset
{
  public:
    /** Opens a file; reads only its header. */
    static Dataset open(const std::string &path, const nft_load_options *options = nullptr)
    {
        nft_dataset *handle = nullptr;
        check(nft_dataset_open(&handle, path.c_str(), options));
        return Dataset(handle);
    }
    /** Takes the handle over. */
    explicit Dataset(nft_dataset *handle) noexcept : owner_(handle)
    {
    }
    /** Samples, N. */
    std::int64_t count() const noexcept
    {
        return nft_dataset_describe(get())->count;
    }
    /** False if it holds tokens. */
    SpaceView space() const noexcept
    {
        return SpaceView(nft_dataset_describe(get())->space);
    }
    /** Reads the samples of these numbers into the first networks of a set. */
    void read(const std::vector<std::int64_t> &indices, Weights &weights) const
    {
        check(nft_dataset_read(weights.get(), get(), indices.data(),
                               static_cast<std::int64_t>(indices.size())));
    }
    /** Reads a whole tensor of the file, such as its labels. */
    Array read_tensor(const std::string &name) const
    {
        nft_array *handle = nullptr;
        check(nft_dataset_read_tensor(&handle, get(), name.c_str(), 0, NFT_ALL));
        return Array(handle);
    }
    /** The labels as a loss takes them: classes, or with 0 classes numbers; an empty name is `label`, or else
     * `target`. See nft_dataset_read_targets(). */
    Array read_targets(std::int64_t classes, const std::string &name = "") const
    {
        nft_array *handle = nullptr;
        check(nft_dataset_read_targets(&handle, get(), name.empty() ? nullptr : name.c_str(), classes));
        return Array(handle);
    }
    /** Only the rows of samples first … first + count - 1. */
    Array read_rows(const std::string &name, std::int64_t first, std::int64_t count) const
    {
        nft_array *handle = nullptr;
        check(nft_dataset_read_tensor(&handle, get(), name.c_str(), first, count));
        return Array(handle);
    }
    /** A set for read(), with room for `count` networks of a part: see nft_dataset_batch(). */
    Weights batch(std::int64_t part, std::int64_t count) const
    {
        nft_weights *handle = nullptr;
        check(nft_dataset_batch(&handle, get(), part, count));
        return Weights(handle);
    }
    /** The name of a tensor with a row for each sample, empty beyond the last. */
    std::string extra_name(std::int64_t index) const
    {
        return detail::text(nft_dataset_extra_name(get(), index));
    }
    /** A text of the metadata of a part, empty if there is none. */
    std::string metadata(std::int64_t part, const std::string &key) const
    {
        return detail::text(nft_dataset_metadata(get(), part, key.c_str()));
    }
    /** The C handle. */
    nft_dataset *get() const noexcept
    {
        return owner_.get();
    }

  private:
    detail::Owner<nft_dataset, nft_dataset_free> owner_;
};

/** A model in training, see nft/trainer.h. */
class Trainer
{
  public:
    /** Receives every step; returns whether to continue. An exception reaches the caller of run(). */
    using Listener = std::function<bool(const nft_step_info &)>;
    /** Fills a batch; returns whether to continue. An exception reaches the caller of step() or run(). */
    using Source = std::function<bool(nft_batch &)>;

    /** Begins with a copy of the model's parameters. */
    Trainer(const Model &model, std::string_view recipe_json,
            const nft_trainer_options &options = NFT_TRAINER_OPTIONS_INIT)
    {
        nft_trainer *handle = nullptr;
        check(nft_trainer_create(&handle, model.get(), recipe_json.data(), recipe_json.size(), &options));
        owner_.reset(handle);
    }
    /** The bytes that such a trainer takes at most, before anything is allocated. */
    static std::int64_t memory(const Model &model, std::string_view recipe_json,
                               const nft_trainer_options &options = NFT_TRAINER_OPTIONS_INIT)
    {
        std::int64_t bytes = 0;
        check(nft_trainer_memory(&bytes, model.get(), nullptr, recipe_json.data(), recipe_json.size(),
                                 &options));
        return bytes;
    }
    /** The same of a model of any space, for networks of this space. */
    static std::int64_t memory(const Model &model, SpaceView space, std::string_view recipe_json,
                               const nft_trainer_options &options = NFT_TRAINER_OPTIONS_INIT)
    {
        std::int64_t bytes = 0;
        check(nft_trainer_memory(&bytes, model.get(), space.get(), recipe_json.data(), recipe_json.size(),
                                 &options));
        return bytes;
    }
    /** The sets must not change; the trainer keeps references. A validation set that is there stays. */
    void set_data(const Weights &train)
    {
        const nft_weights *sets[] = {train.get()};
        set(weights(sets, 1), nullptr);
    }
    /** With a validation set. */
    void set_data(const Weights &train, const Weights &validation)
    {
        const nft_weights *sets[] = {train.get()}, *others[] = {validation.get()};
        const nft_trainer_data data = weights(others, 1);
        set(weights(sets, 1), &data);
    }
    /** Networks of several spaces, a set of each, for a model of any space; an empty list: none. */
    void set_data(const std::vector<const nft_weights *> &train,
                  const std::vector<const nft_weights *> &validation = {})
    {
        const nft_trainer_data data = weights(validation.data(), validation.size());
        set(weights(train.data(), train.size()), &data);
    }
    /** As set_data(), with data sets that are read batch by batch. */
    void set_dataset(const Dataset &train)
    {
        set(files(train), nullptr);
    }
    /** With a validation set. */
    void set_dataset(const Dataset &train, const Dataset &validation)
    {
        const nft_trainer_data data = files(validation);
        set(files(train), &data);
    }
    /** As set_data(), for a model on tokens: (N, tokens, channels) and their targets. */
    void set_tokens(ArrayView train, ArrayView train_targets)
    {
        set(tokens(train, train_targets), nullptr);
    }
    /** With a validation set. */
    void set_tokens(ArrayView train, ArrayView train_targets, ArrayView validation,
                    ArrayView validation_targets)
    {
        const nft_trainer_data data = tokens(validation, validation_targets);
        set(tokens(train, train_targets), &data);
    }
    /** Sets only the validation set, for example with a source; the training set stays. */
    void set_validation(const Weights &validation)
    {
        const nft_weights *sets[] = {validation.get()};
        const nft_trainer_data data = weights(sets, 1);
        check(nft_trainer_set_data(get(), nullptr, &data));
    }
    /** As set_validation(), with a data set that is read batch by batch. */
    void set_validation(const Dataset &validation)
    {
        const nft_trainer_data data = files(validation);
        check(nft_trainer_set_data(get(), nullptr, &data));
    }
    /** As set_validation(), for a model on tokens. */
    void set_validation(ArrayView validation, ArrayView validation_targets)
    {
        const nft_trainer_data data = tokens(validation, validation_targets);
        check(nft_trainer_set_data(get(), nullptr, &data));
    }
    /** Asks a function for every batch, in place of a training set; an empty one: no more. Not from inside
     * such a function. */
    void set_source(Source source)
    {
        nft_trainer_data data = NFT_TRAINER_DATA_INIT;
        auto filling = source ? std::make_unique<Filling>(Filling{std::move(source), nullptr}) : nullptr;
        data.callback = filling ? fill : nullptr;
        data.user = filling.get();
        set(data, nullptr);
        filling_ = std::move(filling);
    }
    /** Sets the statistics of `normalize` from the training set, before the first step. */
    void fit_normalize()
    {
        check(nft_trainer_fit_normalize(get()));
    }
    /** One step: a batch's loss and gradients, clipping, update. */
    nft_step_info step()
    {
        nft_step_info info = NFT_STEP_INFO_INIT;
        finish(nft_trainer_step(&info, get()));
        return info;
    }
    /** Steps until the recipe's end. */
    void run()
    {
        finish(nft_trainer_run(get(), nullptr, nullptr));
    }
    /** As run(); false if the listener stopped it. */
    bool run(Listener listener)
    {
        if (!listener) {
            run();
            return true;
        }
        Hearing hearing{std::move(listener), nullptr, false};
        nft_status status = nft_trainer_run(get(), report, &hearing);
        if (hearing.thrown)
            std::rethrow_exception(hearing.thrown);
        if (hearing.stopped)
            return false;
        finish(status);
        return true;
    }
    /** The mean loss over the validation set. */
    double validate()
    {
        double loss = 0;
        check(nft_trainer_validate(&loss, get()));
        return loss;
    }
    /** The model's output for every sample at the last validation; ends with the next one. */
    ArrayView validation_output() const noexcept
    {
        return ArrayView(nft_trainer_describe(get())->validation_output);
    }
    /** The lowest validation loss so far; not-a-number before the first. */
    double best_loss() const noexcept
    {
        return nft_trainer_describe(get())->best_loss;
    }
    /** Steps of the recipe. */
    std::int64_t steps() const noexcept
    {
        return nft_trainer_describe(get())->steps;
    }
    /** Steps taken so far. */
    std::int64_t steps_done() const noexcept
    {
        return nft_trainer_describe(get())->steps_done;
    }
    /** Writes a checkpoint. */
    void save(const std::string &path) const
    {
        check(nft_trainer_save(get(), path.c_str()));
    }
    /** Resumes from a checkpoint, bit-identical. */
    void resume(const std::string &path)
    {
        check(nft_trainer_resume(get(), path.c_str()));
    }
    /** The parameters as they are now. */
    Model snapshot() const
    {
        nft_model *handle = nullptr;
        check(nft_trainer_snapshot(&handle, get(), NFT_SNAPSHOT_LAST));
        return Model(handle);
    }
    /** Those of the lowest validation loss so far. */
    Model best() const
    {
        nft_model *handle = nullptr;
        check(nft_trainer_snapshot(&handle, get(), NFT_SNAPSHOT_BEST));
        return Model(handle);
    }
    /** The C handle. */
    nft_trainer *get() const noexcept
    {
        return owner_.get();
    }

  private:
    void set(const nft_trainer_data &train, const nft_trainer_data *validation)
    {
        check(nft_trainer_set_data(get(), &train, validation));
    }
    static nft_trainer_data weights(const nft_weights *const *sets, std::size_t count)
    {
        nft_trainer_data data = NFT_TRAINER_DATA_INIT;
        data.weights = sets;
        data.weights_count = static_cast<std::int64_t>(count);
        return data;
    }
    static nft_trainer_data tokens(ArrayView tokens, ArrayView targets)
    {
        nft_trainer_data data = NFT_TRAINER_DATA_INIT;
        data.tokens = tokens.get();
        data.targets = targets.get();
        return data;
    }
    static nft_trainer_data files(const Dataset &dataset)
    {
        nft_trainer_data data = NFT_TRAINER_DATA_INIT;
        data.dataset = dataset.get();
        return data;
    }
    struct Filling {
        Source source;
        std::exception_ptr thrown;
    };
    static int fill(nft_batch *batch, void *user)
    {
        auto *filling = static_cast<Filling *>(user);
        try {
            return filling->source(*batch) ? 0 : 1;
        } catch (...) {
            filling->thrown = std::current_exception();
            return 1;
        }
    }
    void finish(nft_status status)
    {
        if (filling_ && filling_->thrown)
            std::rethrow_exception(std::exchange(filling_->thrown, nullptr));
        check(status);
    }
    struct Hearing {
        Listener listener;
        std::exception_ptr thrown;
        bool stopped;
    };
    static int report(const nft_step_info *info, void *user)
    {
        auto *hearing = static_cast<Hearing *>(user);
        try {
            hearing->stopped = !hearing->listener(*info);
        } catch (...) {
            hearing->thrown = std::current_exception();
        }
        return hearing->stopped || hearing->thrown ? 1 : 0;
    }

    std::unique_ptr<Filling> filling_;
    detail::Owner<nft_trainer, nft_trainer_free> owner_;
};

} // namespace nft

#endif

#endif
