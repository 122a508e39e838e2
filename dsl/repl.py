"""The interactive session: reads until the input is complete, evaluates it in the program, prints what it gives.

    dfl> f(x) = 5*sin(x)         definitions become part of the session
    dfl> f'(π)                   values are printed in the language's notation; a `;` at the end keeps them quiet
    dfl> @code_llvm f'(π)        the code at every stage: @code_ast @code_lowered @code_typed @code_warntype
                                 @code_adjoint @code_plan @code_llvm @code_native
    dfl> ?f                      documentation

Ctrl-C drops the input or stops what runs, Ctrl-D leaves. An error never ends the session, not even one of dfl itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from dsl.diagnostics import CODES, DslError
from dsl.diagnostics.bugs import bug_report
from dsl.ops import PRIMITIVES
from dsl.syntax import is_incomplete
from dsl.workspace import Workspace

PROMPT, CONTINUATION = "dfl> ", "...  "
HELP = """\
Type an expression to see its value, or a definition to add it to the session.

  ?name               the documentation of a function of yours; ?E0401 explains an error code
  @code_llvm f(2.0)   the LLVM IR of a call; so do @code_ast, @code_lowered, @code_typed, @code_adjoint, @code_plan
                      and @code_native for the other stages
  Ctrl-C              drops what was typed; Ctrl-D leaves (so do exit and quit)"""
MACROS = {
    "@code_ast": "ast",
    "@code_lowered": "lowered",
    "@code_typed": "typed",
    "@code_warntype": "typed",
    "@code_adjoint": "adjoint",
    "@code_plan": "plan",
    "@code_llvm": "llvm",
    "@code_native": "native",
}


class Repl:
    """One session. `read(prompt)` gives a line of input and raises EOFError at its end."""

    def __init__(
        self,
        work: Workspace,
        read: Callable[[str], str] | None = None,
        show_error: Callable[[DslError], None] | None = None,
        show_code: Callable[[str, str], None] | None = None,
    ) -> None:
        self.work = work
        self.read = read or line_reader()
        self.show_error = show_error or (lambda error: print(error.render(), file=sys.stderr))
        self.show_code = show_code or (lambda text, stage: print(text))
        self.inputs = 0

    def run(self) -> int:
        """Read and evaluate until the input ends; gives the exit code."""
        if sys.stdin.isatty():
            print("dfl – ? shows help, Ctrl-D leaves")
        while True:
            try:
                text = self.next_input()
            except EOFError:
                return 0
            except KeyboardInterrupt:
                print()
                continue
            if text.strip() in ("exit", "quit", "exit()", "quit()"):
                return 0
            self.evaluate(text)

    def next_input(self) -> str:
        """One complete input, which may go over several lines."""
        text = self.read(PROMPT)
        while is_incomplete(text):
            text += "\n" + self.read(CONTINUATION)
        return text

    def evaluate(self, text: str) -> None:
        """Do what one input asks for; an error is shown."""
        try:
            self._evaluate(text.strip())
        except DslError as error:
            self.show_error(error)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
        except Exception as bug:
            print(bug_report(bug), file=sys.stderr)

    def _evaluate(self, text: str) -> None:
        self.inputs += 1
        macro, _, rest = text.partition(" ")
        if text.startswith("?"):
            print(self.help(text[1:].strip()))
        elif macro in MACROS:
            stage = MACROS[macro]
            self.show_code(self.work.code(stage, rest), stage)
        elif text:
            self.work.define(text, f"<input {self.inputs}>", print_expressions=not text.endswith(";"))

    def help(self, name: str) -> str:
        """What `?name` shows."""
        if not name:
            return HELP
        if name in CODES:
            return CODES[name].explain()
        primitive = PRIMITIVES.get(name)
        return self.work.doc(name) or (primitive.doc if primitive else f"{name} has no documentation")


def line_reader() -> Callable[[str], str]:
    """Lines from the terminal, with history where a library for it is there; plain lines from a pipe."""
    if not sys.stdin.isatty():
        return _plain_line
    history = Path(os.environ.get("XDG_STATE_HOME", Path.home() / ".local" / "state")) / "dfl" / "history"
    try:
        history.parent.mkdir(parents=True, exist_ok=True)
    except OSError:  # a home that cannot be written: history lasts as long as the session
        history = Path(os.devnull)
    try:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.history import FileHistory
    except ImportError:
        return _readline_reader(history)
    session: PromptSession[str] = PromptSession(history=FileHistory(str(history)))

    def line(prompt: str) -> str:
        return str(session.prompt(prompt))

    return line


def _readline_reader(history: Path) -> Callable[[str], str]:
    try:
        import readline
    except ImportError:
        return input
    import atexit

    if history.is_file():
        readline.read_history_file(history)
    atexit.register(readline.write_history_file, history)
    return input


def _plain_line(prompt: str) -> str:
    """A line of a pipe; the prompt would be noise there."""
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.rstrip("\n")
