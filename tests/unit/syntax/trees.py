"""Trees as short s-expressions, so that a test shows source and tree on one line."""

from dsl.diagnostics import Source
from dsl.syntax import ast, parse_expression


def tree(text: str) -> str:
    return short(parse_expression(Source("<test>", text)))


def many(nodes: tuple[ast.Node, ...]) -> str:
    return " ".join(map(short, nodes))


def parameter(p: ast.Param) -> str:
    text = (short(p.target) if p.target else p.name) + (f"::{short(p.type)}" if p.type else "")
    return text + ("..." if p.variadic else "") + (f"={short(p.default)}" if p.default else "")


def parameters(params: tuple[ast.Param, ...], keywords: tuple[ast.Param, ...]) -> str:
    text = " ".join(map(parameter, params))
    return f"[{text}; {' '.join(map(parameter, keywords))}]" if keywords else f"[{text}]"


def short(node: ast.Node | str | None) -> str:
    match node:
        case None:
            return "_"
        case str():
            return repr(node)
        case ast.Number(value, single):
            return repr(value) + ("f0" if single else "")
        case ast.Bool(value):
            return str(value).lower()
        case ast.Nothing():
            return "nothing"
        case ast.Name(name):
            return name
        case ast.Symbol(name):
            return f":{name}"
        case ast.Colon():
            return "(all)"
        case ast.End():
            return "(end)"
        case ast.String(parts):
            return f"(text {' '.join(map(short, parts))})"
        case ast.Call(fn, args, keywords):
            tail = "".join(f" {k.name}={short(k.value)}" for k in keywords)
            return f"({short(fn)}{''.join(' ' + short(a) for a in args)}{tail})"
        case ast.DotCall(fn, args):
            return f"(.{short(fn)} {many(args)})"
        case ast.Prime(value):
            return f"({short(value)}')"
        case ast.Index(value, indices):
            return f"{short(value)}[{many(indices)}]"
        case ast.Field(value, name):
            return f"{short(value)}.{name}"
        case ast.TypeApply(base, params):
            return f"{short(base)}{{{many(params)}}}"
        case ast.SubtypeOf(bound):
            return f"<:{short(bound)}"
        case ast.TypeVar(name, bound):
            return name + (f"<:{short(bound)}" if bound else "")
        case ast.Typed(value, type_):
            return f"(:: {short(value)} {short(type_)})"
        case ast.Compare(operators, operands, dotted):
            return f"({'.' if dotted else ''}{','.join(operators)} {many(operands)})"
        case ast.And(left, right):
            return f"(&& {short(left)} {short(right)})"
        case ast.Or(left, right):
            return f"(|| {short(left)} {short(right)})"
        case ast.Tuple(items):
            return f"(tuple {many(items)})" if items else "(tuple)"
        case ast.NamedTuple(names, items):
            return f"(named {' '.join(f'{n}={short(i)}' for n, i in zip(names, items, strict=True))})"
        case ast.Range(start, step, stop):
            return f"(range {short(start)} {short(step)} {short(stop)})"
        case ast.Pair(left, right):
            return f"(=> {short(left)} {short(right)})"
        case ast.Splat(value):
            return f"{short(value)}..."
        case ast.ArrayLit(items, rows, eltype):
            kind = short(eltype) if eltype else "array"
            inside = " ; ".join(map(many, rows)) if rows is not None else many(items)
            return f"({kind}| {inside})" if rows is not None else f"({kind}[] {inside})"
        case ast.Comprehension(body, iterators, condition, generator, eltype):
            kind = "generator" if generator else short(eltype) if eltype else "comprehension"
            tail = f" if {short(condition)}" if condition else ""
            return f"({kind} {short(body)} {iterations(iterators)}{tail})"
        case ast.Lambda(params, body, keywords):
            return f"(-> {parameters(params, keywords)} {short(body)})"
        case ast.If(cond, then, orelse, ternary):
            return f"({'?' if ternary else 'if'} {short(cond)} {short(then)} {short(orelse)})"
        case ast.Block(statements):
            return f"{{{'; '.join(map(short, statements))}}}"
        case ast.Let(bindings, body):
            return f"(let [{many(bindings)}] {short(body)})"
        case ast.MacroCall(name, args):
            return f"(@{name}{''.join(' ' + short(a) for a in args)})"
        case ast.Assign(target, value, dotted):
            return f"({'.' if dotted else ''}= {short(target)} {short(value)})"
        case ast.OpAssign(op, target, value, dotted):
            return f"({'.' if dotted else ''}{op}= {short(target)} {short(value)})"
        case ast.While(cond, body):
            return f"(while {short(cond)} {short(body)})"
        case ast.For(iterators, body):
            return f"(for {iterations(iterators)} {short(body)})"
        case ast.Break():
            return "break"
        case ast.Continue():
            return "continue"
        case ast.Return(value):
            return f"(return {short(value)})" if value else "(return)"
        case ast.Local(names, value, is_global):
            tail = f" {short(value)}" if value else ""
            return f"({'global' if is_global else 'local'} {' '.join(names)}{tail})"
        case ast.FunctionDef():
            extra = ("adjoint " if node.adjoint else "") + (f"<{parameter(node.callee)}> " if node.callee else "")
            where = f" where {many(node.type_vars)}" if node.type_vars else ""
            result = f"::{short(node.result)}" if node.result else ""
            head = f"{node.name}{parameters(node.params, node.keywords)}{result}{where}"
            return f"(def {extra}{head} {short(node.body)})"
        case ast.StructDef():
            kind = "mutable" if node.mutable else "struct"
            variables = f"{{{many(node.type_vars)}}}" if node.type_vars else ""
            above = f" <: {short(node.supertype)}" if node.supertype else ""
            inner = "".join(" " + short(i) for i in node.inner)
            return f"({kind} {node.name}{variables}{above} [{' '.join(map(parameter, node.fields))}]{inner})"
        case ast.AbstractDef(name, supertype):
            return f"(abstract {name}{' <: ' + short(supertype) if supertype else ''})"
        case ast.Const(assign):
            return f"(const {short(assign)})"
        case ast.Import(module, names):
            return f"(import {module} {' '.join(names)})" if names else f"(import {module})"
        case ast.Include(path):
            return f"(include {path!r})"
    raise AssertionError(f"{type(node).__name__} has no short form")


def iterations(iterators: tuple[ast.Iterator_, ...]) -> str:
    return f"[{', '.join(f'{short(i.target)} in {short(i.iterable)}' for i in iterators)}]"
