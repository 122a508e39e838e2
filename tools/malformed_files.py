"""Makes malformed files and sends each through the front door of the language, in a process of its own.

A file is good if it is read or refused with a DslError within the time; a Python traceback, a crash of the process or a
longer time is reported, with the file kept. The files are programs of the examples and tests, cut, spliced and mutated,
and a fixed list of hostile ones. What is a good program in the end is, with `--load`, also compiled and run: such a
program may take its time, so there the time alone is no failure.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from random import Random

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 5.0

DEPTH = 10_000
MEGABYTE = 2**20
HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "newline": b"\n",
    "nul": b"f(x) = x\0\n",
    "only-nul": b"\0" * 1000,
    "not-utf8": b"f(x) = x + \xff\xfe\n",
    "latin1": "é = 1\n".encode("latin-1"),
    "utf16": "f(x) = x\n".encode("utf-16"),
    "bom": b"\xef\xbb\xbff(x) = x\n",
    "truncated-utf8": "x̄ = 1 # ȳ".encode()[:-1],
    "elf": b"\x7fELF\x02\x01\x01" + bytes(range(256)) * 8,
    "crlf": b"function f(x)\r\n  x\r\nend\r\n",
    "parentheses": b"(" * DEPTH,
    "closed-parentheses": b"x = " + b"(" * DEPTH + b"1" + b")" * DEPTH,
    "brackets": b"[" * DEPTH,
    "closers": b")" * DEPTH,
    "ends": b"end\n" * DEPTH,
    "blocks": b"if x\n" * DEPTH,
    "calls": b"f(" * DEPTH + b")" * DEPTH,
    "indices": b"a[" * DEPTH + b"]" * DEPTH,
    "strings": b'"$(' * DEPTH,
    "comments": b"#=" * DEPTH,
    "lambdas": b"x -> " * DEPTH + b"x",
    "ternaries": b"a ? b : " * DEPTH + b"c",
    "minuses": b"- " * DEPTH + b"x",
    "powers": b"x^" * DEPTH + b"2",
    "primes": b"f" + b"'" * DEPTH,
    "fields": b"a" + b".b" * DEPTH,
    "chained-calls": b"f" + b"(x)" * DEPTH,
    "functions": b"function (" * DEPTH,
    "elseifs": b"if a 1\n" + b"elseif b 2\n" * DEPTH + b"end\n",
    "types": b"T{" * DEPTH,
    "macros": b"@m " * DEPTH,
    "long-name": b"x" * MEGABYTE,
    "long-number": b"1" * MEGABYTE,
    "long-line": b"x = 1" + b" + x" * (MEGABYTE // 4),
    "long-string": b'"' + b"x" * MEGABYTE + b'"',
    "long-blank": b" " * MEGABYTE,
    "long-comment": b"#" * MEGABYTE,
    "many-lines": b"x = 1\n" * 20_000,
    "many-errors": b"x = = 1\n" * 20_000,
    "many-quotes": b'"' * 90_000,
    "many-newlines": b"\n" * MEGABYTE,
    "combining": ("x" + "\u0301" * 40_000).encode(),
}


def corpus() -> list[str]:
    """The texts to start from: every program of the examples and of the tests."""
    paths = sorted([*ROOT.glob("examples/**/*.dfl"), *ROOT.glob("tests/**/*.dfl"), *ROOT.glob("dsl/stdlib/*.dfl")])
    texts = [p.read_text(encoding="utf-8", errors="replace") for p in paths if p.is_file()]
    return [t for t in texts if t] or ["function f(x)\n  if x > 0\n    return [x, 2x]\n  end\n  x'\nend\n"]


_WORDS = """
    ( ) [ ] { } end if else for in = == + - * ^ ' \" $ : :: ; , . .. ... -> => ? @ # #= =# \\ function begin do
    struct return let true 1 1.5 x f( a[ x' where try <: ∘ √ π ȳ 😀 \u0301 // && || ! != |> in isa 0x 1e 1__ .5
"""
TOKENS = (*_WORDS.split(), "\n", "\0", "\t", " ")


def mutated(text: str, other: str, random: Random) -> str:
    """One text made wrong in one to four places."""
    for _ in range(random.randint(1, 4)):
        at, to = sorted(random.randrange(len(text) + 1) for _ in range(2))
        to = min(to, at + random.choice([1, 3, 20, 200]))
        kind = random.randrange(7)
        if kind == 0:
            text = text[:at]
        elif kind == 1:
            text = text[:at] + text[to:]
        elif kind == 2:
            text = text[:at] + random.choice(TOKENS) + text[at:]
        elif kind == 3:
            begin = random.randrange(len(other) + 1)
            text = text[:at] + other[begin : begin + random.randrange(200)] + text[to:]
        elif kind == 4:
            text = text[:at] + text[at:to] * random.randrange(2, 6) + text[to:]
        elif kind == 5:
            code = random.choice([random.randrange(32, 127), random.randrange(0xD7FF)])
            text = text[:at] + chr(code) + text[at + 1 :]
        else:
            text = text[:at] + random.choice(TOKENS) + text[to:]
    return text


def files(folder: Path, count: int, seed: int) -> Iterator[Path]:
    """The files, made one by one: the hostile ones first, then mutated programs up to `count`."""
    for name, data in HOSTILE.items():
        path = folder / f"{name}.dfl"
        path.write_bytes(data)
        yield path
    (folder / "folder.dfl").mkdir()
    yield folder / "folder.dfl"
    yield folder / "missing.dfl"
    random = Random(seed)
    texts = corpus()
    for k in range(count - len(HOSTILE) - 2):
        path = folder / f"mutated-{k}.dfl"
        data = mutated(random.choice(texts), random.choice(texts), random).encode()
        if random.random() < 0.05:
            at = random.randrange(len(data) + 1)
            data = data[:at] + bytes([random.randrange(128, 256)]) + data[at:]
        path.write_bytes(data)
        yield path


def front_door(path: Path, load: bool) -> None:
    """Read, parse and print a file; with `load` compile and run it as well. A DslError is a good answer."""
    from dsl.diagnostics import DslError
    from dsl.syntax import parse_file, read_source, show

    try:
        show(parse_file(read_source(path)))
        if load:
            import dsl

            dsl.load(path, out=lambda text: None)
    except DslError as e:
        e.render()


def verdict(path: Path, load: bool) -> str:
    """What is wrong with the treatment of a file, "" if nothing. A child process meets the file."""
    reader, writer = os.pipe()
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(reader)
        signal.alarm(int(4 * SECONDS))
        try:
            front_door(path, load)
        except BaseException:
            os.write(writer, traceback.format_exc()[-4000:].encode(errors="replace"))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        said = pipe.read().decode(errors="replace")
    _, status = os.waitpid(child, 0)
    took = time.monotonic() - start
    if os.WIFSIGNALED(status) and not (load and os.WTERMSIG(status) == signal.SIGALRM):
        return f"ended by signal {os.WTERMSIG(status)} after {took:.1f} s"
    if took > SECONDS and not load:
        return f"took {took:.1f} s"
    return said


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tools/malformed", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--files", type=int, default=500, help="how many files (500)")
    parser.add_argument("--seed", type=int, default=1, help="of the mutations (1)")
    parser.add_argument("--load", action="store_true", help="also compile and run what is a program")
    parser.add_argument("--keep", type=Path, default=Path("build/malformed"), help="where files that fail are put")
    options = parser.parse_args(arguments)
    from dsl.diagnostics import Source
    from dsl.syntax import parse_file

    parse_file(Source("warm", "x"))  # so that the children need not build the parser
    failed = tried = 0
    with tempfile.TemporaryDirectory() as folder:
        for path in files(Path(folder), options.files, options.seed):
            tried += 1
            if found := verdict(path, options.load):
                failed += 1
                kept = options.keep / path.name
                if path.is_file():
                    options.keep.mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, kept)
                print(f"{kept}: {found}")
    print(f"{tried} files, {failed} treated badly (seed {options.seed})")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
