"""What is kept of a program that has been loaded, so that a later process need not read it: the names that it defines,
what it printed, and by what its specialisations are known in the user's store.

A record is found by the program's own text; it names the files that were included with the digests of their texts, and
holds only while these are the same.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dsl.diagnostics import DslError, Source
from dsl.options import Options
from dsl.runtime.kept import Unkeepable, keepable_leaves, read_type, written_type
from dsl.store import digest, fingerprint, store
from dsl.types import LangType, all_interned, intern

KIND = "program"


class Program:
    """A loaded program from outside. `included`: the texts by path; `globals`: types and leaves of the top-level
    values, where these are numbers and the like (None: not known here)."""

    def __init__(
        self,
        key: str,
        included: Mapping[str, Source],
        printed: Sequence[str],
        functions: Sequence[str],
        globals: Mapping[str, tuple[LangType, tuple[Any, ...]] | None],
        docs: Mapping[str, str],
        generation: int,
    ) -> None:
        self.included = included
        self.printed = printed
        self.functions = functions
        self.globals = globals
        self.docs = docs
        self.generation = generation
        self.identity = digest(key, *(part for path, source in included.items() for part in (path, source.text)))


def key_of(source: Source, options: Options, shown: bool) -> str:
    """What a program is found by. `shown`: the values of its bare expressions are printed."""
    return digest(fingerprint(), source.name, source.text, repr(options.told()), str(shown))


def find(source: Source, options: Options, shown: bool, read: Callable[[str], Source]) -> Program | None:
    """What was kept of a program, if nothing has changed; `read` gives the text of a file."""
    kept = store() if options.cache else None
    if kept is None:
        return None
    key = key_of(source, options, shown)
    record = kept.get(KIND, key)
    if record is None:
        return None
    manifest, printed, functions, globals_, docs, generation, texts = marshal.loads(record)
    included = {}
    for path, wanted in manifest:
        try:
            included[path] = read(path)
        except DslError:
            return None
        if digest(included[path].text) != wanted:
            return None
    for text in texts:
        intern(text)
    values = {name: None if g is None else (read_type(g[0]), g[1]) for name, g in globals_.items()}
    return Program(key, included, printed, functions, values, docs, generation)


def of_session(session: Any, key: str, included: Mapping[str, Source], printed: Sequence[str]) -> Program:
    """A program that has just been loaded."""
    functions = session.functions()
    docs = {name: doc for name in functions if (doc := session.doc(name))}
    values = {name: (g.type, g.leaves) for name, g in session.globals.items()}
    return Program(key, included, printed, functions, values, docs, session.generation)


def keep(program: Program, key: str) -> None:
    """Keep it for other processes."""
    kept = store()
    if kept is not None:
        manifest = [(path, digest(source.text)) for path, source in program.included.items()]
        globals_ = {name: _written_value(g) for name, g in program.globals.items()}
        record = (
            manifest, list(program.printed), list(program.functions), globals_, dict(program.docs), program.generation,
            all_interned(),
        )  # fmt: skip
        kept.put(KIND, key, marshal.dumps(record))


def _written_value(value: tuple[LangType, tuple[Any, ...]] | None) -> Any:
    if value is None or not keepable_leaves(*value):
        return None
    try:
        return written_type(value[0]), tuple(value[1])
    except Unkeepable:
        return None
