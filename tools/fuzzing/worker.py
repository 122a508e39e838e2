"""One process of a campaign: checks the programs it is told of and writes a line of JSON before and after each.

It may crash or hang on any of them; whoever started it reads from its last line which program that was.
"""

from __future__ import annotations

import faulthandler
import json
import sys
from typing import Any

from fuzzing.check import Failure, check
from fuzzing.generate import numbered
from fuzzing.reduce import reduce
from fuzzing.tree import Node


def second_order(number: int) -> bool:
    """Second derivatives are compared for one program in four."""
    return number % 4 == 0


def say(**line: Any) -> None:
    print(json.dumps(line), flush=True)


def main(args: list[str]) -> None:
    """`check SEED FIRST STEP END`, or `one SEED NUMBER` for a program on stdin, or `reduce SEED NUMBER SECONDS`."""
    faulthandler.enable()
    sys.setrecursionlimit(20_000)
    command, seed, *rest = args[0], *map(int, args[1:])
    if command == "check":
        first, step, end = rest
        for number in range(first, end, step):
            say(start=number)
            report(number, check(str(numbered(seed, number)), second_order(number)))
    elif command == "one":
        report(rest[0], check(sys.stdin.read(), second_order(rest[0])))
    elif command == "reduce":
        number, seconds = rest
        node = numbered(seed, number)
        failure = check(str(node), second_order(number))
        assert failure is not None

        def fails(candidate: Node) -> bool:
            found = check(str(candidate), second_order(number))
            return found is not None and (found.kind, found.what) == (failure.kind, failure.what)

        small = reduce(node, fails, seconds)
        last = check(str(small), second_order(number))
        say(number=number, program=str(small), detail=str(last))


def report(number: int, failure: Failure | None) -> None:
    if failure is None:
        say(done=number)
    else:
        say(done=number, kind=failure.kind, what=failure.what, detail=failure.detail)


if __name__ == "__main__":
    main(sys.argv[1:])
