"""The client that LMCache's MP server loads through its `native_plugin` adapter.

LMCache submits batches, is told by an event descriptor that some have ended, and drains their
results. Keys and bytes are those of LMCache's own HyperPod adapter: each reads what the other
wrote. Nothing is copied by Python, and no event loop is involved.
"""

from __future__ import annotations

import itertools
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypedDict, Unpack

from kvlease._kvlease import Connector, ConnectorSettings, KvleaseError, Queue
from kvlease.lmcache.log import show_beside_lmcache

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

    Completion = tuple[int, bool, str, list[bool] | None]

# The most refused submissions that are kept until they are drained; the oldest go first.
REFUSALS_MAX = 1 << 16

logger = logging.getLogger(__name__)


class Arguments(TypedDict, total=False):
    """The keyword arguments of a `NativeClient`, which LMCache takes from `adapter_params`."""

    # The namespace of the keys: `lmcache`.
    bucket: str
    # The daemon's segment, `shared_memory`; None or `none` to read over HTTP.
    shared_memory_name: str | None
    # The most requests under way at a time: 100.
    max_concurrent_requests: int
    # The most connections, in all and to one host: 256 and 128.
    max_connections: int
    max_connections_per_host: int
    # How long a store or a release may take: 5000.
    timeout_ms: int
    # How long the daemon may hold the lookup of an object that is being written: 1000.
    lease_wait_timeout_ms: int
    # The time to live that leases ask for: 30000.
    lease_ttl_ms: int
    # How much of an object is handed to a connection at a time: 65536.
    put_stream_chunk_bytes: int
    # The longest object that is loaded: any.
    max_lease_size_mb: float | None
    # Whether a URL without a protocol means HTTPS: no.
    use_https: bool
    # Beyond those of LMCache's own adapter. How long a lookup's lease is kept for the load.
    lease_retention_ms: int
    # How many threads copy at a time.
    copy_threads: int
    # Certificates that are trusted beside the system's.
    tls_ca_file: str
    # The client's own certificate and its key, for a daemon that asks for them: both or none.
    tls_certificate_file: str
    tls_key_file: str
    # The bearer token by which the daemon knows the client, or a file with it: one or none.
    token: str
    token_file: str
    # The directory that the segment is in: /dev/shm.
    shared_memory_dir: str
    # The daemon's fast lane: None or `auto` where the daemon says that it is, False or `none`, or
    # the socket's path.
    socket: str | bool | None
    # How long opening that lane may take, within a quarter of `timeout_ms`: 500.
    lane_open_max_ms: int | None
    # Whether the daemon's published index is read: None or `auto`, or False or `none`.
    index: str | bool | None
    # Whether a look-up counts an object only where those of all ranks are there, for programs with
    # keys of LMCache in an engine's process: no. The server itself asks for all ranks.
    groups: bool
    # The user that runs the daemon, if it is neither this process's own nor root.
    daemon_uid: int | None


class NativeClient:
    """Stores, finds, loads and deletes batches of objects for LMCache's MP server.

    A batch that cannot even be submitted (the client is closed, too many are pending, a buffer is
    of no use) gets a number like any other and completes as failed: LMCache takes an exception
    from a submission for the end of its controller.
    """

    def __init__(self, url: str, **arguments: Unpack[Arguments]) -> None:
        """Connects to nothing yet.

        Args:
            url: Where the daemon listens, as `kvlease://host:port` or `sagemaker-hyperpod://…`.
            arguments: Those of LMCache's own adapter with its defaults, and a few more.

        Raises:
            ValueError: If an argument is not known or has an impossible value.
        """
        show_beside_lmcache()
        settings = ConnectorSettings.for_mp(url, **arguments)
        for warning in settings.warnings:
            logger.warning("%s", warning)
        self._connector = Connector(settings)
        self._queue = Queue(self._connector)
        self._event_fd = self._queue.event_fd()
        # Numbers of the queue are positive, those of refused submissions negative.
        self._refusal_ids = itertools.count(-1, -1)
        self._refusals: deque[Completion] = deque(maxlen=REFUSALS_MAX)
        # Which operations are done only if every key is: the others fail key by key.
        self._stores: set[int] = set()
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def event_fd(self) -> int:
        """The descriptor that is readable while there are completions to drain."""
        return self._event_fd

    def submit_batch_get(self, keys: Sequence[str], buffers: Sequence[WriteableBuffer]) -> int:
        """Loads objects into buffers of exactly their lengths. The batch's number."""
        return self._submit(lambda: self._queue.submit_get_into(list(keys), list(buffers)))

    def submit_batch_set(self, keys: Sequence[str], buffers: Sequence[ReadableBuffer]) -> int:
        """Stores the bytes of buffers. The batch's number."""
        objects = [(b"", buffer) for buffer in buffers]
        return self._submit(lambda: self._queue.submit_put(list(keys), objects), store=True)

    def submit_batch_exists(self, keys: Sequence[str]) -> int:
        """Finds objects, and keeps those that are there for the load that follows."""
        return self._submit(lambda: self._queue.submit_hold(list(keys)))

    def submit_batch_delete(self, keys: Sequence[str]) -> int:
        """Removes objects, where the daemon can. The batch's number."""
        return self._submit(lambda: self._queue.submit_remove(list(keys)))

    def drain_completions(self) -> list[Completion]:
        """What has completed: number, whether all went well, the first error, yes or no by key."""
        if os.getpid() != self._pid:
            # Refused, but not under the lock: a thread that is not here may have held it.
            self._queue.drain()
        with self._lock:
            ended = self._queue.drain()
            completions = [self._completion(number, result) for number, result in ended]
            while self._refusals:
                completions.append(self._refusals.popleft())
        return completions

    def close(self) -> None:
        """Waits for what runs, gives up what takes too long, and releases what is held.

        The descriptor stays open as long as the client lives. A second call does nothing.
        """
        self._connector.close()

    def _submit(self, submit: Callable[[], int], *, store: bool = False) -> int:
        if os.getpid() != self._pid:
            # Refused by an exception: this process has no drain loop, and the descriptor is the
            # parent's. Not under the lock: a thread of the parent may have held it at the fork.
            return submit()
        with self._lock:
            try:
                number = submit()
            except (KvleaseError, BufferError, TypeError, ValueError) as error:
                number = next(self._refusal_ids)
                self._refusals.append((number, False, str(error), None))
                os.eventfd_write(self._event_fd, 1)
            else:
                if store:
                    self._stores.add(number)
            return number

    def _completion(self, number: int, result: object) -> Completion:
        store = number in self._stores
        self._stores.discard(number)
        if not isinstance(result, list):
            return number, False, str(result), None
        errors = [flag for flag in result if isinstance(flag, Exception)]
        error = str(errors[0]) if errors else ""
        if store:
            # An object that is there already is as good as stored.
            return number, not errors, error, [not isinstance(flag, Exception) for flag in result]
        # A lookup or a load in which some keys failed has found the others.
        return number, len(errors) < len(result) or not result, error, [f is True for f in result]
