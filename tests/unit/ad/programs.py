"""Functions in IR text that use each form of control flow and memory, differentiated by `test_modes`.

Each takes numbers and gives one; `wrt` are the inputs, `args` a point away from kinks.
"""

from __future__ import annotations

from typing import NamedTuple


class Case(NamedTuple):
    name: str
    text: str
    args: tuple[float | int, ...]
    wrt: tuple[int, ...] = (0,)


CASES = [
    Case("straight", """
fn @f(%x: f64, %y: f64) -> f64 {
  %0: f64 = mul %x, %y
  %1: f64 = sin %0
  %2: f64 = div %1, %y
  %3: f64 = add %2, %x
  return %3
}
""", (0.7, 1.3), (0, 1)),
    Case("branch", """
fn @f(%x: f64) -> f64 {
  %0: f64 = const 1.0
  %1: bool = lt %x, %0
  %2: f64 = if %1 {
    %3: f64 = mul %x, %x
    %4: f64 = exp %3
    yield %4
  } else {
    yield %0
  }
  %5: f64 = mul %2, %x
  return %5
}
""", (0.7,)),
    Case("early_returns", """
fn @f(%x: f64, %n: i64) -> f64 {
  %0: i64 = const 0
  %1: i64 = const 1
  %a: f64 = mul %x, %x
  %2: bool = eq %n, %0
  if %2 { return %a } else { yield }
  %b: f64 = sin %a
  %3: bool = eq %n, %1
  if %3 {
    %c: f64 = mul %b, %x
    return %c
  } else { yield }
  %d: f64 = mul %b, %a
  return %d
}
fn @g(%x: f64) -> f64 {
  %0: i64 = const 0
  %1: i64 = const 1
  %2: i64 = const 2
  %a: f64 = call @f(%x, %0)
  %b: f64 = call @f(%a, %1)
  %c: f64 = call @f(%b, %2)
  %d: f64 = add %a, %c
  return %d
}
fn @f2(%x: f64) -> f64 {
  %d: f64 = call @g(%x)
  return %d
}
""", (0.7, 2)),
    Case("while_pow", """
fn @f(%x: f64, %n: i64) -> f64 {
  %0: i64 = const 0
  %1: i64 = const 1
  %2: f64 = const 1.0
  %3: f64 = loop (%r: f64 = %2, %k: i64 = %n) {
    %4: bool = gt %k, %0
    if %4 { yield } else { break %r }
    %5: i64 = sub %k, %1
    %6: f64 = mul %r, %x
    next %6, %5
  }
  return %3
}
""", (1.1, 7)),
    Case("counted", """
fn @f(%x: f64, %n: i64) -> f64 {
  %1: i64 = const 1
  %2: f64 = const 0.0
  %3: f64, %4: f64 = for %i = %1, %n, %1 (%s: f64 = %2, %p: f64 = %x) {
    %5: f64 = tof64 %i
    %6: f64 = mul %5, %p
    %7: f64 = sin %6
    %8: f64 = add %s, %7
    %9: f64 = mul %p, %x
    next %8, %9
  }
  %10: f64 = mul %3, %4
  return %10
}
""", (0.8, 5)),
    Case("nested_counted", """
fn @f(%x: f64, %y: f64, %n: i64) -> f64 {
  %1: i64 = const 1
  %2: f64 = const 0.0
  %3: f64 = for %i = %1, %n, %1 (%s: f64 = %2) {
    %4: f64 = mul %s, %x
    %5: f64 = for %j = %i, %n, %1 (%t: f64 = %4) {
      %6: f64 = tof64 %j
      %7: f64 = mul %t, %y
      %8: f64 = cos %7
      %9: f64 = add %8, %6
      %10: f64 = mul %9, %x
      next %10
    }
    %11: f64 = sin %5
    next %11
  }
  return %3
}
""", (0.8, 0.3, 4), (0, 1)),
    Case("continue_and_breaks", """
fn @f(%x: f64, %n: i64) -> f64 {
  %0: i64 = const 0
  %1: i64 = const 1
  %3: i64 = const 3
  %7: i64 = const 7
  %z: f64 = const 0.0
  %big: f64 = const 50.0
  %r: f64 = loop (%s: f64 = %x, %k: i64 = %0) {
    %k1: i64 = add %k, %1
    %c0: bool = ge %k, %n
    if %c0 { break %s } else { yield }
    %m: i64 = irem %k, %3
    %c1: bool = eq %m, %1
    if %c1 {
      %u: f64 = mul %s, %s
      next %u, %k1
    } else { yield }
    %v: f64 = mul %s, %x
    %c2: bool = gt %v, %big
    if %c2 {
      %w: f64 = sin %v
      break %w
    } else { yield }
    %c3: bool = eq %k, %7
    if %c3 {
      %q: f64 = exp %x
      %q2: f64 = mul %q, %s
      break %q2
    } else { yield }
    %y: f64 = add %v, %x
    next %y, %k1
  }
  %out: f64 = mul %r, %x
  return %out
}
""", (1.1, 30)),
    Case("return_from_nested_loops", """
fn @f(%x: f64) -> f64 {
  %1: i64 = const 1
  %5: i64 = const 5
  %z: f64 = const 0.0
  %lim: f64 = const 20.0
  %r: f64 = loop (%i: i64 = %1, %s: f64 = %z) {
    %c: bool = gt %i, %5
    if %c { break %s } else { yield }
    %fi: f64 = tof64 %i
    %s2: f64 = loop (%j: i64 = %1, %t: f64 = %s) {
      %c1: bool = gt %j, %5
      if %c1 { break %t } else { yield }
      %fj: f64 = tof64 %j
      %p: f64 = mul %x, %fi
      %p2: f64 = mul %p, %fj
      %t2: f64 = add %t, %p2
      %c2: bool = gt %t2, %lim
      if %c2 {
        %o: f64 = mul %t2, %x
        return %o
      } else { yield }
      %j1: i64 = add %j, %1
      next %j1, %t2
    }
    %i1: i64 = add %i, %1
    next %i1, %s2
  }
  %n: f64 = neg %r
  return %n
}
""", (1.5,)),
    Case("break_two_loops", """
fn @f(%x: f64, %lim: f64) -> f64 {
  %1: i64 = const 1
  %5: i64 = const 5
  %r: f64, %q: f64 = loop (%i: i64 = %1, %s: f64 = %x) {
    %c: bool = gt %i, %5
    if %c { break %s, %x } else { yield }
    %u: f64 = sin %s
    %s2: f64 = loop (%j: i64 = %1, %t: f64 = %u) {
      %c1: bool = gt %j, %i
      if %c1 { break %t } else { yield }
      %t2: f64 = mul %t, %t
      %t3: f64 = add %t2, %x
      %c2: bool = gt %t3, %lim
      if %c2 {
        %o: f64 = mul %t3, %u
        break{1} %o, %t
      } else { yield }
      %j1: i64 = add %j, %1
      next %j1, %t3
    }
    %i1: i64 = add %i, %1
    next %i1, %s2
  }
  %n: f64 = mul %r, %q
  return %n
}
""", (0.9, 2.5)),
    Case("box", """
fn @f(%x: f64) -> f64 {
  %0: i64 = const 0
  %1: i64 = const 1
  %4: i64 = const 4
  %m: mem<f64> = new %1
  store %m[%0], %x
  for %i = %1, %4, %1 () {
    %a: f64 = load %m[%0]
    %b: f64 = mul %a, %x
    %c: f64 = sin %b
    store %m[%0], %c
    next
  }
  %r: f64 = load %m[%0]
  %s: f64 = mul %r, %r
  return %s
}
""", (0.9,)),
    Case("stack", """
fn @f(%x: f64) -> f64 {
  %0: i64 = const 0
  %m: mem<f64, i64> = new %0
  %x2: f64 = mul %x, %x
  push %m, %x, %0
  push %m, %x2, %0
  %a: f64, %k: i64 = pop %m
  %ax: f64 = mul %a, %x
  push %m, %ax, %0
  %b: f64, %k2: i64 = pop %m
  %c: f64, %k3: i64 = pop %m
  %bc: f64 = mul %b, %c
  %r: f64 = add %bc, %a
  return %r
}
""", (1.7,)),
    Case("memory_of_memory", """
fn @f(%x: f64, %n: i64) -> f64 {
  %0: i64 = const 0
  %1: i64 = const 1
  %h: mem<mem<f64>> = new %0
  for %i = %1, %n, %1 () {
    %b: mem<f64> = new %1
    %fi: f64 = tof64 %i
    %v: f64 = mul %x, %fi
    store %b[%0], %v
    push %h, %b
    next
  }
  %last: i64 = sub %n, %1
  for %i2 = %1, %last, %1 () {
    %b2: mem<f64> = load %h[%i2]
    %j: i64 = sub %i2, %1
    %c2: mem<f64> = load %h[%j]
    %u2: f64 = load %b2[%0]
    %w2: f64 = load %c2[%0]
    %pp: f64 = mul %u2, %w2
    store %c2[%0], %pp
    store %h[%j], %b2
    next
  }
  %y: mem<f64> = load %h[%0]
  %r: f64 = load %y[%0]
  %z: mem<f64> = load %h[%1]
  %q: f64 = load %z[%0]
  %s: f64 = mul %r, %q
  return %s
}
""", (1.2, 4)),
    Case("recursion_overwrites_what_it_read", """
fn @g(%m: mem<f64>, %x: f64, %n: i64) -> f64 {
  %0: i64 = const 0
  %1: i64 = const 1
  %c: bool = le %n, %0
  if %c {
    %e: f64 = load %m[%0]
    return %e
  } else { yield }
  %a: f64 = load %m[%0]
  %b: f64 = mul %a, %x
  store %m[%0], %b
  %k: i64 = sub %n, %1
  %r: f64 = call @g(%m, %x, %k)
  %d: f64 = load %m[%0]
  %s: f64 = mul %r, %a
  %t: f64 = add %s, %d
  %u: f64 = sin %t
  store %m[%0], %u
  return %u
}
fn @f(%x: f64) -> f64 {
  %0: i64 = const 0
  %1: i64 = const 1
  %3: i64 = const 3
  %m: mem<f64> = new %1
  store %m[%0], %x
  %r: f64 = call @g(%m, %x, %3)
  %q: f64 = load %m[%0]
  %p: f64 = mul %q, %r
  %o: f64 = add %p, %x
  return %o
}
""", (0.8,)),
    Case("recursion_in_a_loop", """
fn @g(%x: f64, %n: i64) -> f64 {
  %0: i64 = const 0
  %1: i64 = const 1
  %2: i64 = const 2
  %c: bool = lt %n, %2
  if %c { return %x } else { yield }
  %k: i64 = sub %n, %1
  %l: i64 = sub %n, %2
  %a: f64 = call @g(%x, %k)
  %b: f64 = call @g(%a, %l)
  %r: f64 = mul %b, %x
  %s: f64 = sin %r
  return %s
}
fn @f(%x: f64) -> f64 {
  %1: i64 = const 1
  %4: i64 = const 4
  %r: f64 = for %i = %1, %4, %1 (%s: f64 = %x) {
    %t: f64 = call @g(%s, %i)
    %u: f64 = mul %t, %s
    %v: f64 = add %u, %x
    next %v
  }
  return %r
}
""", (0.8,)),
    Case("integers_carry_tangents", """
fn @f(%n: i64) -> f64 {
  %2: i64 = const 2
  %a: i64 = mul %n, %n
  %b: i64 = mul %2, %a
  %c: f64 = tof64 %b
  %d: f64 = sin %c
  %e: f64 = tof64 %n
  %r: f64 = mul %d, %e
  return %r
}
""", (3,)),
]  # fmt: skip
