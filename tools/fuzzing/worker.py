"""One process of a campaign: checks the programs it is told of and writes a line of JSON before and after each.

It may crash or hang on any of them; whoever started it reads from its last line which program that was.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import sys
from typing import Any

from fuzzing.agree import Failure
from fuzzing.subjects import SUBJECTS, Subject


def say(**line: Any) -> None:
    print(json.dumps(line), flush=True)


def main(args: list[str]) -> None:
    """`SUBJECT check SEED FIRST STEP END`, or `SUBJECT one SEED NUMBER` for a program on standard input, or
    `SUBJECT reduce SEED NUMBER SECONDS`."""
    faulthandler.enable()
    sys.setrecursionlimit(20_000)
    gc.set_threshold(200_000, 20, 50)  # a compiler makes many objects and few cycles: a tenth of the time
    subject, command, (seed, *rest) = SUBJECTS[args[0]], args[1], [int(a) for a in args[2:]]
    if command == "check":
        first, step, end = rest
        for number in range(first, end, step):
            say(start=number)
            report(number, subject.check(subject.make(seed, number), number))
    elif command == "one":
        report(rest[0], subject.check(subject.read(sys.stdin.read()), rest[0]))
    elif command == "reduce":
        make_small(subject, seed, *rest)


def make_small(subject: Subject, seed: int, number: int, seconds: int) -> None:
    program = subject.make(seed, number)
    failure = subject.check(program, number)
    assert failure is not None

    def fails(candidate: Any) -> bool:
        found = subject.check(candidate, number)
        return found is not None and (found.kind, found.what) == (failure.kind, failure.what)

    small = subject.reduce(program, fails, seconds)
    say(number=number, program=subject.show(small), detail=str(subject.check(small, number)))


def report(number: int, failure: Failure | None) -> None:
    if failure is None:
        say(done=number)
    else:
        say(done=number, kind=failure.kind, what=failure.what, detail=failure.detail)


if __name__ == "__main__":
    main(sys.argv[1:])
