"""What the processor can do that decides what programs compute."""

from __future__ import annotations

import os
from functools import cache

from dsl.options import Options

_WITHOUT = frozenset({"x86_64", "AMD64", "amd64", "i386", "i686", "x86"})  # may be without; all others have it
ABOUT = "/proc/cpuinfo"


def fuses(options: Options) -> bool:
    """Whether products are rounded together with the sums that they are in (`passes.contract`)."""
    return has_fma() if options.fma is None else options.fma


def machine() -> str:
    """What kind of processor it is."""
    return os.uname().machine if hasattr(os, "uname") else os.environ.get("PROCESSOR_ARCHITECTURE", "")


@cache
def has_fma() -> bool:
    """Whether there is an instruction for a fused multiply-add. Without one it takes a hundred times as long."""
    if machine() not in _WITHOUT:
        return True
    try:
        with open(ABOUT, "rb", buffering=0) as file:  # its beginning is about the first core
            return b" fma " in file.read(4096)
    except OSError:
        from dsl.runtime.llvm import has_feature

        return has_feature("fma")
