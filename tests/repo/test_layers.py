"""Imports point downwards only: every `import` of the package is compared with the order of the layers."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "dsl"

# From the lowest layer to the highest. A module belongs to its longest matching prefix; modules of one prefix may
# import each other, modules of different prefixes only downwards, never sideways.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("dsl",),  # imports nothing: the public names are loaded when they are used
    ("dsl.records",),
    ("dsl.diagnostics", "dsl.userfiles"),
    ("dsl.types", "dsl.store", "dsl.options"),
    ("dsl.ir",),
    ("dsl.ops", "dsl.syntax"),
    ("dsl.ir.text",),  # reads the tables of primitives
    ("dsl.ir.verifier",),
    ("dsl.analysis",),
    ("dsl.lower",),
    ("dsl.passes",),
    ("dsl.ad", "dsl.interp", "dsl.backend"),
    ("dsl.runtime",),
    ("dsl.driver", "dsl.trees", "dsl.programs"),
    ("dsl.copies",),
    ("dsl.functions",),
    ("dsl.workspace", "dsl.points"),
    ("dsl.api", "dsl.repl", "dsl.check", "dsl.sparse"),
    ("dsl.cli",),
    ("dsl.__main__",),
)
RANK = {prefix: level for level, prefixes in enumerate(LAYERS) for prefix in prefixes}

# Imports of the package inside functions, each with its reason: (module, imported module).
LAZY = {
    ("dsl.cli.main", "dsl.cli.output"): "error reports are not needed for good programs",
    ("dsl.cli.main", "dsl.diagnostics.bugs"): "nor are reports of bugs",
    ("dsl.cli.main", "dsl.cli.calls"): "only two commands have calls that may be known",
    ("dsl.workspace", "dsl.driver"): "a program that is known from an earlier process is not compiled again",
    ("dsl.workspace", "dsl.syntax.ast"): "nor read",
    ("dsl.workspace", "dsl.syntax.show"): "nor listed, as a rule",
    ("dsl.runtime.kept", "dsl.runtime.llvm"): "the same as for the engine",
    ("dsl.interp", "dsl.interp.machine"): "memory in Python is of its kind, also where nothing is interpreted",
    ("dsl.runtime.engine", "dsl.backend.emit"): "kept code is not made again",
    ("dsl.runtime.support", "dsl.backend.support"): "the same as for the engine",
    ("dsl.runtime.objects", "dsl.runtime.llvm"): "the same as for the engine",
    ("dsl.runtime.processor", "dsl.runtime.llvm"): "most systems say themselves what the processor can",
    ("dsl.store", "dsl.diagnostics"): "there is nothing to warn of, as a rule",
    ("dsl.syntax.parser", "dsl.syntax.grammar"): "Lark is needed only where the grammar is newer than its tables",
    ("dsl.runtime.engine", "dsl.runtime.llvm"): "listings of SSA and interpreted values need no LLVM",
    ("dsl.runtime.engine", "dsl.backend.listing"): "most code is never looked at",
    ("dsl.driver", "dsl.ir.text"): "the same",
    ("dsl.driver", "dsl.ir.verifier"): "only developers check the invariants",
    ("dsl.passes.pipeline", "dsl.ir.verifier"): "the same",
    ("dsl.diagnostics.codes", "dsl.diagnostics.pages"): "pages are needed where an error is explained",
    ("dsl.runtime.pool", "dsl.runtime.support"): "what has kept no memory has none to give back",
    ("dsl.runtime.native", "dsl.runtime.llvm"): "the same as for the engine",
    ("dsl.runtime.support", "dsl.runtime.llvm"): "the same as for the engine",
}
# Third-party packages that are slow to import: where each may be imported at all.
HEAVY = {"lark": ("dsl.syntax.grammar",), "llvmlite": ("dsl.backend", "dsl.runtime"), "numpy": ("dsl.runtime",)}


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def layer(module: str) -> str:
    """The longest prefix of LAYERS that a module belongs to."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        prefix = ".".join(parts[:length])
        if prefix in RANK and (prefix != "dsl" or module == "dsl"):
            return prefix
    raise AssertionError(f"{module} is in no layer: add it to LAYERS")


def imports(tree: ast.Module) -> Iterator[tuple[str, bool]]:
    """(imported module, whether inside a function) for every import, those for type checking only left out."""
    stack: list[tuple[ast.AST, bool]] = [(tree, False)]
    while stack:
        node, inside = stack.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, inside
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the layer"
            assert node.module is not None
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield (full if full in MODULES else node.module), inside
        inside = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        stack += [(child, inside) for child in ast.iter_child_nodes(node)]


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_downwards(module: str) -> None:
    own = layer(module)
    for target, inside in imports(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        top = target.split(".")[0]
        if top in HEAVY:
            assert module.startswith(HEAVY[top]), f"{module} imports {top}"
        if top != "dsl":
            continue
        theirs = layer(target)
        assert own == theirs or RANK[theirs] < RANK[own], f"{module} ({own}) imports {target} ({theirs}): upwards"
        assert not inside or (module, target) in LAZY, f"{module} imports {target} inside a function"


def test_the_list_of_lazy_imports_is_used() -> None:
    found = {
        (module, target)
        for module, path in MODULES.items()
        for target, inside in imports(ast.parse(path.read_text(encoding="utf-8")))
        if inside
    }
    assert set(LAZY) <= found


def test_every_layer_exists() -> None:
    for prefix in RANK:
        assert prefix in MODULES, prefix
