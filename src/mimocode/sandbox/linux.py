"""System calls of Linux that the standard library lacks. Each holds for the calling thread and what it starts."""

import ctypes
import errno
import os
import platform
import sys
from collections.abc import Iterable
from functools import cache

_NO_NEW_PRIVS = 38
_SET_SECCOMP = 22
_BOUNDING_DROP = 24
_FILTER = 2
_LAST_CAPABILITY = 40
_DAC_OVERRIDE = 1
_NEW_PID = 0x20000000
_CAPABILITIES_V3 = 0x20080522

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ABI_ASKED = 1
_PATH_BENEATH = 1

_ARCHITECTURES = {"x86_64": (0xC000003E, 41, 425, 126), "aarch64": (0xC00000B7, 198, 425, 91)}
"""The audit number; the numbers of socket, io_uring_setup and capset."""
_LOAD, _EQUAL, _ATLEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EACCES
_X32 = 0x40000000


class _Ruleset(ctypes.Structure):
    _fields_ = [("files", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32)]


class _Statement(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint16), ("yes", ctypes.c_uint8), ("no", ctypes.c_uint8), ("value", ctypes.c_uint32)]


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_uint16), ("statements", ctypes.POINTER(_Statement))]


@cache
def _c() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _called(result: int) -> int:
    """Raises `OSError` where a call said no."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _prctl(*words: int) -> None:
    _called(_c().prctl(*(ctypes.c_ulong(word) for word in (*words, 0, 0, 0, 0)[:5])))


def no_new_privileges() -> None:
    """No program that is started gets more than who starts it: setuid does nothing any more."""
    _prctl(_NO_NEW_PRIVS, 1)


def drop_capabilities() -> None:
    """What makes root more than a user, except reading and writing files of others, which rules may bound."""
    for number in range(_LAST_CAPABILITY + 1):
        if number != _DAC_OVERRIDE:
            _prctl(_BOUNDING_DROP, number)
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_V3, 0)
    kept = 1 << _DAC_OVERRIDE
    sets = (ctypes.c_uint32 * 6)(kept, kept, kept, 0, 0, 0)
    _called(_c().syscall(_numbers()[3], ctypes.byref(header), ctypes.byref(sets)))


def start_in_namespace_of_processes(descriptor: int) -> None:
    """What is started from now on is in that one. Raises `OSError`."""
    _called(_c().setns(descriptor, _NEW_PID))


def landlock_version() -> int:
    """0 where there is none."""
    if sys.platform != "linux":
        return 0
    return max(_c().syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _ABI_ASKED), 0)


def restrict_files(handled: int, scoped: int, allowed: Iterable[tuple[str, int, int]]) -> None:
    """From now on only what is `allowed` (path, rights for a folder, rights for a file) of `handled` can be done.

    What is not there is left out. Raises `OSError`.
    """
    attributes = _Ruleset(handled, 0, scoped)
    size = ctypes.sizeof(attributes) if scoped else 8
    ruleset = _called(_c().syscall(_CREATE_RULESET, ctypes.byref(attributes), ctypes.c_size_t(size), 0))
    try:
        for path, folder, file in allowed:
            _allow(ruleset, path, folder, file)
        _called(_c().syscall(_RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, folder: int, file: int) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        rights = folder if os.path.isdir(f"/proc/self/fd/{opened}") else file
        rule = _Beneath(rights, opened)
        # Some special files take no rule: then nothing is allowed of them.
        _c().syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(opened)


def _numbers() -> tuple[int, ...]:
    return _ARCHITECTURES[platform.machine()]


def can_filter() -> bool:
    return sys.platform == "linux" and platform.machine() in _ARCHITECTURES


def refuse_sockets() -> None:
    """No socket can be made from now on, of any family; nor by io_uring. Pairs of sockets (`socketpair`) can."""
    architecture, socket, uring, _ = _numbers()
    program = [
        (_LOAD, 0, 0, 4),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _REFUSE),
        (_LOAD, 0, 0, 0),
        (_ATLEAST, 3, 0, _X32),
        (_EQUAL, 2, 0, uring),
        (_EQUAL, 1, 0, socket),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    statements = (_Statement * len(program))(*(_Statement(*each) for each in program))
    filled = _Program(len(program), statements)
    _called(_c().prctl(_SET_SECCOMP, ctypes.c_ulong(_FILTER), ctypes.byref(filled), 0, 0))
