"""What is kept of a program that has been loaded, so that a later process need not read it: the names that it defines,
its top-level values, what it printed, and by what its specialisations are known in the user's store.

A record is found by the program's own text; it names the files that were included with the digests of their texts, and
holds only while these are the same.
"""

from __future__ import annotations

import marshal
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dsl.diagnostics import DslError, Source
from dsl.interp import Memory
from dsl.options import Options
from dsl.runtime.buffers import Buffer, Flat
from dsl.runtime.kept import Unkeepable, read_leaves, read_type, written_leaves, written_type
from dsl.runtime.processor import fuses
from dsl.store import digest, fingerprint, store
from dsl.types import LangType, Mem, all_interned, intern, is_ref, leaves

KIND = "program"


class Program:
    """A loaded program from outside. `included`: the texts by path; `globals`: types and leaves of the top-level
    values (None: not known here). Memory is known of all of them or of none, since they may share it."""

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
    # what reverse mode keeps (`ad/decide.py`, `ad/blocks.py`)
    plan = " ".join(os.environ.get(name, "") for name in ("DFL_PLAN", "DFL_CHECKPOINT"))
    told = repr(options.told()), str(fuses(options)), str(shown)
    return digest(fingerprint(), source.name, source.text, *told, plan)


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
    values = _read_values(*globals_)
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
        globals_ = _written_values(program.globals)
        record = (
            manifest, list(program.printed), list(program.functions), globals_, dict(program.docs), program.generation,
            all_interned(),
        )  # fmt: skip
        kept.put(KIND, key, marshal.dumps(record))


# ---------------------------------------------------------------- top-level values

Values = Mapping[str, tuple[LangType, tuple[Any, ...]] | None]


def memory_can_be_kept(values: Values) -> bool:
    """Whether all memory behind top-level values can be written down: records of numbers, behind types that have names
    elsewhere. (What has none may share memory with what has.)"""
    return all(value is None or not refers(value[0]) or _writable(*value) for value in values.values())


def refers(t: LangType) -> bool:
    """Whether there is memory behind values of a type."""
    return any(is_ref(leaf) for leaf in leaves(t))


def _writable(t: LangType, parts: Sequence[Any]) -> bool:
    try:
        written_type(t)
    except Unkeepable:
        return False
    return all(
        not is_ref(leaf) or (isinstance(leaf, Mem) and isinstance(part, Memory) and not any(map(is_ref, leaf.fields)))
        for leaf, part in zip(leaves(t), parts, strict=True)
    )


def _written_values(values: Values) -> Any:
    """The values by name, and the memories that they refer to by number."""
    memories: dict[int, tuple[int, Any]] = {}
    with_memory = memory_can_be_kept(values)

    def part(value: Any) -> Any:
        if not isinstance(value, Memory):
            return value
        number, _ = memories.setdefault(id(value), (len(memories), _written_memory(value)))
        return (number,)

    written = {
        name: (written_type(value[0]), tuple(map(part, value[1])))
        if value is not None and _writable(*value) and (with_memory or not refers(value[0])) else None
        for name, value in values.items()
    }  # fmt: skip
    return written, [memory for _, memory in memories.values()]


def _read_values(written: Any, memories: Any) -> Values:
    made = [_read_memory(*memory) for memory in memories]
    return {
        name: None if value is None
        else (read_type(value[0]), tuple(made[part[0]] if isinstance(part, tuple) else part for part in value[1]))
        for name, value in written.items()
    }  # fmt: skip


def _written_memory(memory: Memory) -> Any:
    """What it is made of again, in the same form: native code uses records of numbers where they lie."""
    if isinstance(memory, Flat):
        return written_leaves(memory.fields), bytes(memory), memory.length
    return None, [list(row) for row in memory.rows], memory.growable


def _read_memory(fields: Any, content: Any, more: Any) -> Memory:
    return Memory(content, more) if fields is None else Buffer(read_leaves(fields), bytearray(content), more)
