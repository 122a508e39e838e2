"""Names: which variable each name means, what closures capture, and which captured variables need a box.

`analyse` looks at a whole function once, before it is lowered for any types. It guarantees: every scope that lowering
will enter (function, loop body, `let`, generator) is in `children` of its parent under the identity of its node; a
name assigned anywhere in a function is local in all of it; a loop body is a scope of its own whose new names are fresh
in each iteration.

A captured variable is *boxed* where a closure could see a later assignment to it: it is assigned in a closure, or
after a closure was made (in the text, or by going round a loop). All others are captured by value. Local functions
(named ones, and variables whose only assignment is a lambda) are not captured at all: what they capture is captured
instead, also by the functions that mention them, so recursion among them needs no boxes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dsl.records import dataclass, field, fields
from dsl.syntax import ast


@dataclass(eq=False)
class Var:
    """A variable. `functions` are its definitions where it is a local function; `annotation` is the type that
    `x::T = …` gives it, to which all its values are converted."""

    name: str
    scope: Scope
    boxed: bool = False
    annotation: ast.Node | None = None
    functions: list[FunctionScope] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"<{self.name}>"


@dataclass(eq=False)
class _Assignment:
    position: int
    scope: Scope
    function: FunctionScope | None
    arms: tuple[int, ...]


class Scope:
    """A function body, loop body, `let` or generator. `assigned` are the variables from further out, in the same
    function, that something in here assigns (or a scope in here)."""

    def __init__(self, parent: Scope | None, function: FunctionScope | None, is_loop: bool = False) -> None:
        self.parent = parent
        self.function: FunctionScope = function if function is not None else self  # type: ignore[assignment]
        self.is_loop = is_loop
        self.names: dict[str, Var] = {}
        self.children: dict[int, Scope] = {}
        self.assigned: dict[Var, None] = {}

    def declare(self, name: str) -> Var:
        return self.names.setdefault(name, Var(name, self))

    def lookup(self, name: str) -> Var | None:
        scope: Scope | None = self
        while scope is not None:
            found = scope.names.get(name)
            if found is not None:
                return found
            scope = scope.parent
        return None

    def chain(self) -> Iterator[Scope]:
        """This scope and those around it, inside out, across functions."""
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.parent

    def loops_up_to(self, outer: Scope) -> set[int]:
        """The loop scopes from here outwards that lie inside `outer`."""
        found = set()
        for scope in self.chain():
            if scope is outer:
                break
            if scope.is_loop:
                found.add(id(scope))
        return found


class FunctionScope(Scope):
    """A function's scope. `captures` are the variables of enclosing functions that it needs, boxed or by value."""

    def __init__(self, parent: Scope | None, node: ast.Node, position: int, transparent: bool = False) -> None:
        super().__init__(parent, None)
        self.node = node
        self.position = position
        self.transparent = transparent  # a generator: used up where it stands, so it sees no later assignment
        self.captures: dict[Var, None] = {}
        self.uses: dict[Var, None] = {}  # local functions of enclosing scopes that are mentioned


def analyse(
    node: ast.Node, params: Sequence[ast.Param], body: ast.Node, preset: Sequence[str] = ()
) -> FunctionScope:
    """The scopes of a function. `preset` are variables that have a value on entry (globals that a top-level statement
    assigns)."""
    walker = _Walker()
    scope = FunctionScope(None, node, 0)
    walker.functions.append(scope)
    for name in preset:
        walker.assign(scope.declare(name), scope)
    walker.function_body(scope, params, body)
    walker.finish()
    return scope


def assigned_names(node: ast.Node) -> dict[str, None]:
    """The names that a block assigns itself, not in loops, functions or `let` inside it."""
    names: dict[str, None] = {}
    _collect(node, names)
    return names


def declared_local(node: ast.Node) -> dict[str, None]:
    """The names that a block declares with `local`."""
    return {n: None for sub in _own(node) if isinstance(sub, ast.Local) and not sub.is_global for n in sub.names}


def _own(node: ast.Node) -> Iterator[ast.Node]:
    """The nodes of a block, not those of scopes inside it (their heads excepted)."""
    work = [node]
    while work:
        n = work.pop()
        yield n
        if isinstance(n, ast.Lambda | ast.FunctionDef | ast.Comprehension | ast.Let | ast.StructDef):
            continue
        if isinstance(n, ast.While):
            work.append(n.cond)
        elif isinstance(n, ast.For):
            work += [it.iterable for it in reversed(n.iterators)]
        else:
            work += reversed(list(children(n)))


def _collect(node: ast.Node, names: dict[str, None]) -> None:
    global_names: set[str] = set()
    for n in _own(node):
        match n:
            case ast.Assign() if not n.dotted:
                names.update(dict.fromkeys(target_names(n.target)))
            case ast.OpAssign() if not n.dotted:
                names.update(dict.fromkeys(target_names(n.target)))
            case ast.FunctionDef() if n.callee is None:
                names[n.name] = None
            case ast.Local():
                if n.is_global:
                    global_names.update(n.names)
                else:
                    names.update(dict.fromkeys(n.names))
    for g in global_names:
        names.pop(g, None)


def target_names(target: ast.Node) -> Iterator[str]:
    """The names that assigning to a target binds."""
    match target:
        case ast.Name():
            yield target.id
        case ast.Typed():
            yield from target_names(target.value)
        case ast.Tuple():
            for item in target.items:
                yield from target_names(item)
        case ast.NamedTuple():
            yield from target.names
        case ast.Splat():
            yield from target_names(target.value)


def children(node: ast.Node) -> Iterator[ast.Node]:
    """The nodes directly inside a node, in order."""
    for name in _FIELDS.get(type(node)) or _fields(type(node)):
        value = getattr(node, name)
        if isinstance(value, ast.Node):
            yield value
        elif isinstance(value, tuple):
            yield from _nodes(value)


def _nodes(items: tuple[object, ...]) -> Iterator[ast.Node]:
    for item in items:
        if isinstance(item, ast.Node):
            yield item
        elif isinstance(item, tuple):
            yield from _nodes(item)


_FIELDS: dict[type, tuple[str, ...]] = {}


def _fields(cls: type) -> tuple[str, ...]:
    names = tuple(f.name for f in fields(cls) if f.name != "span")
    _FIELDS[cls] = names
    return names


class _Walker:
    """Walks a function in the order of evaluation, resolving names and noting where things happen."""

    def __init__(self) -> None:
        self.position = 0
        self.functions: list[FunctionScope] = []
        self.assignments: dict[Var, list[_Assignment]] = {}
        self.arms: list[int] = []

    # ------------------------------------------------------------ scopes
    def function_body(self, scope: FunctionScope, params: Sequence[ast.Param], body: ast.Node) -> None:
        for p in params:
            for name in (p.name, *(target_names(p.target) if p.target is not None else ())):
                if name:
                    scope.names[name] = Var(name, scope)
        for p in params:
            if p.default is not None:
                self.visit(p.default, scope)
            for name in (p.name, *(target_names(p.target) if p.target is not None else ())):
                if name:
                    self.assign(scope.names[name], scope)
        self.declare_assigned(scope, body)
        self.visit(body, scope)

    def declare_assigned(self, scope: Scope, body: ast.Node) -> None:
        """Names assigned in the body become variables of its scope, unless they are so further out already."""
        forced = declared_local(body)
        for name in assigned_names(body):
            if name in forced or scope.lookup(name) is None:
                scope.declare(name)

    def inner_function(
        self, node: ast.Node, params: Sequence[ast.Param], body: ast.Node, scope: Scope, transparent: bool = False
    ) -> FunctionScope:
        self.position += 1
        inner = FunctionScope(scope, node, self.position, transparent)
        scope.children[id(node)] = inner
        self.functions.append(inner)
        arms, self.arms = self.arms, []
        self.function_body(inner, params, body)
        self.arms = arms
        return inner

    def block(self, node: ast.Node, scope: Scope, is_loop: bool) -> Scope:
        inner = Scope(scope, scope.function, is_loop)
        scope.children[id(node)] = inner
        return inner

    # ------------------------------------------------------------ events
    def assign(self, var: Var, scope: Scope, function: FunctionScope | None = None) -> None:
        self.position += 1
        event = _Assignment(self.position, scope, function, tuple(self.arms))
        self.assignments.setdefault(var, []).append(event)
        for s in scope.chain():
            if s is var.scope or isinstance(s, FunctionScope):
                break
            s.assigned[var] = None

    def use(self, name: str, scope: Scope) -> Var | None:
        var = scope.lookup(name)
        if var is not None:
            self.mention(var, scope)
        return var

    def mention(self, var: Var, scope: Scope) -> None:
        """A variable of an enclosing function is captured by all the functions in between."""
        fn = scope.function
        while fn is not var.scope.function:
            fn.uses[var] = None
            assert fn.parent is not None
            fn = fn.parent.function

    # ------------------------------------------------------------ nodes
    def visit(self, node: ast.Node, scope: Scope) -> None:
        handler = getattr(self, f"visit_{type(node).__name__}", None)
        if handler is not None:
            handler(node, scope)
        else:
            for child in children(node):
                self.visit(child, scope)

    def visit_Name(self, node: ast.Name, scope: Scope) -> None:
        self.use(node.id, scope)

    def visit_Assign(self, node: ast.Assign, scope: Scope) -> None:
        function: FunctionScope | None = None
        if isinstance(node.value, ast.Lambda) and isinstance(node.target, ast.Name):
            function = self.inner_function(
                node.value, (*node.value.params, *node.value.keywords), node.value.body, scope
            )
        else:
            self.visit(node.value, scope)
        if node.dotted:
            self.visit(node.target, scope)
        else:
            self.target(node.target, scope, function)

    def visit_OpAssign(self, node: ast.OpAssign, scope: Scope) -> None:
        self.visit(node.target, scope)
        self.visit(node.value, scope)
        if not node.dotted:
            self.target(node.target, scope)

    def target(self, target: ast.Node, scope: Scope, function: FunctionScope | None = None) -> None:
        match target:
            case ast.Name():
                var = self.use(target.id, scope)
                if var is not None:
                    self.assign(var, scope, function)
            case ast.Typed():
                self.target(target.value, scope, function)
                var = scope.lookup(target.value.id) if isinstance(target.value, ast.Name) else None
                if var is not None:
                    var.annotation = target.type
            case ast.Tuple():
                for item in target.items:
                    self.target(item, scope)
            case ast.NamedTuple():
                for name in target.names:
                    self.target(ast.Name(name), scope)
            case ast.Splat():
                self.target(target.value, scope)
            case _:
                self.visit(target, scope)

    def visit_Local(self, node: ast.Local, scope: Scope) -> None:
        if node.value is not None:
            self.visit(node.value, scope)
            for name in node.names:
                var = scope.lookup(name)
                if var is not None and not node.is_global:
                    self.assign(var, scope)

    def visit_FunctionDef(self, node: ast.FunctionDef, scope: Scope) -> None:
        params = (*node.params, *node.keywords) if node.callee is None else (node.callee, *node.params, *node.keywords)
        inner = self.inner_function(node, params, node.body, scope)
        var = scope.lookup(node.name)
        if var is not None:
            self.assign(var, scope, inner)

    def visit_Lambda(self, node: ast.Lambda, scope: Scope) -> None:
        self.inner_function(node, (*node.params, *node.keywords), node.body, scope)

    def visit_If(self, node: ast.If, scope: Scope) -> None:
        self.visit(node.cond, scope)
        for k, arm in enumerate((node.then, node.orelse)):
            if arm is not None:
                self.arms.append(id(node) * 2 + k)
                self.visit(arm, scope)
                self.arms.pop()

    def visit_While(self, node: ast.While, scope: Scope) -> None:
        inner = self.block(node, scope, is_loop=True)
        self.visit(node.cond, inner)
        self.declare_assigned(inner, node.body)
        self.visit(node.body, inner)

    def visit_For(self, node: ast.For, scope: Scope) -> None:
        self.iterators(node, node.iterators, scope, lambda inner: self._for_body(node, inner))

    def _for_body(self, node: ast.For, inner: Scope) -> None:
        self.declare_assigned(inner, node.body)
        self.visit(node.body, inner)

    def iterators(
        self, node: ast.Node, iterators: Sequence[ast.Iterator_], scope: Scope, body: object
    ) -> None:
        """One loop scope an iterator, each inside the one before; the body is visited in the innermost."""
        for it in iterators:
            self.visit(it.iterable, scope)
            scope = self.block(it, scope, is_loop=True)
            for name in target_names(it.target):
                scope.names[name] = Var(name, scope)
                self.assign(scope.names[name], scope)
        body(scope)  # type: ignore[operator]

    def visit_Comprehension(self, node: ast.Comprehension, scope: Scope) -> None:
        self.position += 1
        inner = FunctionScope(scope, node, self.position, transparent=True)
        scope.children[id(node)] = inner
        self.functions.append(inner)

        def body(innermost: Scope) -> None:
            if node.condition is not None:
                self.visit(node.condition, innermost)
            self.declare_assigned(innermost, node.body)
            self.visit(node.body, innermost)

        self.iterators(node, node.iterators, inner, body)

    def visit_Let(self, node: ast.Let, scope: Scope) -> None:
        inner = self.block(node, scope, is_loop=False)
        for binding in node.bindings:
            self.visit(binding.value, inner)
            for name in target_names(binding.target):
                inner.names[name] = Var(name, inner)
                self.assign(inner.names[name], inner)
        self.declare_assigned(inner, node.body)
        self.visit(node.body, inner)

    # ------------------------------------------------------------ conclusions
    def finish(self) -> None:
        for var, events in self.assignments.items():
            self._local_function(var, events)
        self._close_captures()
        captured: dict[Var, list[FunctionScope]] = {}
        for fn in self.functions:
            for var in fn.captures:
                captured.setdefault(var, []).append(fn)
        for var, fns in captured.items():
            var.boxed = any(self._sees_later(var, e, fns) for e in self.assignments.get(var, ()))

    def _local_function(self, var: Var, events: list[_Assignment]) -> None:
        """A variable only ever bound to functions, all in one place, needs no run-time value of its own."""
        fns = [e.function for e in events if e.function is not None]
        if len(fns) != len(events) or len({e.arms for e in events}) > 1:
            return
        named = all(isinstance(f.node, ast.FunctionDef) for f in fns)
        if named or len(fns) == 1:
            var.functions = fns

    def _close_captures(self) -> None:
        """Captures of a function: the variables it uses, and the captures of the local functions it uses."""
        for fn in self.functions:
            fn.captures = {v: None for v in fn.uses if not v.functions}
        changed = True
        while changed:
            changed = False
            for fn in self.functions:
                for used in fn.uses:
                    for f in used.functions:
                        for var in f.captures:
                            if var not in fn.captures and not self._inside(var.scope, fn):
                                fn.captures[var] = None
                                changed = True

    @staticmethod
    def _inside(scope: Scope, fn: FunctionScope) -> bool:
        return any(s is fn for s in scope.chain())

    @staticmethod
    def _sees_later(var: Var, event: _Assignment, captured_by: list[FunctionScope]) -> bool:
        if event.scope.function is not var.scope.function:
            return True
        round_trip = event.scope.loops_up_to(var.scope)
        for fn in captured_by:
            if fn.transparent:
                continue
            if fn.position < event.position:
                return True
            if fn.parent is not None and round_trip & fn.parent.loops_up_to(var.scope):
                return True
        return False
