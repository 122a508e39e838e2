"""Large chunks that calls have done with, kept for the calls that follow, as LLVM IR.

Memory that is fresh from the system costs a page fault every 4096 bytes, far more than its use. So a chunk of at least
`memory.LARGE` bytes is put into a pool when it is freed, and taken out where one of more than half its size is asked
for. The pool belongs to the process: a block of words that Python makes (`runtime/pool.py`), called `dfl.pool` here.
Calls run in several threads at once: a slot is filled by a compare-and-swap and emptied by an exchange, after which the
chunk is nobody else's. Where room is needed, what is there goes back to the system, slot by slot in turn.
"""

from __future__ import annotations

from enum import IntEnum

SLOTS = 64  # how many chunks a pool has room for


class Pool(IntEnum):
    """Words of a pool, by number."""

    HELD = 0    # bytes in all its chunks
    LIMIT = 1   # how many may be held
    TURN = 2    # which slot is emptied next where room is needed
    CHUNKS = 8  # the slots: a chunk or null; …
    SIZES = CHUNKS + SLOTS  # … and what its size was when it was put there (a hint: the chunk itself says)


WORDS = Pool.SIZES + SLOTS
SYMBOL = "dfl.pool"

SOURCE = """
@dfl.pool = external global [{pool.WORDS} x i64]

; a chunk of at least %whole bytes, not zeroed; null: there is none
define internal ptr @dfl.take(i64 %whole) noinline nounwind {
entry:
  %most = shl i64 %whole, 1
  br label %each
each:
  %k = phi i64 [ 0, %entry ], [ %k2, %next ]
  %best = phi i64 [ -1, %entry ], [ %best2, %next ]
  %smallest = phi i64 [ %most, %entry ], [ %smallest2, %next ]
  %pchunk = getelementptr [{pool.WORDS} x i64], ptr @dfl.pool, i64 0, i64 %k
  %slot = getelementptr i8, ptr %pchunk, i64 {pool.CHUNKS}
  %hint = getelementptr i8, ptr %pchunk, i64 {pool.SIZES}
  %there = load atomic i64, ptr %slot monotonic, align 8
  %size = load atomic i64, ptr %hint monotonic, align 8
  %some = icmp ne i64 %there, 0
  %enough = icmp uge i64 %size, %whole
  %less = icmp ult i64 %size, %smallest
  %fits = and i1 %enough, %less
  %better = and i1 %fits, %some
  %best2 = select i1 %better, i64 %k, i64 %best
  %smallest2 = select i1 %better, i64 %size, i64 %smallest
  br label %next
next:
  %k2 = add i64 %k, 1
  %again = icmp ult i64 %k2, {pool.SLOTS}
  br i1 %again, label %each, label %found
found:
  %none = icmp slt i64 %best2, 0
  br i1 %none, label %empty, label %try
try:
  %pbest = getelementptr [{pool.WORDS} x i64], ptr @dfl.pool, i64 0, i64 %best2
  %pslot = getelementptr i8, ptr %pbest, i64 {pool.CHUNKS}
  %number = atomicrmw xchg ptr %pslot, i64 0 acq_rel
  %chunk = inttoptr i64 %number to ptr
  %lost = icmp eq ptr %chunk, null
  br i1 %lost, label %empty, label %taken
taken:
  %pbytes = getelementptr i8, ptr %chunk, i64 {chunk.BYTES}
  %bytes = load i64, ptr %pbytes
  %held = getelementptr i8, ptr @dfl.pool, i64 {pool.HELD}
  %before = atomicrmw sub ptr %held, i64 %bytes monotonic
  %large = icmp uge i64 %bytes, %whole
  %small = icmp ult i64 %bytes, %most
  %right = and i1 %large, %small
  br i1 %right, label %good, label %wrong
good:
  ret ptr %chunk
wrong:
  call void @dfl.give(ptr %chunk)
  ret ptr null
empty:
  ret ptr null
}

; the end of a chunk: it goes into the pool, where it is large, or back to the system
define internal void @dfl.give(ptr %chunk) noinline nounwind {
entry:
  %pbytes = getelementptr i8, ptr %chunk, i64 {chunk.BYTES}
  %bytes = load i64, ptr %pbytes
  %plimit = getelementptr i8, ptr @dfl.pool, i64 {pool.LIMIT}
  %limit = load atomic i64, ptr %plimit monotonic, align 8
  %large = icmp uge i64 %bytes, {LARGE}
  %allowed = icmp ule i64 %bytes, %limit
  %keep = and i1 %large, %allowed
  br i1 %keep, label %count, label %back
back:
  call void @free(ptr %chunk)
  ret void
count:
  %number = ptrtoint ptr %chunk to i64
  %held = getelementptr i8, ptr @dfl.pool, i64 {pool.HELD}
  %was = atomicrmw add ptr %held, i64 %bytes monotonic
  %is = add i64 %was, %bytes
  br label %room
room:
  %now = phi i64 [ %is, %count ], [ %then, %emptied ]
  %tries = phi i64 [ 0, %count ], [ %tries2, %emptied ]
  %over = icmp ugt i64 %now, %limit
  %more = icmp ult i64 %tries, {pool.SLOTS}
  %drive = and i1 %over, %more
  br i1 %drive, label %empty, label %put
empty:
  %tries2 = add i64 %tries, 1
  call void @dfl.drive.out()
  %then = load atomic i64, ptr %held monotonic, align 8
  br label %emptied
emptied:
  br label %room
put:
  br label %each
each:
  %k = phi i64 [ 0, %put ], [ %k2, %next ]
  %place = getelementptr [{pool.WORDS} x i64], ptr @dfl.pool, i64 0, i64 %k
  %slot = getelementptr i8, ptr %place, i64 {pool.CHUNKS}
  %there = load atomic i64, ptr %slot monotonic, align 8
  %free = icmp eq i64 %there, 0
  br i1 %free, label %try, label %next
try:
  %pair = cmpxchg ptr %slot, i64 0, i64 %number acq_rel monotonic
  %won = extractvalue { i64, i1 } %pair, 1
  br i1 %won, label %done, label %next
done:
  %hint = getelementptr i8, ptr %place, i64 {pool.SIZES}
  store atomic i64 %bytes, ptr %hint monotonic, align 8
  ret void
next:
  %k2 = add i64 %k, 1
  %again = icmp ult i64 %k2, {pool.SLOTS}
  br i1 %again, label %each, label %full
full:
  call void @dfl.drive.out()
  br label %put
}

; empties the slot whose turn it is
define internal void @dfl.drive.out() noinline nounwind {
  %pturn = getelementptr i8, ptr @dfl.pool, i64 {pool.TURN}
  %turn = atomicrmw add ptr %pturn, i64 1 monotonic
  %k = urem i64 %turn, {pool.SLOTS}
  %place = getelementptr [{pool.WORDS} x i64], ptr @dfl.pool, i64 0, i64 %k
  %slot = getelementptr i8, ptr %place, i64 {pool.CHUNKS}
  %old = atomicrmw xchg ptr %slot, i64 0 acq_rel
  %none = icmp eq i64 %old, 0
  br i1 %none, label %done, label %free
free:
  %victim = inttoptr i64 %old to ptr
  %pbytes = getelementptr i8, ptr %victim, i64 {chunk.BYTES}
  %bytes = load i64, ptr %pbytes
  %held = getelementptr i8, ptr @dfl.pool, i64 {pool.HELD}
  %before = atomicrmw sub ptr %held, i64 %bytes monotonic
  call void @free(ptr %victim)
  br label %done
done:
  ret void
}

; all chunks go back to the system
define internal void @dfl.trim() noinline nounwind {
entry:
  br label %each
each:
  %k = phi i64 [ 0, %entry ], [ %k2, %each ]
  call void @dfl.drive.out()
  %k2 = add i64 %k, 1
  %again = icmp ult i64 %k2, {pool.SLOTS}
  br i1 %again, label %each, label %done
done:
  ret void
}
"""
