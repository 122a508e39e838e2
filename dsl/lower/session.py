"""A session: one source text (and what it includes), its definitions, its globals, and entries made from it.

What the driver gives
    Session(source, parse, evaluate, *, out=None, read=None)
        parse(Source) -> ast.File                 `dsl.syntax.parse_file`
        evaluate(entry) -> list of leaf values    compiles or interprets an entry without parameters and runs it
        read(path) -> Source                      for `include` (default: `dsl.syntax.files.read_source`'s result is
                                                  handed in by the driver)
What the driver gets
    session.load(print_expressions=False)         runs the top level in order: globals, constants, loops. A bare
                                                  expression is skipped; with print_expressions it is evaluated and
                                                  shown (the entry itself prints, through `print` ops)
    session.define(file: ast.File, print_expressions=True)     the same for further input, as typed at a prompt
    session.call_entry(name, arg_types, keywords=()) -> Entry  name(args…; keywords…); `name` is any function visible
                                                  in the session, builtins like `gradient` included; arg_types are
                                                  language types (also function types); keywords are (name, type) pairs
    session.value_call_entry(callee: LangType, arg_types, keywords=()) -> Entry
                                                  the same for a function value of this type: the leaves of `callee`
                                                  come before the leaves of the arguments
    session.eval_entry(expr: ast.Expr) -> Entry   an expression as a function without parameters
    session.code_entry(expr: ast.Expr) -> Entry   for code_*: the outermost call of the expression becomes the
                                                  function; arguments with leaves (numbers) become parameters
    session.functions() -> list of names          the functions and constructors of the user, in order of definition
    session.globals: dict[str, Global]            Global(type, leaves): top-level values, leaves as `evaluate` gave them
    session.value_of(name) -> Global              a global, or the value of a function or type by its name
    session.doc(name) -> str                      "" where there is none
    session.structs: dict[str, …]                 constructors are called by `call_entry("Point", …)`

Entry
    program    ir.Program with the raw SSA of everything reachable from `name` (the driver clones it before passes)
    name       the root function's name in it; its leaf parameters are the leaves of `arg_types`, in order
    arg_types  language types of the parameters
    result     the language type of the result; the root returns its leaves
    globals    name -> leaves for the `global` ops in the program (op attrs name and index)

All errors are DslErrors. Lowering leaves a session as it was when it fails.
"""
