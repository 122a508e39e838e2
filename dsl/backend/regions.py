"""Regions as LLVM IR: memory that is used again before a call ends.

A region is a block at the place where it begins, with a list of chunks of its own; the context names the innermost one.
When it begins again (`dfl.renew`), its chunks are freed but for the last small one, and allocation starts over where it
began. Memories that live on are saved first and made again then; what is a chunk of its own changes lists only. With
survivors, little memory is not worth a copy: up to `memory.LITTLE` bytes nothing is done.

A region apart lies in a block of its own, so that memory can be made outside of it while it is open: `dfl.outside` lets
the region around it go on where it was, `dfl.inside` goes back. The context holds one such block for the next one.

A call of these is a barrier: no access to memory moves across it (LLVM would take what is used again for other memory).
"""

from __future__ import annotations

from dsl.backend.memory import filled

_SOURCE = """
; a region begins; false: no memory
define internal i1 @dfl.mark(ptr %ctx) nounwind {
  %r = call ptr @dfl.alloc(ptr %ctx, i64 {REGION_SIZE})
  %none = icmp eq ptr %r, null
  br i1 %none, label %full, label %good
good:
  call void @llvm.memset.p0.i64(ptr align 8 %r, i8 0, i64 {REGION_SIZE}, i1 false)
  %plist = getelementptr i8, ptr %ctx, i64 {ctx.CHUNKS}
  %pfree = getelementptr i8, ptr %ctx, i64 {ctx.FREE}
  %pend = getelementptr i8, ptr %ctx, i64 {ctx.END}
  %pcurrent = getelementptr i8, ptr %ctx, i64 {ctx.CURRENT}
  %outer = load ptr, ptr %plist
  %free = load ptr, ptr %pfree
  %end = load ptr, ptr %pend
  %current = load ptr, ptr %pcurrent
  %router = getelementptr i8, ptr %r, i64 {region.OUTER}
  %rbase = getelementptr i8, ptr %r, i64 {region.BASE}
  %rend = getelementptr i8, ptr %r, i64 {region.BASE_END}
  %rcurrent = getelementptr i8, ptr %r, i64 {region.OUTER_CURRENT}
  %routerend = getelementptr i8, ptr %r, i64 {region.OUTER_END}
  store ptr %outer, ptr %router
  store ptr %free, ptr %rbase
  store ptr %end, ptr %rend
  store ptr %current, ptr %rcurrent
  store ptr %end, ptr %routerend
  store ptr %r, ptr %plist
  ret i1 true
full:
  ret i1 false
}

; the same, of a region apart
define internal i1 @dfl.mark.apart(ptr %ctx) nounwind {
  %pspare = getelementptr i8, ptr %ctx, i64 {ctx.SPARE}
  %spare = load ptr, ptr %pspare
  %missing = icmp eq ptr %spare, null
  br i1 %missing, label %fresh, label %good
fresh:
  %block = call ptr @malloc(i64 {APART_SIZE})
  %none = icmp eq ptr %block, null
  br i1 %none, label %full, label %good
good:
  %r = phi ptr [ %spare, %0 ], [ %block, %fresh ]
  store ptr null, ptr %pspare
  call void @llvm.memset.p0.i64(ptr align 8 %r, i8 0, i64 {REGION_SIZE}, i1 false)
  %plist = getelementptr i8, ptr %ctx, i64 {ctx.CHUNKS}
  %pfree = getelementptr i8, ptr %ctx, i64 {ctx.FREE}
  %pend = getelementptr i8, ptr %ctx, i64 {ctx.END}
  %pcurrent = getelementptr i8, ptr %ctx, i64 {ctx.CURRENT}
  %outer = load ptr, ptr %plist
  %free = load ptr, ptr %pfree
  %end = load ptr, ptr %pend
  %current = load ptr, ptr %pcurrent
  %base = getelementptr i8, ptr %r, i64 {REGION_SIZE}
  %last = getelementptr i8, ptr %r, i64 {APART_SIZE}
  %router = getelementptr i8, ptr %r, i64 {region.OUTER}
  %rbase = getelementptr i8, ptr %r, i64 {region.BASE}
  %rend = getelementptr i8, ptr %r, i64 {region.BASE_END}
  %rapart = getelementptr i8, ptr %r, i64 {region.APART}
  %rcurrent = getelementptr i8, ptr %r, i64 {region.OUTER_CURRENT}
  %routerend = getelementptr i8, ptr %r, i64 {region.OUTER_END}
  %routerfree = getelementptr i8, ptr %r, i64 {region.OUTER_FREE}
  store ptr %outer, ptr %router
  store ptr %base, ptr %rbase
  store ptr %last, ptr %rend
  store i64 1, ptr %rapart
  store ptr %current, ptr %rcurrent
  store ptr %end, ptr %routerend
  store ptr %free, ptr %routerfree
  store ptr %base, ptr %pfree
  store ptr %last, ptr %pend
  store ptr null, ptr %pcurrent
  store ptr %r, ptr %plist
  ret i1 true
full:
  ret i1 false
}

; memory is made %out regions out from now on, where there is a region apart; %words gets what is needed to go back
define internal void @dfl.outside(ptr %ctx, ptr %words, i64 %out) noinline nounwind {
entry:
  %plist = getelementptr i8, ptr %ctx, i64 {ctx.CHUNKS}
  %pfree = getelementptr i8, ptr %ctx, i64 {ctx.FREE}
  %pend = getelementptr i8, ptr %ctx, i64 {ctx.END}
  %pcurrent = getelementptr i8, ptr %ctx, i64 {ctx.CURRENT}
  %list = load ptr, ptr %plist
  %free = load ptr, ptr %pfree
  %end = load ptr, ptr %pend
  %current = load ptr, ptr %pcurrent
  %w1 = getelementptr i8, ptr %words, i64 8
  %w2 = getelementptr i8, ptr %words, i64 16
  %w3 = getelementptr i8, ptr %words, i64 24
  %w4 = getelementptr i8, ptr %words, i64 32
  store ptr %list, ptr %words
  store ptr %free, ptr %w1
  store ptr %end, ptr %w2
  store ptr %current, ptr %w3
  br label %climb
climb:
  %r = phi ptr [ %list, %entry ], [ %outer, %more ]
  %left = phi i64 [ %out, %entry ], [ %fewer, %more ]
  %router = getelementptr i8, ptr %r, i64 {region.OUTER}
  %outer = load ptr, ptr %router
  %fewer = sub i64 %left, 1
  %there = icmp eq i64 %fewer, 0
  br i1 %there, label %go, label %more
more:
  br label %climb
go:
  store ptr %r, ptr %w4
  %rcurrent = getelementptr i8, ptr %r, i64 {region.OUTER_CURRENT}
  %rend = getelementptr i8, ptr %r, i64 {region.OUTER_END}
  %rfree = getelementptr i8, ptr %r, i64 {region.OUTER_FREE}
  %ocurrent = load ptr, ptr %rcurrent
  %oend = load ptr, ptr %rend
  %ofree = load ptr, ptr %rfree
  store ptr %outer, ptr %plist
  store ptr %ofree, ptr %pfree
  store ptr %oend, ptr %pend
  store ptr %ocurrent, ptr %pcurrent
  ret void
}

; back to where `dfl.outside` was called; what a failure has left open since then ends
define internal void @dfl.inside(ptr %ctx, ptr %words) noinline nounwind {
entry:
  %plist = getelementptr i8, ptr %ctx, i64 {ctx.CHUNKS}
  %pfree = getelementptr i8, ptr %ctx, i64 {ctx.FREE}
  %pend = getelementptr i8, ptr %ctx, i64 {ctx.END}
  %pcurrent = getelementptr i8, ptr %ctx, i64 {ctx.CURRENT}
  %w1 = getelementptr i8, ptr %words, i64 8
  %w2 = getelementptr i8, ptr %words, i64 16
  %w3 = getelementptr i8, ptr %words, i64 24
  %w4 = getelementptr i8, ptr %words, i64 32
  %r = load ptr, ptr %w4
  %router = getelementptr i8, ptr %r, i64 {region.OUTER}
  %outer = load ptr, ptr %router
  br label %check
check:
  %now = load ptr, ptr %plist
  %there = icmp eq ptr %now, %outer
  br i1 %there, label %back, label %open
open:
  call void @dfl.leave(ptr %ctx)
  br label %check
back:
  %ofree = load ptr, ptr %pfree
  %oend = load ptr, ptr %pend
  %ocurrent = load ptr, ptr %pcurrent
  %rcurrent = getelementptr i8, ptr %r, i64 {region.OUTER_CURRENT}
  %rend = getelementptr i8, ptr %r, i64 {region.OUTER_END}
  %rfree = getelementptr i8, ptr %r, i64 {region.OUTER_FREE}
  store ptr %ocurrent, ptr %rcurrent
  store ptr %oend, ptr %rend
  store ptr %ofree, ptr %rfree
  %list = load ptr, ptr %words
  %free = load ptr, ptr %w1
  %end = load ptr, ptr %w2
  %current = load ptr, ptr %w3
  store ptr %list, ptr %plist
  store ptr %free, ptr %pfree
  store ptr %end, ptr %pend
  store ptr %current, ptr %pcurrent
  ret void
}

; whether the innermost region has nothing but what it keeps anyway, and at most %little bytes
define internal i1 @dfl.little(ptr %ctx, i64 %little) alwaysinline nounwind {
  %plist = getelementptr i8, ptr %ctx, i64 {ctx.CHUNKS}
  %pfree = getelementptr i8, ptr %ctx, i64 {ctx.FREE}
  %pend = getelementptr i8, ptr %ctx, i64 {ctx.END}
  %r = load ptr, ptr %plist
  %free = load i64, ptr %pfree
  %end = load ptr, ptr %pend
  %rfirst = getelementptr i8, ptr %r, i64 {region.FIRST}
  %rbase = getelementptr i8, ptr %r, i64 {region.BASE}
  %rend = getelementptr i8, ptr %r, i64 {region.BASE_END}
  %rkept = getelementptr i8, ptr %r, i64 {region.KEPT}
  %first = load ptr, ptr %rfirst
  %base = load i64, ptr %rbase
  %was = load ptr, ptr %rend
  %kept = load ptr, ptr %rkept
  %same = icmp eq ptr %first, %kept
  %there = icmp eq ptr %end, %was
  %used = sub i64 %free, %base
  %few = icmp ule i64 %used, %little
  %both = and i1 %same, %there
  %all = and i1 %both, %few
  ret i1 %all
}

; the innermost region begins again, nothing survives
define internal void @dfl.restart(ptr %ctx) alwaysinline nounwind {
  call void asm sideeffect "", "~{memory}"()
  %fast = call i1 @dfl.little(ptr %ctx, i64 -1)
  br i1 %fast, label %back, label %slow
back:
  %plist = getelementptr i8, ptr %ctx, i64 {ctx.CHUNKS}
  %r = load ptr, ptr %plist
  %rbase = getelementptr i8, ptr %r, i64 {region.BASE}
  %base = load ptr, ptr %rbase
  %pfree = getelementptr i8, ptr %ctx, i64 {ctx.FREE}
  store ptr %base, ptr %pfree
  br label %done
slow:
  call void @dfl.reset(ptr %ctx)
  br label %done
done:
  call void asm sideeffect "", "~{memory}"()
  ret void
}

; frees the chunks of the innermost region but for the last that small blocks were cut off
define internal void @dfl.reset(ptr %ctx) noinline nounwind {
entry:
  %plist = getelementptr i8, ptr %ctx, i64 {ctx.CHUNKS}
  %pfree = getelementptr i8, ptr %ctx, i64 {ctx.FREE}
  %pend = getelementptr i8, ptr %ctx, i64 {ctx.END}
  %pcurrent = getelementptr i8, ptr %ctx, i64 {ctx.CURRENT}
  %r = load ptr, ptr %plist
  %end = load ptr, ptr %pend
  %current = load ptr, ptr %pcurrent
  %rfirst = getelementptr i8, ptr %r, i64 {region.FIRST}
  %rbase = getelementptr i8, ptr %r, i64 {region.BASE}
  %rend = getelementptr i8, ptr %r, i64 {region.BASE_END}
  %rkept = getelementptr i8, ptr %r, i64 {region.KEPT}
  %was = load ptr, ptr %rend
  %there = icmp eq ptr %end, %was
  br i1 %there, label %free, label %keep
keep:
  %chunk = getelementptr i8, ptr %current, i64 -{LINKS}
  store ptr %chunk, ptr %rkept
  store ptr %current, ptr %rbase
  store ptr %end, ptr %rend
  br label %free
free:
  %kept = load ptr, ptr %rkept
  %first = load ptr, ptr %rfirst
  br label %loop
loop:
  %c = phi ptr [ %first, %free ], [ %next, %again ]
  %stop = icmp eq ptr %c, null
  br i1 %stop, label %done, label %body
body:
  %pnext = getelementptr i8, ptr %c, i64 {WORD}
  %next = load ptr, ptr %pnext
  %stays = icmp eq ptr %c, %kept
  br i1 %stays, label %again, label %drop
drop:
  call void @dfl.give(ptr %c)
  br label %again
again:
  br label %loop
done:
  store ptr %kept, ptr %rfirst
  %none = icmp eq ptr %kept, null
  br i1 %none, label %back, label %alone
alone:
  store ptr %r, ptr %kept
  %plast = getelementptr i8, ptr %kept, i64 {WORD}
  store ptr null, ptr %plast
  br label %back
back:
  %base = load ptr, ptr %rbase
  store ptr %base, ptr %pfree
  ret void
}

; the innermost region ends, nothing survives
define internal void @dfl.leave(ptr %ctx) noinline nounwind {
  %plist = getelementptr i8, ptr %ctx, i64 {ctx.CHUNKS}
  %pfree = getelementptr i8, ptr %ctx, i64 {ctx.FREE}
  %pend = getelementptr i8, ptr %ctx, i64 {ctx.END}
  %pcurrent = getelementptr i8, ptr %ctx, i64 {ctx.CURRENT}
  %r = load ptr, ptr %plist
  call void @dfl.release(ptr %r)
  %rsaved = getelementptr i8, ptr %r, i64 {region.SAVED}
  %saved = load ptr, ptr %rsaved
  call void @free(ptr %saved)
  %router = getelementptr i8, ptr %r, i64 {region.OUTER}
  %rcurrent = getelementptr i8, ptr %r, i64 {region.OUTER_CURRENT}
  %routerend = getelementptr i8, ptr %r, i64 {region.OUTER_END}
  %rapart = getelementptr i8, ptr %r, i64 {region.APART}
  %routerfree = getelementptr i8, ptr %r, i64 {region.OUTER_FREE}
  %outer = load ptr, ptr %router
  %current = load ptr, ptr %rcurrent
  %end = load ptr, ptr %routerend
  %apart = load i64, ptr %rapart
  %free = load ptr, ptr %routerfree
  store ptr %outer, ptr %plist
  store ptr %end, ptr %pend
  store ptr %current, ptr %pcurrent
  %own = icmp ne i64 %apart, 0
  br i1 %own, label %block, label %part
part:
  store ptr %r, ptr %pfree
  ret void
block:
  store ptr %free, ptr %pfree
  call void @dfl.spare(ptr %ctx)
  %pspare = getelementptr i8, ptr %ctx, i64 {ctx.SPARE}
  store ptr %r, ptr %pspare
  ret void
}

; frees the block that is held for the next region apart
define internal void @dfl.spare(ptr %ctx) nounwind {
  %pspare = getelementptr i8, ptr %ctx, i64 {ctx.SPARE}
  %spare = load ptr, ptr %pspare
  call void @free(ptr %spare)
  store ptr null, ptr %pspare
  ret void
}

; the same, as a barrier
define internal void @dfl.end(ptr %ctx) alwaysinline nounwind {
  call void asm sideeffect "", "~{memory}"()
  call void @dfl.leave(ptr %ctx)
  call void asm sideeffect "", "~{memory}"()
  ret void
}

; all regions end: a call has failed
define internal void @dfl.unwind(ptr %ctx) noinline cold nounwind {
entry:
  %plist = getelementptr i8, ptr %ctx, i64 {ctx.CHUNKS}
  %proot = getelementptr i8, ptr %ctx, i64 {ctx.ROOT}
  br label %loop
loop:
  %list = load ptr, ptr %plist
  %root = load ptr, ptr %proot
  %out = icmp eq ptr %list, %root
  br i1 %out, label %done, label %body
body:
  call void @dfl.leave(ptr %ctx)
  br label %loop
done:
  ret void
}

; how many bytes of a memory's records are no chunk of their own; -1: they are one
define internal i64 @dfl.loose(ptr %m, i64 %size) nounwind {
  %pcapacity = getelementptr i8, ptr %m, i64 {header.CAPACITY}
  %capacity = load i64, ptr %pcapacity
  %product = mul i64 %capacity, %size
  %padded = add i64 %product, 7
  %bytes = and i64 %padded, -8
  %own = icmp uge i64 %bytes, {LARGE}
  %loose = select i1 %own, i64 -1, i64 %bytes
  ret i64 %loose
}

; saves what of %n memories belongs to the innermost region: their headers and loose records, behind each other in the
; region's block. A slot has the memory, the size of its records, and then: 0 it stays where it is, 1 it is saved (its
; place instead of the memory), 2 it is the same as another one (that one's slot instead of the memory).
; false: no memory
define internal i1 @dfl.save(ptr %ctx, ptr %slots, i64 %n) noinline nounwind {
entry:
  %plist = getelementptr i8, ptr %ctx, i64 {ctx.CHUNKS}
  %r = load ptr, ptr %plist
  br label %measure
measure:
  %i = phi i64 [ 0, %entry ], [ %i2, %measured ]
  %total = phi i64 [ {HEADER_SIZE}, %entry ], [ %total2, %measured ]
  %slot = getelementptr [{SLOT} x i8], ptr %slots, i64 %i
  %pstate = getelementptr i8, ptr %slot, i64 16
  store i64 0, ptr %pstate
  %m = load ptr, ptr %slot
  %null = icmp eq ptr %m, null
  br i1 %null, label %measured, label %some
some:
  %pcapacity = getelementptr i8, ptr %m, i64 {header.CAPACITY}
  %capacity = load i64, ptr %pcapacity
  %python = icmp slt i64 %capacity, 0
  br i1 %python, label %measured, label %ours
ours:
  %pregion = getelementptr i8, ptr %m, i64 {header.REGION}
  %region = load ptr, ptr %pregion
  %belongs = icmp eq ptr %region, %r
  br i1 %belongs, label %count, label %measured
count:
  store i64 1, ptr %pstate
  %psize = getelementptr i8, ptr %slot, i64 8
  %size = load i64, ptr %psize
  %loose = call i64 @dfl.loose(ptr %m, i64 %size)
  %bytes = call i64 @llvm.smax.i64(i64 %loose, i64 0)
  %more = add i64 %bytes, {HEADER_SIZE}
  br label %measured
measured:
  %add = phi i64 [ 0, %measure ], [ 0, %some ], [ 0, %ours ], [ %more, %count ]
  %total2 = add i64 %total, %add
  %i2 = add i64 %i, 1
  %again = icmp slt i64 %i2, %n
  br i1 %again, label %measure, label %room
room:
  %psaved = getelementptr i8, ptr %r, i64 {region.SAVED}
  %psavedsize = getelementptr i8, ptr %r, i64 {region.SAVED_SIZE}
  %old = load ptr, ptr %psaved
  %oldsize = load i64, ptr %psavedsize
  %enough = icmp uge i64 %oldsize, %total2
  br i1 %enough, label %ready, label %take
take:
  call void @free(ptr %old)
  store ptr null, ptr %psaved
  store i64 0, ptr %psavedsize
  %fresh = call ptr @malloc(i64 %total2)
  %none = icmp eq ptr %fresh, null
  br i1 %none, label %full, label %taken
taken:
  store ptr %fresh, ptr %psaved
  store i64 %total2, ptr %psavedsize
  br label %ready
ready:
  %block = load ptr, ptr %psaved
  br label %each
each:
  %j = phi i64 [ 0, %ready ], [ %j2, %next ]
  %at = phi ptr [ %block, %ready ], [ %at2, %next ]
  %s = getelementptr [{SLOT} x i8], ptr %slots, i64 %j
  %ps = getelementptr i8, ptr %s, i64 16
  %state = load i64, ptr %ps
  %moves = icmp eq i64 %state, 1
  br i1 %moves, label %first, label %next
first:
  %x = load ptr, ptr %s
  %pxregion = getelementptr i8, ptr %x, i64 {header.REGION}
  %xregion = load ptr, ptr %pxregion
  %isnew = icmp eq ptr %xregion, %r
  br i1 %isnew, label %store, label %known
known:
  store i64 2, ptr %ps
  %other = load ptr, ptr %x
  store ptr %other, ptr %s
  br label %next
store:
  call void @llvm.memcpy.p0.p0.i64(ptr align 8 %at, ptr align 8 %x, i64 {HEADER_SIZE}, i1 false)
  %behind = getelementptr i8, ptr %at, i64 {HEADER_SIZE}
  %pxs = getelementptr i8, ptr %s, i64 8
  %xs = load i64, ptr %pxs
  %xloose = call i64 @dfl.loose(ptr %x, i64 %xs)
  %xown = icmp slt i64 %xloose, 0
  %xdata = load ptr, ptr %x
  br i1 %xown, label %unlink, label %copy
copy:
  call void @llvm.memcpy.p0.p0.i64(ptr align 8 %behind, ptr align 8 %xdata, i64 %xloose, i1 false)
  br label %stored
unlink:
  %chunk = getelementptr i8, ptr %xdata, i64 -{LINKS}
  %previous = load ptr, ptr %chunk
  %pnext = getelementptr i8, ptr %chunk, i64 {WORD}
  %following = load ptr, ptr %pnext
  %pprevious = getelementptr i8, ptr %previous, i64 {WORD}
  store ptr %following, ptr %pprevious
  %last = icmp eq ptr %following, null
  br i1 %last, label %stored, label %back
back:
  store ptr %previous, ptr %following
  br label %stored
stored:
  %xbytes = call i64 @llvm.smax.i64(i64 %xloose, i64 0)
  %after = getelementptr i8, ptr %behind, i64 %xbytes
  store ptr %s, ptr %x
  store ptr %slots, ptr %pxregion
  store ptr %at, ptr %s
  br label %next
next:
  %at2 = phi ptr [ %at, %each ], [ %at, %known ], [ %after, %stored ]
  %j2 = add i64 %j, 1
  %onward = icmp slt i64 %j2, %n
  br i1 %onward, label %each, label %done
done:
  ret i1 true
full:
  ret i1 false
}

; makes what was saved again, in what is the innermost region now; false: no memory
define internal i1 @dfl.restore(ptr %ctx, ptr %slots, i64 %n) noinline nounwind {
entry:
  %plist = getelementptr i8, ptr %ctx, i64 {ctx.CHUNKS}
  %list = load ptr, ptr %plist
  br label %lists
lists:
  %k = phi i64 [ 0, %entry ], [ %k2, %listed ]
  %kslot = getelementptr [{SLOT} x i8], ptr %slots, i64 %k
  %pkstate = getelementptr i8, ptr %kslot, i64 16
  %kstate = load i64, ptr %pkstate
  %ksaved = icmp eq i64 %kstate, 1
  br i1 %ksaved, label %which, label %listed
which:
  %ksizep = getelementptr i8, ptr %kslot, i64 8
  %ksize = load i64, ptr %ksizep
  %km = load ptr, ptr %kslot
  %kloose = call i64 @dfl.loose(ptr %km, i64 %ksize)
  %kown = icmp slt i64 %kloose, 0
  br i1 %kown, label %relink, label %listed
relink:
  %kdata = load ptr, ptr %km
  %kchunk = getelementptr i8, ptr %kdata, i64 -{LINKS}
  call void @dfl.link(ptr %list, ptr %kchunk)
  br label %listed
listed:
  %k2 = add i64 %k, 1
  %kagain = icmp slt i64 %k2, %n
  br i1 %kagain, label %lists, label %each
each:
  %i = phi i64 [ 0, %listed ], [ %i2, %next ]
  %slot = getelementptr [{SLOT} x i8], ptr %slots, i64 %i
  %pstate = getelementptr i8, ptr %slot, i64 16
  %state = load i64, ptr %pstate
  switch i64 %state, label %next [ i64 1, label %make i64 2, label %share ]
share:
  %other = load ptr, ptr %slot
  %same = load ptr, ptr %other
  store ptr %same, ptr %slot
  br label %next
make:
  %saved = load ptr, ptr %slot
  %psize = getelementptr i8, ptr %slot, i64 8
  %size = load i64, ptr %psize
  %loose = call i64 @dfl.loose(ptr %saved, i64 %size)
  %own = icmp slt i64 %loose, 0
  %bytes = call i64 @llvm.smax.i64(i64 %loose, i64 0)
  %whole = add i64 %bytes, {HEADER_SIZE}
  %m = call ptr @dfl.alloc(ptr %ctx, i64 %whole)
  %none = icmp eq ptr %m, null
  br i1 %none, label %full, label %copy
copy:
  call void @llvm.memcpy.p0.p0.i64(ptr align 8 %m, ptr align 8 %saved, i64 %whole, i1 false)
  %behind = getelementptr i8, ptr %m, i64 {HEADER_SIZE}
  %old = load ptr, ptr %saved
  %data = select i1 %own, ptr %old, ptr %behind
  store ptr %data, ptr %m
  %pregion = getelementptr i8, ptr %m, i64 {header.REGION}
  store ptr %list, ptr %pregion
  store ptr %m, ptr %slot
  br label %next
next:
  %i2 = add i64 %i, 1
  %again = icmp slt i64 %i2, %n
  br i1 %again, label %each, label %done
done:
  ret i1 true
full:
  ret i1 false
}

; the innermost region begins again; the memories in the slots survive. false: no memory
define internal i1 @dfl.renew(ptr %ctx, ptr %slots, i64 %n) alwaysinline nounwind {
  call void asm sideeffect "", "~{memory}"()
  %little = call i1 @dfl.little(ptr %ctx, i64 {LITTLE})
  br i1 %little, label %nothing, label %something
nothing:
  ret i1 true
something:
  %good = call i1 @dfl.renew.slow(ptr %ctx, ptr %slots, i64 %n)
  call void asm sideeffect "", "~{memory}"()
  ret i1 %good
}

define internal i1 @dfl.renew.slow(ptr %ctx, ptr %slots, i64 %n) noinline nounwind {
  %saved = call i1 @dfl.save(ptr %ctx, ptr %slots, i64 %n)
  br i1 %saved, label %go, label %full
go:
  call void @dfl.reset(ptr %ctx)
  %made = call i1 @dfl.restore(ptr %ctx, ptr %slots, i64 %n)
  ret i1 %made
full:
  ret i1 false
}

; the innermost region ends; the memories in the slots survive. false: no memory
define internal i1 @dfl.finish(ptr %ctx, ptr %slots, i64 %n) noinline nounwind {
  %saved = call i1 @dfl.save(ptr %ctx, ptr %slots, i64 %n)
  br i1 %saved, label %go, label %full
go:
  %plist = getelementptr i8, ptr %ctx, i64 {ctx.CHUNKS}
  %r = load ptr, ptr %plist
  %psaved = getelementptr i8, ptr %r, i64 {region.SAVED}
  %block = load ptr, ptr %psaved
  store ptr null, ptr %psaved
  call void @dfl.leave(ptr %ctx)
  %made = call i1 @dfl.restore(ptr %ctx, ptr %slots, i64 %n)
  call void @free(ptr %block)
  ret i1 %made
full:
  ret i1 false
}

define internal i1 @dfl.survive(ptr %ctx, ptr %slots, i64 %n) alwaysinline nounwind {
  call void asm sideeffect "", "~{memory}"()
  %good = call i1 @dfl.finish(ptr %ctx, ptr %slots, i64 %n)
  call void asm sideeffect "", "~{memory}"()
  ret i1 %good
}
"""


def source() -> str:
    """The text of all functions; they need those of `memory`."""
    return filled(_SOURCE)
