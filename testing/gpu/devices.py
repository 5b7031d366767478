"""Memory of a device, and copies to and from it, each waited for.

A CUDA device is used through its driver alone, so that nothing has to be installed for it.
"""

import ctypes
import mmap
from collections.abc import Sequence

# Of cuda.h.
NO_ERROR = 0
REGISTER_PORTABLE = 1
NAME_LEN_MAX = 256

DRIVER = "libcuda.so.1"


class NoDevice(Exception):
    """The reason why there is no device to be measured."""


class Cuda:
    """The first CUDA device of the machine."""

    IS_REHEARSAL = False

    def __init__(self) -> None:
        try:
            self._driver = ctypes.CDLL(DRIVER)
        except OSError as error:
            raise NoDevice(f"the driver of CUDA is not there: {error}") from error
        if (status := self._driver.cuInit(0)) != NO_ERROR:
            raise NoDevice(f"the driver of CUDA finds no device, cuInit=`{status}`")
        count = ctypes.c_int()
        self._call("cuDeviceGetCount", ctypes.byref(count))
        if count.value == 0:
            raise NoDevice("the driver of CUDA has no device, devices=`0`")
        device, context = ctypes.c_int(), ctypes.c_void_p()
        self._call("cuDeviceGet", ctypes.byref(device), 0)
        # The context that torch and all other users of the runtime have.
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self._call("cuCtxSetCurrent", context)
        name = ctypes.create_string_buffer(NAME_LEN_MAX)
        self._call("cuDeviceGetName", name, NAME_LEN_MAX, device)
        version = ctypes.c_int()
        self._call("cuDriverGetVersion", ctypes.byref(version))
        self.name = (
            f"{name.value.decode()}, CUDA {version.value // 1000}.{version.value % 1000 // 10}"
        )
        self._stream = ctypes.c_void_p()
        self._call("cuStreamCreate", ctypes.byref(self._stream), 0)

    def allocate(self, length: int) -> int:
        """Memory of the device."""
        address = ctypes.c_uint64()
        self._call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(length))
        return address.value

    def pinned(self, length: int) -> int:
        """Memory of the host that the driver has allocated for copies."""
        address = ctypes.c_void_p()
        size = ctypes.c_size_t(length)
        self._call("cuMemHostAlloc", ctypes.byref(address), size, REGISTER_PORTABLE)
        assert address.value is not None
        return address.value

    def register(self, address: int, length: int) -> None:
        """Registers memory of the host, as `cudaHostRegister` does."""
        size = ctypes.c_size_t(length)
        self._call("cuMemHostRegister_v2", ctypes.c_void_p(address), size, REGISTER_PORTABLE)

    def unregister(self, address: int) -> None:
        self._call("cuMemHostUnregister", ctypes.c_void_p(address))

    def to_host(self, pieces: Sequence[tuple[int, int]], source: int) -> None:
        """Copies from the device to pieces of host memory, given by address and length."""
        for address, length in pieces:
            target, size = ctypes.c_void_p(address), ctypes.c_size_t(length)
            self._call("cuMemcpyDtoHAsync_v2", target, ctypes.c_uint64(source), size, self._stream)
            source += length
        self._call("cuStreamSynchronize", self._stream)

    def to_device(self, target: int, pieces: Sequence[tuple[int, int]]) -> None:
        """Copies pieces of host memory to the device."""
        for address, length in pieces:
            source, size = ctypes.c_void_p(address), ctypes.c_size_t(length)
            self._call("cuMemcpyHtoDAsync_v2", ctypes.c_uint64(target), source, size, self._stream)
            target += length
        self._call("cuStreamSynchronize", self._stream)

    def _call(self, name: str, *arguments: object) -> None:
        status = getattr(self._driver, name)(*arguments)
        if status != NO_ERROR:
            raise RuntimeError(f"a call of the driver failed, call=`{name}` status=`{status}`")


class Rehearsal:
    """Memory of the processor in the place of a device: the same steps, and none of its figures."""

    IS_REHEARSAL = True
    name = "none: a rehearsal with memory of the processor"

    def __init__(self) -> None:
        self._memory: list[mmap.mmap] = []

    def allocate(self, length: int) -> int:
        """Memory that stands for the device's."""
        self._memory.append(mmap.mmap(-1, length))
        return address_of(self._memory[-1])

    def pinned(self, length: int) -> int:
        """Memory that stands for the driver's."""
        return self.allocate(length)

    def register(self, address: int, length: int) -> None:
        """Does nothing: no device takes part."""

    def unregister(self, address: int) -> None:
        """Does nothing: no device takes part."""

    def to_host(self, pieces: Sequence[tuple[int, int]], source: int) -> None:
        """Copies to pieces of memory, given by address and length."""
        for address, length in pieces:
            ctypes.memmove(address, source, length)
            source += length

    def to_device(self, target: int, pieces: Sequence[tuple[int, int]]) -> None:
        """Copies pieces of memory."""
        for address, length in pieces:
            ctypes.memmove(target, address, length)
            target += length


def address_of(memory: mmap.mmap) -> int:
    """Where a writable mapping begins."""
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))
