"""What the plan of reverse mode weighs: one unit is about a cycle of a core that has other work to do beside.

A saved byte is written, pushed out of the cache by what follows, and read again; an operation of those below stands
among many that do not wait for each other.
"""

from __future__ import annotations

SAVED_VALUE = 4  # a store, a load
SAVED_BYTE = 2
LOAD = 2  # from memory that is read in some order
OPERATION = 1
MADE = 100  # an array
UNKNOWN_TRIPS = 32
DEAR = 20  # an operation that takes longer than those of `AGAIN`
TRAFFIC = 0.3  # a byte of records in a tape that does not fit the cache: written and read in order, behind all else
CACHE = 1 << 18  # bytes of a tape that stays in a core's second-level cache, with all else that is in it
FITS = 1 << 20  # of one that may do so, mostly
BUDGET = 1 << 26  # bytes of a tape that nobody minds
PEELED = 4  # guarded products in a loop that make it worth having its first iteration apart from the others
LONGEST_PEELED = 500  # operations in such an iteration
MOST_RUNS = 32**6  # weights stay small numbers

GUARDED = frozenset({"strongmul", "strongdiv"})
_CHEAP = """
    add sub mul neg abs sign min max clamp fma muladd select copysign flipsign relu
    eq ne lt le gt ge and or not xor
    iand ior ixor inot shl shr ushr
    tof64 tof32 toi64 booltof64 booltoi64 floor ceil trunc round
"""
_DIVISIONS = "div idiv irem ifld imod sqrt"

# Operations that may be done again, and what that takes; any other takes longer than reading a saved value does.
AGAIN: dict[str, int] = {
    **dict.fromkeys(_CHEAP.split(), OPERATION),
    **dict.fromkeys(_DIVISIONS.split(), 4 * OPERATION),
    "len": LOAD,
    "load": LOAD,
}
