"""How far the stack of the running thread reaches."""

from __future__ import annotations

import ctypes
import sys
import threading

_known = threading.local()


def lowest_address() -> int:
    """The lowest address of this thread's stack; 0 where the system does not tell."""
    low: int | None = getattr(_known, "low", None)
    if low is None:
        low = _known.low = _ask()
    return low


def _ask() -> int:
    libc = ctypes.CDLL(None) if sys.platform != "win32" else None
    if sys.platform.startswith("linux"):
        return _linux(libc)
    if sys.platform == "darwin":
        return _darwin(libc)
    if sys.platform == "win32":
        low, high = ctypes.c_size_t(), ctypes.c_size_t()
        ctypes.windll.kernel32.GetCurrentThreadStackLimits(ctypes.byref(low), ctypes.byref(high))
        return low.value
    return 0


def _linux(libc: ctypes.CDLL | None) -> int:
    assert libc is not None
    attributes = ctypes.create_string_buffer(128)
    low, size = ctypes.c_size_t(), ctypes.c_size_t()
    libc.pthread_self.restype = ctypes.c_size_t
    if libc.pthread_getattr_np(ctypes.c_size_t(libc.pthread_self()), attributes):
        return 0
    libc.pthread_attr_getstack(attributes, ctypes.byref(low), ctypes.byref(size))
    libc.pthread_attr_destroy(attributes)
    return low.value


def _darwin(libc: ctypes.CDLL | None) -> int:
    assert libc is not None
    for function in (libc.pthread_self, libc.pthread_get_stackaddr_np, libc.pthread_get_stacksize_np):
        function.restype = ctypes.c_size_t
    thread = ctypes.c_size_t(libc.pthread_self())
    high: int = libc.pthread_get_stackaddr_np(thread)
    size: int = libc.pthread_get_stacksize_np(thread)
    return high - size
