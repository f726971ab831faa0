"""The filter as bytes; that it holds is tried in test_linux."""

from __future__ import annotations

import struct

import pytest

from localagent.sandbox import seccomp


@pytest.mark.parametrize(("machine", "arch"), [("x86_64", 0xC000003E), ("aarch64", 0xC00000B7)])
def test_every_jump_stays_inside_and_every_path_ends(machine: str, arch: int) -> None:
    code = seccomp.program(machine)
    steps = list(struct.iter_unpack("<HBBI", code))
    assert len(code) == 8 * len(steps) and len(steps) < 256
    assert steps[1][3] == arch
    for index, (operation, yes, no, _) in enumerate(steps):
        if operation in (0x15, 0x35, 0x45):
            assert index + 1 + max(yes, no) < len(steps)
    assert steps[-1][0] == 0x06


def run(code: bytes, number: int, arch: int, arguments: tuple[int, ...] = ()) -> int:
    """What the filter answers: a few lines of the kernel's own machine."""
    data = (
        struct.pack("<II", number, arch) + bytes(8) + b"".join(struct.pack("<Q", a) for a in (*arguments, *[0] * 6)[:6])
    )
    steps = list(struct.iter_unpack("<HBBI", code))
    value = at = 0
    while True:
        operation, yes, no, k = steps[at]
        at += 1
        if operation == 0x20:
            value = struct.unpack_from("<I", data, k)[0]
        elif operation == 0x06:
            return k
        else:
            hit = {0x15: value == k, 0x35: value >= k, 0x45: bool(value & k)}[operation]
            at += yes if hit else no


@pytest.mark.parametrize(("machine", "column"), [("x86_64", 0), ("aarch64", 1)])
def test_what_it_answers(machine: str, column: int) -> None:
    code, arch = seccomp.program(machine), seccomp._MACHINES[machine][0]
    denied, allowed = 0x00050001, 0x7FFF0000
    for numbers in seccomp._DENIED.values():
        assert run(code, numbers[column], arch) == denied
    assert run(code, seccomp._CLONE[column], arch, (0x10000000,)) == denied
    assert run(code, seccomp._CLONE[column], arch, (17,)) == allowed
    assert run(code, seccomp._UNSHARE[column], arch, (0x80,)) == denied
    assert run(code, seccomp._UNSHARE[column], arch, (0x200,)) == allowed
    assert run(code, 435, arch) == 0x00050000 | 38
    assert run(code, seccomp._IOCTL[column], arch, (0, 0x5412)) == denied
    # The kernel takes the low 32 bits of the request only.
    assert run(code, seccomp._IOCTL[column], arch, (0, 0xDEADBEEF00005412)) == denied
    assert run(code, seccomp._IOCTL[column], arch, (0, 0x5401)) == allowed
    assert run(code, seccomp._SOCKET[column], arch, (2,)) == allowed
    assert run(code, seccomp._SOCKET[column], arch, (40,)) == 0x00050000 | 97
    assert run(code, 1, arch) == allowed
    assert run(code, 1, 0x40000003) == 0x80000000


def test_the_second_table_of_numbers_is_shut() -> None:
    assert run(seccomp.program("x86_64"), 0x40000000 | 1, 0xC000003E) == 0x80000000


def test_an_unknown_processor_is_said() -> None:
    assert not seccomp.supported("riscv64") and seccomp.supported("aarch64")
