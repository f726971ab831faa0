"""A small assembler for the system-call filter of the sandbox (classic BPF, no library).

The filter denies what could reach out of the namespaces or into other processes and
allows the rest: bubblewrap hides files, this hides kernel doors.
"""

from __future__ import annotations

import platform
import struct

_ALLOW = 0x7FFF0000
_KILL = 0x80000000
_ERRNO = 0x00050000
_EPERM, _ENOSYS, _EAFNOSUPPORT = 1, 38, 97

_LOAD, _JEQ, _JGE, _JSET, _RET = 0x20, 0x15, 0x35, 0x45, 0x06
_NR, _ARCH = 0, 4
_X32 = 0x40000000

_NAMESPACES = 0x7E020000  # CLONE_NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET
_NEWTIME = 0x80
_IOCTLS = (0x5412, 0x541C, 0x5423)  # TIOCSTI, TIOCLINUX, TIOCSETD
INTERNET = (2, 10, 16)  # AF_INET, AF_INET6, AF_NETLINK
EVERYDAY = (1, *INTERNET)  # and AF_UNIX
# Stand in the filter for the process that ends everything, and for its group, whose numbers only it knows.
KEEPER, KEEPERS_GROUP = 0x7E57C0DE, 0x7E57C0DF
_SETUID = 0o6000
_CREATES = 0o20000100  # O_CREAT, O_TMPFILE
# name -> (x86_64, aarch64, which argument is the mode, which one are the flags without which there is none)
_MODES: tuple[tuple[int | None, int | None, int, int | None], ...] = (
    (90, None, 1, None),  # chmod
    (91, 52, 1, None),  # fchmod
    (268, 53, 2, None),  # fchmodat
    (452, 452, 2, None),  # fchmodat2
    (85, None, 1, None),  # creat
    (2, None, 2, 1),  # open
    (257, 56, 3, 2),  # openat
    (133, None, 1, None),  # mknod
    (259, 33, 2, None),  # mknodat
)
# What can be done to a process by its number: (x86_64, aarch64, which argument).
_ON_PROCESSES = ((62, 129, 0), (200, 130, 0), (234, 131, 0), (129, 138, 0), (297, 240, 0), (434, 434, 0))
_PRLIMIT, _OPENAT2 = (302, 261), (437, 437)

# name -> (x86_64, aarch64)
_DENIED: dict[str, tuple[int, int]] = {
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "open_tree_attr": (467, 467),
    "setns": (308, 268),
    "open_by_handle_at": (304, 265),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "reboot": (169, 142),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "syslog": (103, 116),
    "lookup_dcookie": (212, 18),
    "move_pages": (279, 239),
    "migrate_pages": (256, 238),
}
_CLONE, _UNSHARE, _CLONE3, _IOCTL, _SOCKET = (56, 220), (272, 97), (435, 435), (16, 29), (41, 198)
_MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}


def supported(machine: str = "") -> bool:
    """Whether a filter exists for this processor ("" = the one we run on)."""
    return (machine or platform.machine()) in _MACHINES


def number(name: str, machine: str = "") -> int:
    """The number of a system call that the filter knows, "" = on the processor we run on. Raises KeyError."""
    _, column = _MACHINES[machine or platform.machine()]
    more = {"unshare": _UNSHARE, "clone3": _CLONE3}
    return (more.get(name) or _DENIED[name])[column]


def program(machine: str = "", *, families: tuple[int, ...] = EVERYDAY, keeper: bool = False) -> bytes:
    """The filter as an array of `struct sock_filter`, as `bwrap --seccomp` reads it.

    `families` are the kinds of sockets that may be made. With `keeper` the process whose number will
    stand in place of `KEEPER` cannot be signalled, and no other process be limited.
    Raises KeyError for a processor that `supported` refuses.
    """
    arch, column = _MACHINES[machine or platform.machine()]
    code: list[bytes] = [
        _op(_LOAD, 0, 0, _ARCH),
        _op(_JEQ, 1, 0, arch),
        _op(_RET, 0, 0, _KILL),
        _op(_LOAD, 0, 0, _NR),
    ]
    if column == 0:
        code += [_op(_JGE, 0, 1, _X32), _op(_RET, 0, 0, _KILL)]
    for numbers in _DENIED.values():
        code += [_op(_JEQ, 0, 1, numbers[column]), _op(_RET, 0, 0, _ERRNO | _EPERM)]
    # What passes its flags in memory, where no filter can read them, does not exist: there are older calls.
    for numbers in (_CLONE3, _OPENAT2):
        code += [_op(_JEQ, 0, 1, numbers[column]), _op(_RET, 0, 0, _ERRNO | _ENOSYS)]
    code += _setuid(column) + (_keeper(column) if keeper else [])
    code += _when(_CLONE[column], 0, [_op(_JSET, 0, 1, _NAMESPACES), _op(_RET, 0, 0, _ERRNO | _EPERM)])
    code += _when(_UNSHARE[column], 0, [_op(_JSET, 0, 1, _NAMESPACES | _NEWTIME), _op(_RET, 0, 0, _ERRNO | _EPERM)])
    bad_ioctl = [part for n in _IOCTLS for part in (_op(_JEQ, 0, 1, n), _op(_RET, 0, 0, _ERRNO | _EPERM))]
    code += _when(_IOCTL[column], 1, bad_ioctl)
    made = [part for n in families for part in (_op(_JEQ, 0, 1, n), _op(_RET, 0, 0, _ALLOW))]
    code += _when(_SOCKET[column], 0, [*made, _op(_RET, 0, 0, _ERRNO | _EAFNOSUPPORT)])
    code.append(_op(_RET, 0, 0, _ALLOW))
    return b"".join(code)


def _setuid(column: int) -> list[bytes]:
    """No file is made, or made over, that runs as its owner."""
    code: list[bytes] = []
    refuse = [_op(_JSET, 0, 1, _SETUID), _op(_RET, 0, 0, _ERRNO | _EPERM)]
    for *numbers, mode, flags in _MODES:
        number = numbers[column]
        if number is None:
            continue
        if flags is None:
            code += _when(number, mode, refuse)
        else:
            made = [_op(_JSET, 1, 0, _CREATES), _op(_RET, 0, 0, _ALLOW), _op(_LOAD, 0, 0, 16 + 8 * mode), *refuse]
            code += _when(number, flags, made)
    return code


def _keeper(column: int) -> list[bytes]:
    """Nothing reaches the one who will end it all, nor everybody at once, nor another process's limits."""
    refuse = _op(_RET, 0, 0, _ERRNO | _EPERM)
    code: list[bytes] = []
    for *numbers, argument in _ON_PROCESSES:
        bad = [part for n in (KEEPER, KEEPERS_GROUP, 0xFFFFFFFF) for part in (_op(_JEQ, 0, 1, n), refuse)]
        code += _when(numbers[column], argument, bad)
    return code + _when(_PRLIMIT[column], 0, [_op(_JEQ, 1, 0, 0), refuse])


def _op(code: int, yes: int, no: int, value: int) -> bytes:
    return struct.pack("<HBBI", code, yes, no, value)


def _when(number: int, argument: int, body: list[bytes]) -> list[bytes]:
    """`body` on the low 32 bits of that argument where the call is `number`, then allow."""
    block = [_op(_LOAD, 0, 0, 16 + 8 * argument), *body, _op(_RET, 0, 0, _ALLOW)]
    return [_op(_JEQ, 0, len(block), number), *block]
