"""libnft from Python: numpy arrays in, numpy arrays out.

    model = nft.Model.load("classifier.safetensors")
    networks = nft.Weights.load("networks.safetensors")
    scores = nft.Context(model).forward(networks)

One module over ctypes; it needs numpy and libnft.so.0 ($NFT_LIBRARY, else where the system finds libraries).
Arrays are borrowed, not copied, where their layout allows it: float32, C-contiguous. Views into libnft's memory
keep the viewed object alive. A failure raises nft.Error with libnft's one line. The lock of the interpreter is
released while libnft computes; a Model may be used by many threads, a Context by one at a time.
"""

import ctypes
import json
import os
import weakref
from ctypes import POINTER, byref, c_char_p, c_int32, c_int64, c_size_t, c_uint64, c_void_p

import numpy as np

_FLOAT32, _INT64 = 0, 1
_OUTPUT, _LATENTS = 0, 1
_PRECISIONS = ("float32", "bf16x3", "bf16")
_ALL = -1
_MAX_RANK = 8


class _Sized(ctypes.Structure):
    """A struct that begins with its size."""

    def __init__(self, **fields):
        super().__init__(size=ctypes.sizeof(self), **fields)


class _SpaceTensor(_Sized):
    _fields_ = [("size", c_size_t), ("name", c_char_p), ("factors", c_void_p), ("factor_count", c_int64),
                ("role", c_int32), ("slice_dimension", c_int32), ("from_", c_char_p), ("slice_start", c_int64),
                ("rank", c_int64), ("shape", c_int64 * _MAX_RANK)]


class _LoadOptions(_Sized):
    _fields_ = [("size", c_size_t), ("memory_limit", c_int64), ("layers", POINTER(c_char_p)),
                ("layer_count", c_int64), ("space", c_void_p), ("prefix", c_char_p), ("bytes", c_void_p),
                ("byte_count", c_size_t)]


class _ContextOptions(_Sized):
    _fields_ = [("size", c_size_t), ("threads", c_int32), ("max_batch", c_int64), ("memory_limit", c_int64),
                ("without_decoder", c_int32), ("keep_blas_threads", c_int32), ("keep_for_backward", c_int32),
                ("input_gradient", c_int32), ("recompute", c_int32), ("max_spaces", c_int64), ("precision", c_int32)]


class _View(_Sized):
    _fields_ = [("size", c_size_t), ("weights", c_void_p), ("array", c_void_p), ("first", c_int64), ("count", c_int64),
                ("indices", POINTER(c_int64))]


class _ModuleInfo(_Sized):
    _fields_ = [("size", c_size_t), ("type", c_char_p), ("output", c_int32), ("tokens", c_int64),
                ("channels", c_int64), ("parameter_count", c_int64), ("buffer_count", c_int64), ("flops", c_int64)]


class _ModelDescription(_Sized):
    _fields_ = [("size", c_size_t), ("input", POINTER(_ModuleInfo)), ("output", POINTER(_ModuleInfo)),
                ("module_count", c_int64), ("tensor_count", c_int64), ("has_decoder", c_int32),
                ("space", c_void_p), ("config", c_char_p)]


class _SpaceDescription(_Sized):
    _fields_ = [("size", c_size_t), ("axis_count", c_int64), ("tensor_count", c_int64), ("layer_count", c_int64),
                ("parameter_count", c_int64), ("json", c_char_p)]


class _TensorInfo(_Sized):
    _fields_ = [("size", c_size_t), ("name", c_char_p), ("type", c_char_p), ("rank", c_int64),
                ("shape", c_int64 * _MAX_RANK), ("count", c_int64), ("data", c_void_p), ("trained", c_int32)]


def _load_library():
    library = ctypes.CDLL(os.environ.get("NFT_LIBRARY", "libnft.so.0"))
    handle, handle_out, text, integer = c_void_p, POINTER(c_void_p), c_char_p, c_int64
    fallible = {
        "nft_array_borrow": [handle_out, c_int32, POINTER(integer), integer, c_void_p],
        "nft_array_save": [text, POINTER(c_char_p), POINTER(c_void_p), c_size_t, POINTER(c_char_p)],
        "nft_context_create": [handle_out, handle, POINTER(_ContextOptions)],
        "nft_file_open": [handle_out, text, POINTER(_LoadOptions)],
        "nft_file_read": [handle_out, handle, text, integer, integer],
        "nft_file_tensor": [POINTER(_TensorInfo), handle, integer],
        "nft_forward": [handle, POINTER(_View)],
        "nft_model_create": [handle_out, text, c_size_t, c_uint64, POINTER(_LoadOptions)],
        "nft_model_load": [handle_out, text, POINTER(_LoadOptions)],
        "nft_model_save": [handle, text],
        "nft_model_tensor": [POINTER(_TensorInfo), handle, integer],
        "nft_space_get_tensor": [POINTER(_SpaceTensor), handle, integer],
        "nft_space_parse": [handle_out, text, c_size_t],
        "nft_weights_borrow": [handle_out, handle, integer, integer, POINTER(c_void_p)],
        "nft_weights_load": [handle_out, text, POINTER(_LoadOptions)],
        "nft_weights_save": [handle, text],
        "nft_weights_set_extra": [handle, text, handle],
    }
    getters = {
        "nft_array_f32": (c_void_p, [handle]),
        "nft_array_i64": (c_void_p, [handle]),
        "nft_array_rank": (integer, [handle]),
        "nft_array_size": (integer, [handle, integer]),
        "nft_build_info": (c_char_p, []),
        "nft_context_output": (POINTER(_View), [handle, c_int32]),
        "nft_error_message": (c_char_p, []),
        "nft_file_metadata_at": (c_char_p, [POINTER(text), handle, integer]),
        "nft_file_tensor_count": (integer, [handle]),
        "nft_model_metadata": (c_char_p, [handle, text]),
        "nft_model_describe": (POINTER(_ModelDescription), [handle]),
        "nft_space_describe": (POINTER(_SpaceDescription), [handle]),
        "nft_version": (c_char_p, []),
        "nft_weights_channels": (integer, [handle]),
        "nft_weights_count": (integer, [handle]),
        "nft_weights_data": (c_void_p, [handle, integer]),
        "nft_weights_extra": (c_void_p, [handle, text]),
        "nft_weights_extra_name": (c_char_p, [handle, integer]),
        "nft_weights_metadata": (c_char_p, [handle, text]),
        "nft_weights_space": (c_void_p, [handle]),
        "nft_weights_tensor_name": (c_char_p, [handle, integer]),
    }
    for name, arguments in fallible.items():
        getattr(library, name).argtypes, getattr(library, name).restype = arguments, c_int32
    for name, (result, arguments) in getters.items():
        getattr(library, name).argtypes, getattr(library, name).restype = arguments, result
    for thing in ("array", "context", "file", "model", "space", "weights"):
        free = getattr(library, f"nft_{thing}_free")
        free.argtypes, free.restype = [handle], None
    return library


_library = _load_library()


class Error(Exception):
    """A call of libnft that failed: its one line, and `status`, one of NFT_ERROR_…."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


def _check(status):
    if status:
        raise Error(status, _library.nft_error_message().decode(errors="replace"))


class _Handle:
    """Owns an object of the library; is freed when nothing refers to it any more."""

    def __init__(self, thing, create, *arguments):
        pointer = c_void_p()
        _check(create(byref(pointer), *arguments))
        self.pointer = pointer
        weakref.finalize(self, getattr(_library, f"nft_{thing}_free"), pointer).atexit = False


def _path(path):
    return os.fsencode(path)


def _view(pointer, dtype, shape, owner):
    """An array that reads libnft's memory and keeps its owner alive."""
    count = int(np.prod(shape, dtype=np.int64))
    if not count:
        return np.zeros(shape, dtype)
    memory = (ctypes.c_char * (count * np.dtype(dtype).itemsize)).from_address(pointer)
    memory.owner = owner
    view = np.frombuffer(memory, dtype).reshape(shape)
    view.flags.writeable = False
    return view


def _array_view(array, owner):
    shape = [_library.nft_array_size(array, axis) for axis in range(_library.nft_array_rank(array))]
    floats = _library.nft_array_f32(array)
    integers = _library.nft_array_i64(array)
    return _view(integers, np.int64, shape, owner) if integers else _view(floats, np.float32, shape, owner)


def _borrow(values):
    """An nft_array on the memory of a numpy array, or of a copy if type or layout differ, and the memory that it reads."""
    values = np.asarray(values)
    if values.dtype == np.uint64 and values.size and int(values.max()) > np.iinfo(np.int64).max:
        raise ValueError(f"{values.max()} is more than an int64 holds")
    dtype = np.int64 if values.dtype.kind in "iub" else np.float32
    values = np.asarray(values, dtype, order="C")
    shape = (c_int64 * max(values.ndim, 1))(*values.shape)
    kind = _INT64 if dtype is np.int64 else _FLOAT32
    return _Handle("array", _library.nft_array_borrow, kind, shape, values.ndim, values.ctypes.data), values


def version():
    return _library.nft_version().decode()


def build_info():
    """BLAS, vector kernels, cores."""
    return _library.nft_build_info().decode()


def read(path):
    """The tensors of a safetensors file by their names: floats as float32, integers as int64. U64 and floats of 8 bits
    are an error."""
    file = _Handle("file", _library.nft_file_open, _path(path), None)
    arrays = {}
    for index in range(_library.nft_file_tensor_count(file.pointer)):
        info = _TensorInfo()
        _check(_library.nft_file_tensor(byref(info), file.pointer, index))
        array = _Handle("array", _library.nft_file_read, file.pointer, info.name, 0, _ALL)
        arrays[info.name.decode()] = _array_view(array.pointer, array)
    return arrays


def metadata(path):
    """The texts of a safetensors file's __metadata__ by their keys."""
    file = _Handle("file", _library.nft_file_open, _path(path), None)
    texts, text = {}, c_char_p()
    while (key := _library.nft_file_metadata_at(byref(text), file.pointer, len(texts))) is not None:
        texts[key.decode()] = text.value.decode()
    return texts


def save(path, arrays, metadata=()):
    """Writes {name: array} to a safetensors file, floats as F32 and integers as I64: the whole file, or nothing.
    `metadata` are texts by their keys."""
    texts = [text.encode() for pair in dict(metadata).items() for text in pair]
    borrowed = [_borrow(array) for array in arrays.values()]
    names = (c_char_p * len(arrays))(*[name.encode() for name in arrays])
    handles = (c_void_p * len(arrays))(*[handle.pointer for handle, _ in borrowed])
    _check(_library.nft_array_save(_path(path), names, handles, len(arrays), (c_char_p * (len(texts) + 1))(*texts)))


def _space(description):
    """A space from a dict or JSON text, {"layers": […]} or {"axes": […], "tensors": […]}."""
    text = (description if isinstance(description, str) else json.dumps(description)).encode()
    return _Handle("space", _library.nft_space_parse, text, len(text))


def _space_shapes(space):
    """The names of a space's tensors, and their shapes."""
    shapes = {}
    for index in range(_library.nft_space_describe(space).contents.tensor_count):
        about = _SpaceTensor()
        _check(_library.nft_space_get_tensor(byref(about), space, index))
        shapes[about.name.decode()] = tuple(about.shape[:about.rank])
    return shapes


def _tensor_names(weights):
    count = _library.nft_space_describe(_library.nft_weights_space(weights)).contents.tensor_count
    return [_library.nft_weights_tensor_name(weights, index).decode() for index in range(count)]


def _tensor_view(weights, index, owner):
    about = _SpaceTensor()
    _check(_library.nft_space_get_tensor(byref(about), _library.nft_weights_space(weights), index))
    shape = [_library.nft_weights_count(weights), _library.nft_weights_channels(weights), *about.shape[:about.rank]]
    return _view(_library.nft_weights_data(weights, index), np.float32, shape, owner)


class Weights:
    """The weights of N networks of one architecture, and the tensors that travel with them: set["label"]."""

    def __init__(self, handle, keeps=()):
        self._handle, self._keeps = handle, keeps

    @classmethod
    def load(cls, path, layers=None, space=None):
        """One network (a state_dict), a stack of networks, or features, in a file of any format. `space`, a dict,
        describes the networks where the file does not, and they are no chain; `layers` names the layers of a chain
        in their order, where the natural order of their names is not it."""
        names = (c_char_p * len(layers))(*[name.encode() for name in layers]) if layers else None
        described = _space(space) if space else None
        options = _LoadOptions(layers=names, layer_count=len(layers or ()),
                               space=described.pointer if described else None)
        return cls(_Handle("weights", _library.nft_weights_load, _path(path), byref(options)))

    @classmethod
    def from_arrays(cls, space, arrays, extras=None):
        """Networks of a space, a dict as in configurations: an array (N, *shape) for each of its tensors, by name or
        in their order; features have a second axis, channels, in all of them. In a chain tensor 2i is layer i's
        weight and 2i + 1 its bias, "0.weight", "0.bias" …; the array of a bias may be None. float32 arrays are read
        in place: do not change them while the set is used. `extras` are {name: array} with a leading N."""
        described = _space(space)
        shapes = _space_shapes(described.pointer)
        if not isinstance(arrays, dict):
            arrays = dict(zip(shapes, arrays)) if len(arrays) == len(shapes) else {}
        if set(arrays) != set(shapes):
            raise ValueError(f"expected an array for each tensor of the space: {', '.join(shapes)}")
        arrays = {name: None if arrays[name] is None else np.asarray(arrays[name], np.float32, order="C")
                  for name in shapes}
        first, shape = next(((name, array.shape) for name, array in arrays.items() if array is not None), (None, ()))
        axes = len(shape) - len(shapes[first]) if first else 0
        if axes not in (1, 2):
            raise ValueError(f"tensor '{first}' is {shape}, expected (N, *{shapes.get(first)}), or N, channels before")
        for name, array in arrays.items():
            if array is not None and array.shape != shape[:axes] + shapes[name]:
                raise ValueError(f"tensor '{name}' is {array.shape}, expected {shape[:axes] + shapes[name]}")
        pointers = (c_void_p * len(arrays))(*[None if array is None else array.ctypes.data
                                              for array in arrays.values()])
        handle = _Handle("weights", _library.nft_weights_borrow, described.pointer, shape[0],
                         shape[1] if axes == 2 else 1, pointers)
        made = cls(handle, arrays)
        for name, values in (extras or {}).items():
            array, _ = _borrow(values)
            _check(_library.nft_weights_set_extra(made._handle.pointer, name.encode(), array.pointer))
        return made

    def save(self, path):
        _check(_library.nft_weights_save(self._handle.pointer, _path(path)))

    def __len__(self):
        """N, the networks."""
        return _library.nft_weights_count(self._handle.pointer)

    @property
    def space(self):
        """The space of the networks, a dict as in configurations."""
        return json.loads(_library.nft_space_describe(_library.nft_weights_space(self._handle.pointer)).contents.json)

    @property
    def names(self):
        """The networks' tensors, in the order of the space, by their names in the file."""
        return _tensor_names(self._handle.pointer)

    def tensor(self, tensor):
        """A tensor of the networks by its name or its index, (N, C, *shape): a view."""
        if isinstance(tensor, str):
            if tensor not in self.names:
                raise KeyError(tensor)
            tensor = self.names.index(tensor)
        return _tensor_view(self._handle.pointer, tensor, self)

    def metadata(self, key):
        """A text of the metadata, `nft.omega` for example, or None."""
        text = _library.nft_weights_metadata(self._handle.pointer, key.encode())
        return None if text is None else text.decode()

    def keys(self):
        """The names of the tensors that travel with the set."""
        names = []
        while name := _library.nft_weights_extra_name(self._handle.pointer, len(names)):
            names.append(name.decode())
        return names

    def __contains__(self, name):
        return name in self.keys()

    def __getitem__(self, name):
        """A tensor that travels with the set: a view."""
        array = _library.nft_weights_extra(self._handle.pointer, name.encode())
        if not array:
            raise KeyError(name)
        return _array_view(array, self)


class Model:
    """A configuration with parameters. Any number of contexts and threads may share it."""

    def __init__(self, handle):
        self._handle = handle

    @classmethod
    def load(cls, path):
        return cls(_Handle("model", _library.nft_model_load, _path(path), None))

    @classmethod
    def from_config(cls, config, seed=0):
        """A freshly initialised model from a configuration, a dict or JSON text."""
        text = (config if isinstance(config, str) else json.dumps(config)).encode()
        return cls(_Handle("model", _library.nft_model_create, text, len(text), seed, None))

    def save(self, path):
        _check(_library.nft_model_save(self._handle.pointer, _path(path)))

    @property
    def config(self):
        return json.loads(_library.nft_model_describe(self._handle.pointer).contents.config)

    def metadata(self, key):
        """A text of the file's metadata, `nft.loss` for example, or None."""
        text = _library.nft_model_metadata(self._handle.pointer, key.encode())
        return None if text is None else text.decode()

    @property
    def parameter_count(self):
        return _library.nft_model_describe(self._handle.pointer).contents.output.contents.parameter_count

    def tensors(self):
        """Parameters and buffers by their names: views."""
        named = {}
        for index in range(_library.nft_model_describe(self._handle.pointer).contents.tensor_count):
            info = _TensorInfo()
            _check(_library.nft_model_tensor(byref(info), self._handle.pointer, index))
            named[info.name.decode()] = _view(info.data, np.float32, info.shape[:info.rank], self)
        return named


class _Lease:
    """The object behind the views into a context: alive as long as one of them is."""

    def __init__(self, handle):
        self.handle = handle


class Context:
    """The workspace in which a model runs. `threads` 0: all cores; larger inputs than `max_batch` go in pieces.
    `precision` of the products with weights is "float32", "bf16x3" or "bf16" (NFT_PRECISION_… of nft/base.h)."""

    def __init__(self, model, threads=0, max_batch=32, memory_limit=0, without_decoder=False, precision="float32"):
        if precision not in _PRECISIONS:
            raise ValueError(f"precision is {precision!r}, expected one of {', '.join(_PRECISIONS)}")
        self._model, self._any = model, model.config.get("space") == "any"
        self._options = _ContextOptions(threads=threads, max_batch=max_batch, memory_limit=memory_limit,
                                        without_decoder=int(without_decoder),
                                        precision=_PRECISIONS.index(precision))
        self._renew()

    def _renew(self):
        model = self._model._handle.pointer
        self._handle = _Handle("context", _library.nft_context_create, model, byref(self._options))
        self._room = self._options.max_batch
        self._lease = lambda: None

    def forward(self, inputs, first=0, count=None):
        """The model's output for networks first … first + count - 1 of a weight set, or for tokens (N, tokens,
        channels): a new array. None for a model that gives features: see get()."""
        self.run(inputs, first, count)
        output = self.output
        return None if output is None else output.copy()

    def run(self, inputs, first=0, count=None):
        """As forward(), but leaves the output where it is: see `output`. Nothing is copied."""
        count = len(inputs) - first if count is None else count
        if (count > self._room or self._any) and self._lease():
            self._renew()  # the library would move its output from under a view
        if isinstance(inputs, Weights):
            view = _View(weights=inputs._handle.pointer, first=first, count=count)
        else:
            tokens, _values = _borrow(inputs)
            view = _View(array=tokens.pointer, first=first, count=count)
        _check(_library.nft_forward(self._handle.pointer, byref(view)))
        self._room = max(self._room, count)

    @property
    def output(self):
        """The last output, (N, tokens, channels) or (N, channels): a view, which the next run overwrites. None
        before the first, and for a model that gives features."""
        return self.get("output")

    def get(self, name):
        """As `output`, by name: "latents" of a model with a decoder; the name of a tensor, "0.weight" for example, of
        one that gives features."""
        which = _LATENTS if name == "latents" else _OUTPUT
        view = _library.nft_context_output(self._handle.pointer, which).contents
        array = view.array if name in ("output", "latents") else None
        features = None if array else view.weights
        index = _tensor_names(features).index(name) if features and name in _tensor_names(features) else None
        if not array and index is None:
            return None
        lease = self._lease() or _Lease(self._handle)
        self._lease = weakref.ref(lease)
        return _array_view(array, lease) if array else _tensor_view(features, index, lease)
