#!/usr/bin/env bash
# Subject: Linux, io_uring's registered buffers (IORING_REGISTER_BUFFERS) over a memfd; seen with 6.18.
# Guess: a registered buffer is an address that the kernel need not look up again. Whatever that
#   address shows, READ_FIXED fills and WRITE_FIXED writes; and where a hole was punched, one of them fails.
# Behaviour: registration holds the pages of that moment. A hole punched in the file takes them out of
#   the file and out of every mapping, and st_blocks says that the memory is free; the ring keeps them.
#   Both operations go on with them and succeed: what is read is seen nowhere, and what is written is
#   none of what the arena has. Nothing tells it; to register again is the only cure.
# Seen:
# | registered: 16 pages of the arena; a hole over the first page: 15 have memory
# | READ_FIXED into the first page: 4096 bytes; it shows: zeros
# | the first page is filled with "new"; WRITE_FIXED from it: 4096 bytes; the file has: "disk"
# | registered again; WRITE_FIXED from it: 4096 bytes; the file has: "new"
# Why it matters: a store on shared memory gives pages back by holes and does its disk reads and writes
#   through registered buffers. With both, a chunk that was read becomes zeros under a valid
#   lease, and the memory that was given back is still in use.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

python - "$work" 2>"$work/log" <<'PYTHON' | check
import ctypes
import mmap
import os
import struct
import sys

PAGE = 4096
PAGES = 16
SETUP, ENTER, REGISTER = 425, 426, 427
REGISTER_BUFFERS, UNREGISTER_BUFFERS = 0, 1
READ_FIXED, WRITE_FIXED = 4, 5
GETEVENTS = 1
OFFSET_SQES = 0x10000000
KEEP_SIZE_AND_PUNCH_HOLE = 3

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


def syscall(number: int, *arguments: object) -> int:
    result = libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


class Ring:
    """One operation at a time, which is all that is needed here."""

    def __init__(self) -> None:
        parameters = (ctypes.c_uint32 * 30)()
        self.file = syscall(SETUP, ctypes.c_uint(1), ctypes.byref(parameters))
        _, self.sq_tail, self.sq_mask, *_ = parameters[10:18]
        self.array = parameters[16]
        self.cq_head, _, self.cq_mask, _, _, self.cqes = parameters[20:26]
        length = max(self.array + 4 * parameters[0], self.cqes + 16 * parameters[1])
        # Both rings are in one mapping since Linux 5.4.
        self.rings = mmap.mmap(self.file, length)
        self.sqes = mmap.mmap(self.file, 64 * parameters[0], offset=OFFSET_SQES)

    def register(self, address: int, length: int) -> None:
        buffer = (ctypes.c_uint64 * 2)(address, length)
        syscall(REGISTER, self.file, REGISTER_BUFFERS, ctypes.byref(buffer), 1)

    def unregister(self) -> None:
        syscall(REGISTER, self.file, UNREGISTER_BUFFERS, None, 0)

    def number(self, place: int) -> int:
        return struct.unpack_from("<I", self.rings, place)[0]

    def run(self, operation: int, file: int, address: int) -> int:
        tail = self.number(self.sq_tail)
        struct.pack_into("<BBHiQQII", self.sqes, 0, operation, 0, 0, file, 0, address, PAGE, 0)
        struct.pack_into("<I", self.rings, self.array + 4 * (tail & self.number(self.sq_mask)), 0)
        struct.pack_into("<I", self.rings, self.sq_tail, tail + 1)
        syscall(ENTER, self.file, 1, 1, GETEVENTS, None, ctypes.c_size_t(0))
        head = self.number(self.cq_head)
        entry = self.cqes + 16 * (head & self.number(self.cq_mask))
        struct.pack_into("<I", self.rings, self.cq_head, head + 1)
        return struct.unpack_from("<QiI", self.rings, entry)[1]


def shown(content: bytes) -> str:
    return "zeros" if not any(content) else f'"{content.rstrip().decode()}"'


def filled(word: str) -> bytes:
    return word.encode().ljust(PAGE)


segment = os.memfd_create("arena")
os.ftruncate(segment, PAGES * PAGE)
arena = mmap.mmap(segment, PAGES * PAGE)
arena[:] = filled("old") * PAGES
address = ctypes.addressof(ctypes.c_char.from_buffer(arena))
disk = os.open(f"{sys.argv[1]}/disk", os.O_CREAT | os.O_RDWR, 0o600)
os.pwrite(disk, filled("disk"), 0)
ring = Ring()
ring.register(address, PAGES * PAGE)

hole = (ctypes.c_int(KEEP_SIZE_AND_PUNCH_HOLE), ctypes.c_long(0), ctypes.c_long(PAGE))
if libc.fallocate(segment, *hole):
    raise OSError(ctypes.get_errno(), "fallocate")
left = os.fstat(segment).st_blocks * 512 // PAGE
print(f"registered: {PAGES} pages of the arena; a hole over the first page: {left} have memory")
read = ring.run(READ_FIXED, disk, address)
print(f"READ_FIXED into the first page: {read} bytes; it shows:", shown(arena[:PAGE]))


def written() -> str:
    length = ring.run(WRITE_FIXED, disk, address)
    return f"WRITE_FIXED from it: {length} bytes; the file has: {shown(os.pread(disk, PAGE, 0))}"


arena[:PAGE] = filled("new")
print(f'the first page is filled with "new"; {written()}')
ring.unregister()
ring.register(address, PAGES * PAGE)
print(f"registered again; {written()}")
PYTHON
