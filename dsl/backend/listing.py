"""Listings for people: one function out of LLVM's text of a module, without what only the compiler needs."""

from __future__ import annotations

import re

from dsl.backend.function import identifier
from dsl.backend.layout import register_type
from dsl.backend.signature import Signature

_NAME = r'(?:"[^"]*"|[-\w$.]+)'
_METADATA = re.compile(r", ![a-z.]+ !\d+|(?<=\)) #\d+|\s*; preds = .*")
_ESCAPES = re.compile(r"(?:\\[0-9A-F]{2})+")


def function_of(module: str, root: Signature, name: str) -> str:
    """The definition of a function in LLVM's text of its module, under the name it has in the program unless the
    module calls another function of that name."""
    lines = module.splitlines()
    symbol = f"{identifier('@', root.symbol)}("
    start = next(k for k, line in enumerate(lines) if line.startswith("define ") and symbol in line)
    end = lines.index("}", start)
    body = [_METADATA.sub("", line) for line in lines[start + 1 : end]]
    if body[0] == "entry:" and not any("%entry" in line for line in body):
        del body[0]
    text = "\n".join([_head(lines[start], symbol, root), *body, "}"])
    if f"@{name}(" not in module:
        text = text.replace(symbol, f"{identifier('@', name)}(")
    return _ESCAPES.sub(_character, text) + "\n"


def _head(line: str, symbol: str, root: Signature) -> str:
    """The first line, with the types of the parameters and their names alone."""
    types = ["ptr"] * root.context + [register_type(t) for t in root.params] + ["ptr"] * root.indirect
    names = re.findall(f"%{_NAME}", line[line.index(symbol) + len(symbol) :])
    params = ", ".join(f"{t} {n}" for t, n in zip(types, names, strict=True))
    return f"define {root.gives} {symbol}{params}) {{"


def _character(escaped: re.Match[str]) -> str:
    """Names are written with their own letters."""
    return bytes.fromhex(escaped[0].replace("\\", "")).decode("utf-8", "replace")


def assembly_of(text: str, root: Signature) -> str:
    """The machine code of a function in the assembly of its module, without directives."""
    lines = text.splitlines()
    label = root.symbol if re.fullmatch(r"[\w$.]+", root.symbol, re.ASCII) else f'"{root.symbol}"'
    start = next(k for k, line in enumerate(lines) if line.startswith((f"{label}:", f"_{label}:")))
    shown = []
    for line in lines[start:]:
        if line.startswith((".Lfunc_end", "Lfunc_end")):
            break
        plain = line.split("#", 1)[0].rstrip() if line.lstrip().startswith("#") else line
        if plain and not re.match(r"\s+\.(?!quad|long|byte)|\.L(tmp|func)", plain):
            shown.append(plain)
    return "\n".join(shown) + "\n"
