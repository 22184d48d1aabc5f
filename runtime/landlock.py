"""Landlock: what this process may open and where it may connect, from now on and for good, by Linux itself.

A thread that is there already stays free, so it is called before anything starts one. Source: landlock(7); the
numbers are of `include/uapi/linux/landlock.h`, the same on every architecture.
"""

import ctypes
import os
import stat
import struct
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION = 1  # LANDLOCK_CREATE_RULESET_VERSION
_BENEATH, _PORT = 1, 2  # LANDLOCK_RULE_PATH_BENEATH, LANDLOCK_RULE_NET_PORT
_NO_NEW_PRIVS = 38  # PR_SET_NO_NEW_PRIVS

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1}  # by version of the kernel's
_ALL_FILE_RIGHTS = (1 << 16) - 1  # from version 5 on; what later ones add is left alone
_CONNECT_TCP = 1 << 1
_NETWORK_FROM = 4


class LandlockError(OSError):
    """The kernel has Landlock and refuses these rules."""


@dataclass(frozen=True, slots=True)
class Confinement:
    """What stays open.

    Attributes:
        writable: files and folders with all below them.
        readable: as above, to read and to run; what is not there is left out.
        connect_ports: the only TCP ports that may be connected to; `None` leaves all of them.
    """

    writable: Iterable[Path]
    readable: Iterable[Path]
    connect_ports: Iterable[int] | None = field(default=None)


def landlock_version() -> int:
    """The kernel's; 0 where there is none."""
    if sys.platform != "linux":
        return 0
    return max(int(_libc().syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION)), 0)


def confine(allowed: Confinement) -> int:
    """Closes everything else, and gives the kernel's version of Landlock; 0, where there is none, closes nothing.

    Raises:
        LandlockError: the kernel refuses.
    """
    version = landlock_version()
    if not version:
        return 0
    rights = _FILE_RIGHTS.get(version, _ALL_FILE_RIGHTS)
    ports = allowed.connect_ports if version >= _NETWORK_FROM else None
    ruleset = _ruleset(rights, _CONNECT_TCP if ports is not None else 0, version)
    try:
        for path in allowed.writable:
            _allow_path(ruleset, path, rights)
        for path in allowed.readable:
            _allow_path(ruleset, path, _READ & rights)
        for port in ports or ():
            _call(_ADD_RULE, ruleset, _PORT, struct.pack("=QQ", _CONNECT_TCP, port), 0)
        _restrict(ruleset)
    finally:
        os.close(ruleset)
    return version


def _ruleset(file_rights: int, network_rights: int, version: int) -> int:
    handled = struct.pack("=QQ", file_rights, network_rights)[: 16 if version >= _NETWORK_FROM else 8]
    return _call(_CREATE_RULESET, handled, ctypes.c_size_t(len(handled)), 0)


def _allow_path(ruleset: int, path: Path, rights: int) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # not there, so that there is nothing to allow
    try:
        if not stat.S_ISDIR(os.fstat(opened).st_mode):
            rights &= _OF_FILES
        _call(_ADD_RULE, ruleset, _BENEATH, struct.pack("=Qi", rights, opened), 0)
    finally:
        os.close(opened)


def _restrict(ruleset: int) -> None:
    libc = _libc()
    if libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise LandlockError(ctypes.get_errno(), "no_new_privs was refused")
    _call(_RESTRICT_SELF, ruleset, 0)


def _call(number: int, *arguments: object) -> int:
    answer = int(_libc().syscall(number, *arguments))
    if answer < 0:
        error = ctypes.get_errno()
        raise LandlockError(error, f"landlock: {os.strerror(error)}")
    return answer


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
