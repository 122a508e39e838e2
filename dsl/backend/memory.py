"""The memory core as LLVM IR: an arena of chunks that belongs to a call, and growable runs of records in it.

Small blocks are cut off the arena's current chunk; a block of at least `LARGE` bytes is a chunk of its own, so that it
can grow in place, leave the call alone, and be used again by another call (`backend/pool.py`). Chunks hang in a list
from a sentinel that the context names; nothing is freed before the whole list is, or the region that has a list of its
own (`backend/regions.py`). What grows stays in the list that it was made in.
Sizes are multiples of eight bytes. A function gives null (or false) where there is no more memory, never ends the
process. Nothing here is called `noalias`: regions use memory again.
"""

from __future__ import annotations

import re

from dsl.backend import pool
from dsl.backend.layout import APART_SIZE, HEADER_SIZE, REGION_SIZE, SLOT_WORDS, WORD, Chunk, Context, Header, Region

RESERVED = frozenset({"malloc", "calloc", "realloc", "free"})
LARGE = 1 << 16
LINE = 64  # bytes that a cache, and a vector of the widest machines, has together
ALIGNED_FROM = 1 << 10  # bytes of records that begin at such a line: of fewer, what is left free would be too much
SPARE = LINE - WORD
FIRST_CHUNK = 1 << 12
LAST_CHUNK = 1 << 20
LITTLE = 1 << 14  # bytes: what a region may hold before survivors are copied
LINKS = WORD * len(Chunk)  # at the start of a chunk
_MOST = 1 << 46    # more than any machine has: products of sizes below this do not overflow

# A field of the context or of a header is written `ctx.FREE`, `header.DATA`: the text's `{…}` become offsets below.
_SOURCE = """
declare noalias ptr @malloc(i64)
declare noalias ptr @calloc(i64, i64)
declare noalias ptr @realloc(ptr, i64)
declare void @free(ptr)

; a block of %bytes bytes (a multiple of eight, not 0), not zeroed; null: no memory
define internal ptr @dfl.alloc(ptr %ctx, i64 %bytes) alwaysinline nounwind {
  %pfree = getelementptr i8, ptr %ctx, i64 {ctx.FREE}
  %pend = getelementptr i8, ptr %ctx, i64 {ctx.END}
  %free = load ptr, ptr %pfree
  %end = load ptr, ptr %pend
  %from = ptrtoint ptr %free to i64
  %to = ptrtoint ptr %end to i64
  %room = sub i64 %to, %from
  %fits = icmp ule i64 %bytes, %room
  br i1 %fits, label %cut, label %slow
cut:
  %after = getelementptr i8, ptr %free, i64 %bytes
  store ptr %after, ptr %pfree
  ret ptr %free
slow:
  %fresh = call ptr @dfl.alloc.slow(ptr %ctx, i64 %bytes)
  ret ptr %fresh
}

; the same from a new chunk
define internal ptr @dfl.alloc.slow(ptr %ctx, i64 %bytes) noinline cold nounwind {
  %psize = getelementptr i8, ptr %ctx, i64 {ctx.CHUNK_SIZE}
  %size = load i64, ptr %psize
  %take = call i64 @llvm.umax.i64(i64 %size, i64 %bytes)
  %plist = getelementptr i8, ptr %ctx, i64 {ctx.CHUNKS}
  %list = load ptr, ptr %plist
  %chunk = call ptr @dfl.chunk(ptr %list, i64 %take)
  %none = icmp eq ptr %chunk, null
  br i1 %none, label %full, label %use
use:
  %pcurrent = getelementptr i8, ptr %ctx, i64 {ctx.CURRENT}
  store ptr %chunk, ptr %pcurrent
  %after = getelementptr i8, ptr %chunk, i64 %bytes
  %end = getelementptr i8, ptr %chunk, i64 %take
  %pfree = getelementptr i8, ptr %ctx, i64 {ctx.FREE}
  %pend = getelementptr i8, ptr %ctx, i64 {ctx.END}
  store ptr %after, ptr %pfree
  store ptr %end, ptr %pend
  %double = shl i64 %size, 1
  %then = call i64 @llvm.umin.i64(i64 %double, i64 {LAST_CHUNK})
  store i64 %then, ptr %psize
  ret ptr %chunk
full:
  ret ptr null
}

; a block for the records of a run: a chunk of its own where it is large
define internal ptr @dfl.data(ptr %ctx, i64 %bytes) nounwind {
  %large = icmp uge i64 %bytes, {LARGE}
  br i1 %large, label %own, label %part
own:
  %plist = getelementptr i8, ptr %ctx, i64 {ctx.CHUNKS}
  %list = load ptr, ptr %plist
  %chunk = call ptr @dfl.chunk(ptr %list, i64 %bytes)
  ret ptr %chunk
part:
  %block = call ptr @dfl.alloc(ptr %ctx, i64 %bytes)
  ret ptr %block
}

; a chunk with room for %bytes bytes, put in the list behind a sentinel
define internal ptr @dfl.chunk(ptr %sentinel, i64 %bytes) noinline nounwind {
  %block = call ptr @dfl.chunk.of(ptr %sentinel, i64 %bytes, i1 false)
  ret ptr %block
}

; the same, zeroed where that is asked for: memory fresh from the system is anyway
define internal ptr @dfl.chunk.of(ptr %sentinel, i64 %bytes, i1 %zero) noinline nounwind {
  %whole = add i64 %bytes, {LINKS}
  %large = icmp uge i64 %whole, {LARGE}
  br i1 %large, label %look, label %fresh
look:
  %used = call ptr @dfl.take(i64 %whole)
  %missing = icmp eq ptr %used, null
  br i1 %missing, label %fresh, label %again
again:
  call void @dfl.link(ptr %sentinel, ptr %used)
  %same = getelementptr i8, ptr %used, i64 {LINKS}
  br i1 %zero, label %clear, label %ready
clear:
  call void @llvm.memset.p0.i64(ptr align 8 %same, i8 0, i64 %bytes, i1 false)
  br label %ready
ready:
  ret ptr %same
fresh:
  %chunk = call ptr @dfl.system(i64 %whole, i1 %zero)
  %none = icmp eq ptr %chunk, null
  br i1 %none, label %full, label %link
link:
  %psize = getelementptr i8, ptr %chunk, i64 {chunk.BYTES}
  store i64 %whole, ptr %psize
  call void @dfl.link(ptr %sentinel, ptr %chunk)
  %block = getelementptr i8, ptr %chunk, i64 {LINKS}
  ret ptr %block
full:
  ret ptr null
}

; memory from the system; what the pool holds goes back to it where there is no more
define internal ptr @dfl.system(i64 %bytes, i1 %zero) noinline nounwind {
  %first = call ptr @dfl.system.once(i64 %bytes, i1 %zero)
  %none = icmp eq ptr %first, null
  br i1 %none, label %trim, label %good
good:
  ret ptr %first
trim:
  call void @dfl.trim()
  %second = call ptr @dfl.system.once(i64 %bytes, i1 %zero)
  ret ptr %second
}

define internal ptr @dfl.system.once(i64 %bytes, i1 %zero) nounwind {
  br i1 %zero, label %clear, label %any
clear:
  %cleared = call ptr @calloc(i64 %bytes, i64 1)
  ret ptr %cleared
any:
  %block = call ptr @malloc(i64 %bytes)
  ret ptr %block
}

; puts a chunk in the list behind a sentinel
define internal void @dfl.link(ptr %sentinel, ptr %chunk) nounwind {
  %pfirst = getelementptr i8, ptr %sentinel, i64 {WORD}
  %first = load ptr, ptr %pfirst
  store ptr %sentinel, ptr %chunk
  %pnext = getelementptr i8, ptr %chunk, i64 {WORD}
  store ptr %first, ptr %pnext
  store ptr %chunk, ptr %pfirst
  %last = icmp eq ptr %first, null
  br i1 %last, label %done, label %back
back:
  store ptr %chunk, ptr %first
  br label %done
done:
  ret void
}

; a run of %n zeroed records of %size bytes; null: no memory
define internal ptr @dfl.new(ptr %ctx, i64 %n, i64 %size) nounwind {
  %m = call ptr @dfl.make(ptr %ctx, i64 %n, i64 %size, i1 true)
  ret ptr %m
}

; the same with anything in them
define internal ptr @dfl.blank(ptr %ctx, i64 %n, i64 %size) nounwind {
  %m = call ptr @dfl.make(ptr %ctx, i64 %n, i64 %size, i1 false)
  ret ptr %m
}

define internal ptr @dfl.make(ptr %ctx, i64 %n, i64 %size, i1 %zero) nounwind {
  %big = icmp ugt i64 %n, {MOST}
  br i1 %big, label %full, label %sized
sized:
  %product = call { i64, i1 } @llvm.umul.with.overflow.i64(i64 %n, i64 %size)
  %over = extractvalue { i64, i1 } %product, 1
  %exact = extractvalue { i64, i1 } %product, 0
  %far = icmp ugt i64 %exact, {MOST}
  %bad = or i1 %over, %far
  br i1 %bad, label %full, label %good
good:
  %padded = add i64 %exact, 7
  %bytes = and i64 %padded, -8
  %small = icmp ult i64 %bytes, {LARGE}
  br i1 %small, label %together, label %apart
together:
  %long = icmp uge i64 %bytes, {ALIGNED_FROM}
  %spare = select i1 %long, i64 {SPARE}, i64 0
  %needed = add i64 %bytes, {HEADER_SIZE}
  %both = add i64 %needed, %spare
  %cut = call ptr @dfl.alloc(ptr %ctx, i64 %both)
  %none1 = icmp eq ptr %cut, null
  br i1 %none1, label %full, label %inline
inline:
  %from = ptrtoint ptr %cut to i64
  %unaligned = add i64 %from, {HEADER_SIZE}
  %missing = sub i64 0, %unaligned
  %skipped = and i64 %missing, %spare
  %one = getelementptr i8, ptr %cut, i64 %skipped
  %behind = getelementptr i8, ptr %one, i64 {HEADER_SIZE}
  br i1 %zero, label %clear, label %fill
clear:
  call void @llvm.memset.p0.i64(ptr align 8 %behind, i8 0, i64 %bytes, i1 false)
  br label %fill
apart:
  %head = call ptr @dfl.alloc(ptr %ctx, i64 {HEADER_SIZE})
  %none2 = icmp eq ptr %head, null
  br i1 %none2, label %full, label %body
body:
  %plists = getelementptr i8, ptr %ctx, i64 {ctx.CHUNKS}
  %lists = load ptr, ptr %plists
  %own = call ptr @dfl.chunk.of(ptr %lists, i64 %bytes, i1 %zero)
  %none3 = icmp eq ptr %own, null
  br i1 %none3, label %full, label %fill
fill:
  %m = phi ptr [ %one, %inline ], [ %one, %clear ], [ %head, %body ]
  %data = phi ptr [ %behind, %inline ], [ %behind, %clear ], [ %own, %body ]
  %pdata = getelementptr i8, ptr %m, i64 {header.DATA}
  %plength = getelementptr i8, ptr %m, i64 {header.LENGTH}
  %pcapacity = getelementptr i8, ptr %m, i64 {header.CAPACITY}
  store ptr %data, ptr %pdata
  store i64 %n, ptr %plength
  store i64 %n, ptr %pcapacity
  %plist = getelementptr i8, ptr %ctx, i64 {ctx.CHUNKS}
  %list = load ptr, ptr %plist
  %pregion = getelementptr i8, ptr %m, i64 {header.REGION}
  store ptr %list, ptr %pregion
  ret ptr %m
full:
  ret ptr null
}

; room for at least one more record in %m; false: no memory, or memory that cannot grow. Records that are not in the
; arena (Python's: their capacity is 0) move into it
define internal i1 @dfl.grow(ptr %ctx, ptr %m, i64 %size) noinline cold nounwind {
  %pdata = getelementptr i8, ptr %m, i64 {header.DATA}
  %plength = getelementptr i8, ptr %m, i64 {header.LENGTH}
  %pcapacity = getelementptr i8, ptr %m, i64 {header.CAPACITY}
  %data = load ptr, ptr %pdata
  %length = load i64, ptr %plength
  %capacity = load i64, ptr %pcapacity
  %fixed = icmp slt i64 %capacity, 0
  br i1 %fixed, label %full, label %growable
growable:
  %reached = call i64 @llvm.umax.i64(i64 %capacity, i64 %length)
  %double = shl i64 %reached, 1
  %few = icmp ult i64 %double, 8
  %more = select i1 %few, i64 8, i64 %double
  %product = mul i64 %more, %size
  %padded = add i64 %product, 7
  %rounded = and i64 %padded, -8
  %bytes = call i64 @llvm.umax.i64(i64 %rounded, i64 {WORD})
  %far = icmp ugt i64 %bytes, {MOST}
  br i1 %far, label %full, label %sized
sized:
  %oldproduct = mul i64 %capacity, %size
  %oldpadded = add i64 %oldproduct, 7
  %oldbytes = and i64 %oldpadded, -8
  %own = icmp uge i64 %oldbytes, {LARGE}
  br i1 %own, label %extend, label %move
extend:
  %oldchunk = getelementptr i8, ptr %data, i64 -{LINKS}
  %whole = add i64 %bytes, {LINKS}
  %pooled = call ptr @dfl.take(i64 %whole)
  %missing = icmp eq ptr %pooled, null
  br i1 %missing, label %larger, label %swap
swap:
  %past = getelementptr i8, ptr %pooled, i64 {LINKS}
  %far.bytes = mul i64 %length, %size
  call void @llvm.memcpy.p0.p0.i64(ptr align 8 %past, ptr align 8 %data, i64 %far.bytes, i1 false)
  call void @llvm.memcpy.p0.p0.i64(ptr align 8 %pooled, ptr align 8 %oldchunk, i64 {chunk.BYTES}, i1 false)
  call void @dfl.give(ptr %oldchunk)
  br label %relink
larger:
  %longer = call ptr @realloc(ptr %oldchunk, i64 %whole)
  %none1 = icmp eq ptr %longer, null
  br i1 %none1, label %full, label %sized.anew
sized.anew:
  %pbytes = getelementptr i8, ptr %longer, i64 {chunk.BYTES}
  store i64 %whole, ptr %pbytes
  br label %relink
relink:
  %chunk = phi ptr [ %pooled, %swap ], [ %longer, %sized.anew ]
  %previous = load ptr, ptr %chunk
  %pprevious = getelementptr i8, ptr %previous, i64 {WORD}
  store ptr %chunk, ptr %pprevious
  %pnext = getelementptr i8, ptr %chunk, i64 {WORD}
  %next = load ptr, ptr %pnext
  %last = icmp eq ptr %next, null
  %grown = getelementptr i8, ptr %chunk, i64 {LINKS}
  br i1 %last, label %done, label %back
back:
  store ptr %chunk, ptr %next
  br label %done
move:
  %pregion = getelementptr i8, ptr %m, i64 {header.REGION}
  %region = load ptr, ptr %pregion
  %plist = getelementptr i8, ptr %ctx, i64 {ctx.CHUNKS}
  %list = load ptr, ptr %plist
  %here = icmp eq ptr %region, %list
  br i1 %here, label %near, label %far.away
near:
  %data.near = call ptr @dfl.data(ptr %ctx, i64 %bytes)
  br label %moved
far.away:
  %proot = getelementptr i8, ptr %ctx, i64 {ctx.ROOT}
  %root = load ptr, ptr %proot
  %python = icmp eq ptr %region, null
  %owner = select i1 %python, ptr %root, ptr %region
  %data.far = call ptr @dfl.chunk(ptr %owner, i64 %bytes)
  br label %moved
moved:
  %fresh = phi ptr [ %data.near, %near ], [ %data.far, %far.away ]
  %none2 = icmp eq ptr %fresh, null
  br i1 %none2, label %full, label %copy
copy:
  %used = mul i64 %length, %size
  call void @llvm.memcpy.p0.p0.i64(ptr align 8 %fresh, ptr align 8 %data, i64 %used, i1 false)
  br label %done
done:
  %where = phi ptr [ %grown, %relink ], [ %grown, %back ], [ %fresh, %copy ]
  store ptr %where, ptr %pdata
  store i64 %more, ptr %pcapacity
  ret i1 true
full:
  ret i1 false
}

; frees all chunks behind a sentinel
define internal void @dfl.release(ptr %sentinel) nounwind {
  %pfirst = getelementptr i8, ptr %sentinel, i64 {WORD}
  %first = load ptr, ptr %pfirst
  store ptr null, ptr %pfirst
  br label %loop
loop:
  %chunk = phi ptr [ %first, %0 ], [ %next, %body ]
  %end = icmp eq ptr %chunk, null
  br i1 %end, label %done, label %body
body:
  %pnext = getelementptr i8, ptr %chunk, i64 {WORD}
  %next = load ptr, ptr %pnext
  call void @dfl.give(ptr %chunk)
  br label %loop
done:
  ret void
}
"""


def source() -> str:
    """The text of all functions, the pool's included."""
    return filled(_SOURCE + pool.SOURCE)


def filled(source: str) -> str:
    """A text with the offsets of words in their places."""
    names: dict[str, object] = {f"ctx.{w.name}": WORD * w for w in Context}
    names |= {f"header.{w.name}": WORD * w for w in Header}
    names |= {f"region.{w.name}": WORD * w for w in Region}
    names |= {f"chunk.{w.name}": WORD * w for w in Chunk}
    names |= {f"pool.{w.name}": WORD * w for w in pool.Pool}
    names |= {
        "pool.SLOTS": pool.SLOTS, "pool.WORDS": pool.WORDS,
        "WORD": WORD, "LINKS": LINKS, "MOST": _MOST, "LARGE": LARGE, "LAST_CHUNK": LAST_CHUNK,
        "ALIGNED_FROM": ALIGNED_FROM, "SPARE": SPARE,
        "APART_SIZE": APART_SIZE, "HEADER_SIZE": HEADER_SIZE, "REGION_SIZE": REGION_SIZE,
        "SLOT": WORD * SLOT_WORDS, "LITTLE": LITTLE,
        "memory": "{memory}",  # of inline assembly
    }  # fmt: skip
    return re.sub(r"\{([\w.]+)\}", lambda m: str(names[m[1]]), source)
