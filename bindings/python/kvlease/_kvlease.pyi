"""The native half of the package: a connector with a blocking face and an operation queue.

A buffer is any contiguous object with the buffer protocol. The call uses its memory until it
returns; a queue uses it until the result was drained. The caller leaves it alone until then.
"""

import builtins
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias, final

from _typeshed import ReadableBuffer, WriteableBuffer

__all__ = [
    "BusyError",
    "ClosedError",
    "Connector",
    "ConnectorSettings",
    "KvleaseError",
    "Memory",
    "OpenObject",
    "Queue",
    "RefusedError",
    "Reservation",
    "UnavailableError",
    "UnreadableError",
    "VERSION",
    "View",
    "close_all",
    "get_positive_float",
    "get_positive_int",
    "parse_url",
    "remake_settings",
]

VERSION: str

class KvleaseError(Exception):
    """Reason of a failed call.

    The message names the remedy; the subclass tells programs what to do.
    """

class UnavailableError(KvleaseError):
    """The daemon cannot be reached or did not answer in time: try again later."""

class RefusedError(KvleaseError):
    """The daemon refused: do what the message says."""

class UnreadableError(KvleaseError):
    """The object is there and could not be read whole: treat it as a miss."""

class ClosedError(KvleaseError):
    """The connector is closed, or was made before the process forked: make a new one."""

class BusyError(KvleaseError):
    """Too many operations are pending, or too much is leased: take or read that first."""

# What came of one key of a batch.
_Flag: TypeAlias = bool | KvleaseError

@final
class ConnectorSettings:
    """The settings of a connector, checked.

    A setting that cannot be used is a ValueError that names key, value and remedy.
    """

    def __new__(
        cls,
        url: str,
        *,
        bucket: str = "lmcache",
        shared_memory_name: str | None = "shared_memory",
        shared_memory_dir: str | None = None,
        socket: str | bool | None = None,
        lane_open_max_ms: int | None = None,
        index: str | bool | None = None,
        groups: bool = False,
        max_concurrent_requests: int = 100,
        max_connections: int = 256,
        max_connections_per_host: int = 128,
        timeout_ms: int = 5000,
        lease_ttl_s: float = 30.0,
        lease_retention_ms: int | None = None,
        put_stream_chunk_bytes: int = 65536,
        max_lease_size_mb: float | None = None,
        copy_threads: int | None = None,
        daemon_uid: int | None = None,
        use_https: bool = False,
        tls_ca_file: str | None = None,
        tls_certificate_file: str | None = None,
        tls_key_file: str | None = None,
        token: str | None = None,
        token_file: str | None = None,
    ) -> Self: ...
    @staticmethod
    def from_extra_config(
        url: str, extra_config: Mapping[str, Any] | None = None
    ) -> ConnectorSettings:
        """The settings that LMCache's in-process adapter would make of a URL and `extra_config`."""
    @staticmethod
    def for_mp(
        url: str,
        *,
        bucket: str = "lmcache",
        shared_memory_name: str | None = "shared_memory",
        shared_memory_dir: str | None = None,
        socket: str | bool | None = None,
        lane_open_max_ms: int | None = None,
        index: str | bool | None = None,
        groups: bool = False,
        max_concurrent_requests: int = 100,
        max_connections: int = 256,
        max_connections_per_host: int = 128,
        timeout_ms: int = 5000,
        lease_wait_timeout_ms: int = 1000,
        lease_ttl_ms: int = 30000,
        lease_retention_ms: int | None = None,
        put_stream_chunk_bytes: int = 65536,
        max_lease_size_mb: float | None = None,
        copy_threads: int | None = None,
        daemon_uid: int | None = None,
        use_https: bool = False,
        tls_ca_file: str | None = None,
        tls_certificate_file: str | None = None,
        tls_key_file: str | None = None,
        token: str | None = None,
        token_file: str | None = None,
    ) -> ConnectorSettings:
        """The settings that LMCache's MP client would make of its arguments."""
    @property
    def url(self) -> str:
        """The daemon's HTTP URL, with its port."""
    @property
    def bucket(self) -> str: ...
    @property
    def shared_memory_name(self) -> str | None:
        """The segment's name; None to read over HTTP."""
    @property
    def shared_memory_dir(self) -> Path: ...
    @property
    def socket(self) -> str:
        """The daemon's fast lane: `auto` where it says that it is, `none`, or the socket's path."""
    @property
    def lane_open_max_ms(self) -> int:
        """Time limit of opening the fast lane, in milliseconds."""
    @property
    def index(self) -> bool:
        """Whether the daemon's published index is read before the daemon is asked."""
    @property
    def groups(self) -> bool:
        """Whether a look-up counts an object only where those of all ranks are there."""
    @property
    def daemon_uid(self) -> int | None:
        """The user that runs the daemon; None for this process's own or root."""
    @property
    def max_concurrent_requests(self) -> int: ...
    @property
    def max_connections(self) -> int: ...
    @property
    def max_connections_per_host(self) -> int: ...
    @property
    def timeout_ms(self) -> int: ...
    @property
    def lease_wait_ms(self) -> int:
        """How long the daemon is asked to hold a lease request, in milliseconds."""
    @property
    def lease_ttl_s(self) -> float: ...
    @property
    def lease_retention_ms(self) -> int:
        """How long a lookup's lease is kept for the read that follows, in milliseconds."""
    @property
    def put_stream_chunk_bytes(self) -> int: ...
    @property
    def max_lease_size_bytes(self) -> int | None:
        """The longest object that is read; None for any."""
    @property
    def copy_threads(self) -> int: ...
    @property
    def tls_ca_file(self) -> Path | None: ...
    @property
    def tls_certificate_file(self) -> Path | None: ...
    @property
    def tls_key_file(self) -> Path | None: ...
    @property
    def token_file(self) -> Path | None:
        """The file of the token. The token itself cannot be asked for."""
    @property
    def warnings(self) -> list[str]:
        """Oddities of the configuration that do no harm, a line each."""

@final
class Connector:
    """Stores, finds and reads objects; every call waits for its result.

    All methods may be called from any thread, and release the interpreter while they wait. Those
    for one key raise `KvleaseError`; those for many return what came of each, in the order of the
    keys, with an exception as the value of a key that failed. A key of no use is a `ValueError`.
    """

    def __new__(cls, settings: ConnectorSettings) -> Self:
        """Connects to nothing yet."""

    def put(self, key: str, data: ReadableBuffer) -> bool:
        """Stores an object. False if the key had one, which stays as it is."""

    def post(self, key: str, data: ReadableBuffer) -> None:
        """Stores an object, and returns when its bytes are copied: `flush_posts` tells the outcome.

        Small objects are posted over the fast lane, a bounded number at a time; all others are
        stored as by `put`. The object is visible after the next flush, and most often at once.
        """

    def flush_posts(self) -> builtins.list[tuple[str, KvleaseError]]:
        """Waits for what was posted. Key and error of each post that failed since the last flush.

        They come in the order of the posts. `close` flushes as well, and logs what failed.
        """

    def batched_put(
        self, keys: Sequence[str], data: Sequence[ReadableBuffer]
    ) -> builtins.list[_Flag]:
        """Stores objects."""

    def get(self, key: str) -> bytes | None:
        """Reads an object. None on a miss."""

    def batched_get(self, keys: Sequence[str]) -> builtins.list[bytes | None | KvleaseError]:
        """Reads objects."""

    def get_into(self, key: str, buffer: WriteableBuffer) -> bool:
        """Reads an object into a buffer of its length. False on a miss.

        After a miss or an error the buffer's content is unspecified.
        """

    def batched_get_into(
        self, keys: Sequence[str], buffers: Sequence[WriteableBuffer]
    ) -> builtins.list[_Flag]:
        """Reads objects, each into its buffer. Buffers that share memory are a `ValueError`."""

    def batched_gather(
        self,
        keys: Sequence[str],
        memory: Memory,
        addresses: Sequence[int],
        lengths: Sequence[int],
    ) -> builtins.list[_Flag]:
        """Stores objects, each gathered from as many regions of the memory, one after the other.

        A region is an address and a length. Those of the first key come first.
        """

    def batched_scatter(
        self,
        keys: Sequence[str],
        memory: Memory,
        addresses: Sequence[int],
        lengths: Sequence[int],
    ) -> builtins.list[_Flag]:
        """Reads objects, each scattered into as many regions of the memory, as of `batched_gather`.

        The regions of an object have its length together, and none shares bytes with another one.
        """

    def view(self, key: str) -> View | None:
        """An object where it is in shared memory, not copied. None on a miss.

        Raises:
            KvleaseError: If there is no shared memory, or it cannot be attached.
        """

    def exists(self, key: str) -> bool:
        """Whether there is an object."""

    def is_indexed(self, key: str) -> bool:
        """Whether the daemon's published index names an object.

        It returns at once and makes no call. False says nothing: ask with `exists`.
        """

    def touch(self, keys: Sequence[str]) -> int:
        """Tells the daemon, a moment later, that objects were used, so that it keeps them.

        Those are meant that its published index names; returns how many they are, at once.
        """

    def batched_exists(self, keys: Sequence[str]) -> builtins.list[_Flag]:
        """Tells which objects there are."""

    def lookup_prefix(self, keys: Sequence[str]) -> int:
        """Counts the objects before the first that is missing."""

    def list(self, prefix: str = "") -> builtins.list[str]:
        """The keys of all objects that start so, where the daemon can tell."""

    def remove(self, key: str) -> bool:
        """Removes an object, where the daemon can. Whether it was there."""

    def batched_remove(self, keys: Sequence[str]) -> builtins.list[_Flag]:
        """Removes objects, where the daemon can."""

    def ping(self) -> None:
        """Returns if the daemon answers.

        Raises:
            KvleaseError: If it does not.
        """

    def stats(self) -> dict[str, int]:
        """Counters of what was done so far.

        `leases` were granted; of these the daemon confirmed the end of `leases_released`,
        `release_failures` end by their time to live, and `held` are kept for a read.
        """

    def close(self) -> None:
        """Waits for what runs, gives up what takes too long, and releases what is held.

        Later calls raise `ClosedError`; a second close does nothing.
        """

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...

@final
class Memory:
    """Memory of writable buffers, which it keeps, for calls that use regions of it.

    A call uses its regions until it returns: the caller leaves those alone until then, and no
    others.
    """

    def __new__(cls, buffers: Sequence[WriteableBuffer]) -> Self:
        """Regions are named by their addresses in memory."""

@final
class View:
    """An object where it is in shared memory, under a lease: a read-only buffer, for `with`.

    The bytes are the object's only while `is_live`: ask after having used them. Nothing compares
    them with their checksum but `verify`. The lease and the memory are kept until the view is
    closed and every buffer of it released. After a lease that ended before by its time to live, the
    buffers stay readable, but may show the bytes of another object.
    """

    @property
    def key(self) -> str:
        """The object's key."""

    @property
    def parts(self) -> tuple[memoryview, ...]:
        """The object's parts in their order, most often one: read-only, released one by one."""

    @property
    def extents(self) -> builtins.list[tuple[int, int]]:
        """Offset and length of each part in the arena, in their order."""

    @property
    def arena(self) -> tuple[int, int]:
        """Device and inode of the arena's file."""

    @property
    def remaining_s(self) -> float:
        """Seconds until the lease ends, unless it is renewed before; 0 if it has ended."""

    @property
    def is_live(self) -> bool:
        """Whether the bytes are the object's: its lease lives, and so does the segment."""

    def verify(self) -> bool:
        """Reads all bytes and compares them with the checksum. False if the daemon sent none.

        Raises:
            UnreadableError: If they differ, which the daemon is told, or the lease has ended.
        """

    def close(self) -> None:
        """Gives the lease and the memory up, as soon as no buffer is in use any more.

        All but `key`, `len()` and `close()` is an error afterwards.
        """

    def __len__(self) -> int:
        """The object's length in bytes."""

    def __buffer__(self, flags: int, /) -> memoryview:
        """The object, if it is in one part; a `BufferError` if it is in several."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...

@final
class Reservation:
    """Space of the arena for one object, to be written by whom the extents are named to.

    It is closed when the value is gone, unless it was committed.
    """

    @property
    def key(self) -> str:
        """The object's key."""

    @property
    def extents(self) -> builtins.list[tuple[int, int]]:
        """Offset and length of each part in the arena, in their order."""

    @property
    def arena(self) -> tuple[int, int]:
        """Device and inode of the arena's file."""

    @property
    def remaining_s(self) -> float:
        """Seconds in which it can still be written and committed, 0 if its time is over."""

    def close(self) -> None:
        """Gives the space back. The caller has ended all writes there before."""

@final
class OpenObject:
    """An object that was found. Its rest can be read once.

    Until then, or until the value is gone, a lease keeps it in place.
    """

    @property
    def key(self) -> str:
        """Its key."""

    @property
    def is_shared(self) -> bool:
        """Whether its rest is in shared memory, rather than to come over HTTP."""

    @property
    def head(self) -> bytes:
        """Its first bytes, as many as were asked for or as there are."""

    def __len__(self) -> int:
        """Its length in bytes, the head included."""

@final
class Queue:
    """Starts operations on a connector, and hands their results over when they are asked for.

    A `submit` call returns at once with the operation's number, which is positive. When operations
    have finished, the descriptor becomes readable, and `drain` returns their numbers and results.
    An exception as a result, or as the value of a key, says what failed; no result is lost.

    Submissions raise `ClosedError` behind a close, `BusyError` when too many results were not
    taken, and `ValueError`, `TypeError` or `BufferError` for arguments of no use.
    """

    def __new__(cls, connector: Connector) -> Self: ...
    def event_fd(self) -> int:
        """The descriptor, open as long as the queue lives. Only `drain` may read it."""

    def submit_open(self, keys: Sequence[str], head_len: int) -> int:
        """Finds objects and reads their first bytes: `list[OpenObject | None | KvleaseError]`.

        `BusyError` is the value of a key to be asked for again when the others were read.
        """

    def submit_read_rest(self, objects: Sequence[tuple[OpenObject, WriteableBuffer]]) -> int:
        """Copies what follows the heads until each buffer is full: `list[_Flag]`."""

    def read_rest_here(self, objects: Sequence[tuple[OpenObject, WriteableBuffer]]) -> list[_Flag]:
        """Copies on the calling thread, for little and for what `is_shared`: `list[_Flag]`."""

    def submit_put(
        self, keys: Sequence[str], objects: Sequence[tuple[bytes, ReadableBuffer]]
    ) -> int:
        """Stores objects, each a head and the bytes behind it: `list[_Flag]`, as of `put`."""

    def submit_get_into(self, keys: Sequence[str], buffers: Sequence[WriteableBuffer]) -> int:
        """Reads objects, each into a buffer of its length, none of them shared: `list[_Flag]`."""

    def submit_view(self, keys: Sequence[str]) -> int:
        """Leases objects, compared with their checksums: `list[View | None | KvleaseError]`.

        They stay where they are. Without shared memory each key has an error.
        """

    def submit_reserve(self, keys: Sequence[str], lengths: Sequence[int]) -> int:
        """Reserves space of these lengths: `list[Reservation | None | KvleaseError]`.

        `None` is the value of a key that has an object, or one that is being written.
        """

    def submit_commit(self, reservations: Sequence[Reservation]) -> int:
        """Stores the objects that were written into their space: `list[_Flag]`, as of `put`."""

    def submit_exists(self, keys: Sequence[str]) -> int:
        """Tells which objects there are: `list[_Flag]`."""

    def submit_hold(self, keys: Sequence[str]) -> int:
        """Tells which objects there are, and keeps those for a read soon after: `list[_Flag]`."""

    def submit_lookup(self, keys: Sequence[str]) -> int:
        """Counts the objects before the first that is missing: `int`."""

    def submit_remove(self, keys: Sequence[str]) -> int:
        """Removes objects, where the daemon can: `list[_Flag]`."""

    def submit_list(self, prefix: str = "") -> int:
        """The keys of all objects that start so, where the daemon can tell: `list[str]`."""

    def submit_ping(self) -> int:
        """Asks whether the daemon answers: `True`."""

    def open_or_submit(
        self, keys: Sequence[str], head_len: int
    ) -> tuple[list[OpenObject | KvleaseError | None]] | int:
        """As `submit_open`, but a small call whose answer comes at once returns it, in a tuple."""

    def exists_or_submit(self, keys: Sequence[str]) -> tuple[list[_Flag]] | int:
        """As `submit_exists`, but a small call may return its answer, in a tuple."""

    def lookup_or_submit(self, keys: Sequence[str]) -> tuple[int | KvleaseError] | int:
        """As `submit_lookup`, but a small call may return its answer, in a tuple."""

    def put_or_submit(
        self, keys: Sequence[str], objects: Sequence[tuple[bytes, ReadableBuffer]]
    ) -> tuple[list[_Flag]] | int:
        """As `submit_put`, but a small call may return its answer, in a tuple."""

    def submit_close(self) -> int:
        """Closes the connector and its queues: `True`. Later submissions are refused."""

    def drain(self, wait_s: float = 0.0) -> list[tuple[int, object]]:
        """Number and result of each finished operation; waits at most `wait_s` for the first."""

def remake_settings(rules: str, url: str, values: dict[str, Any] | None) -> ConnectorSettings:
    """Makes settings again that were pickled."""

def parse_url(url: str, use_https: bool) -> str:
    """The daemon's HTTP URL: variables replaced, and the scheme of a connector taken off."""

def get_positive_int(config_dict: Mapping[str, Any], key: str, default: int) -> int:
    """The whole number above 0 under a key, or the default: anything that `int()` reads."""

def get_positive_float(config_dict: Mapping[str, Any], key: str, default: float) -> float:
    """The number above 0 under a key, or the default: anything finite that `float()` reads."""

def close_all() -> None:
    """Closes every connector of this process, in a bounded time. Called when Python exits."""
