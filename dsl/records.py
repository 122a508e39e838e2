"""Dataclasses that cost little to declare: `dataclass`, `field`, `fields` and `replace` of the standard library, as far
as the package uses them (`tests/unit/test_records.py`).

The standard library compiles the methods of each class where it is declared: half a millisecond each, and there are
some two hundred, of which a program needs a few. Here `__init__` is compiled at the first instance, and the other
methods are one function for all classes. To type checkers these are the standard library's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass, field, fields, replace
else:

    def dataclass(cls=None, /, **options):
        return _declare(cls) if cls is not None else lambda cls: _declare(cls, **options)

    def field(*, default=..., default_factory=None, kw_only=False, compare=True, repr=True):
        return Field(default, default_factory, kw_only, compare, repr)

    def fields(of):
        return tuple(of.__dataclass_fields__.values())

    def replace(record, /, **changes):
        return type(record)(**{name: getattr(record, name) for name in record.__dataclass_fields__} | changes)

__all__ = ["dataclass", "field", "fields", "replace"]


class Field:
    """What is known of a field; `default` is `...` where there is none."""

    __slots__ = ("compare", "default", "factory", "kw_only", "name", "repr")

    def __init__(
        self, default: Any, factory: Callable[[], Any] | None = None, kw_only: bool = False, compare: bool = True,
        repr: bool = True,
    ) -> None:  # fmt: skip
        self.name = ""
        self.default = default
        self.factory = factory
        self.kw_only = kw_only
        self.compare = compare
        self.repr = repr


def _declare(cls: Any, *, frozen: bool = False, slots: bool = False, eq: bool = True) -> type:
    space = dict(cls.__dict__)
    inherited: dict[str, Field] = {}
    for base in reversed(cls.__mro__[1:]):
        inherited |= base.__dict__.get("__dataclass_fields__", {})
    found = inherited | {name: _field(name, space.get(name, ...)) for name in cls.__annotations__}
    methods: dict[str, Any] = {
        "__match_args__": tuple(name for name, f in found.items() if not f.kw_only),
        "__repr__": _text,
        "__init__": None,  # below
    }
    if frozen:
        methods |= {"__setattr__": _refuse_to_set, "__delattr__": _refuse_to_delete}
    if eq:
        methods |= {"__eq__": _equal, "__hash__": _hash if frozen else None}
        if "__eq__" in space and space["__hash__"] is None:
            del space["__hash__"]  # Python's, since there is `__eq__`
    methods = {name: method for name, method in methods.items() if name not in space}
    methods |= {"__dataclass_fields__": found, "_compared": _getter(name for name, f in found.items() if f.compare)}
    if slots:
        own = [name for name in found if name not in inherited]
        for name in (*own, "__dict__", "__weakref__"):
            space.pop(name, None)
        methods |= {"__slots__": tuple(own), "__getstate__": _state, "__setstate__": _restore}
        name = cls.__qualname__
        cls = type(cls)(cls.__name__, cls.__bases__, space | methods)
        cls.__qualname__ = name
    else:
        for name, value in methods.items():
            setattr(cls, name, value)
        for name, value in space.items():
            if isinstance(value, Field) and value.default is ...:
                delattr(cls, name)
            elif isinstance(value, Field):
                setattr(cls, name, value.default)
    if "__init__" in methods:
        _initialise_late(cls, frozen)
    made: type = cls
    return made


def _field(name: str, given: Any) -> Field:
    made = given if isinstance(given, Field) else Field(given)
    made.name = name
    return made


def _getter(names: Iterable[str]) -> Callable[[Any], Any]:
    """What is compared and hashed: a tuple, if need be with the class beside the only field; no field, the class."""
    compared = list(names)
    return attrgetter(*compared, *["__class__"] * (len(compared) < 2))


# ---------------------------------------------------------------- methods


def _initialise_late(cls: Any, frozen: bool) -> None:
    def __init__(self: object, *args: object, **given: object) -> None:
        cls.__init__ = written = _written(cls, frozen)
        written(self, *args, **given)

    cls.__init__ = __init__


def _written(cls: Any, frozen: bool) -> Callable[..., None]:
    """`__init__` of a class."""
    found = cls.__dataclass_fields__.values()
    space: dict[str, Any] = {"_set": object.__setattr__, "_none": object()}
    lines = []
    parameters: dict[bool, list[str]] = {False: [], True: []}
    for k, f in enumerate(found):
        default = ""
        value = f.name
        if f.factory is not None:
            space[f"_factory{k}"] = f.factory
            default, value = "=_none", f"_factory{k}() if {f.name} is _none else {f.name}"
        elif f.default is not ...:
            space[f"_default{k}"] = f.default
            default = f"=_default{k}"
        parameters[f.kw_only].append(f.name + default)
        lines.append(f"_set(self, {f.name!r}, {value})" if frozen else f"self.{f.name} = {value}")
    if hasattr(cls, "__post_init__"):
        lines.append("self.__post_init__()")
    star = ["*"] if parameters[True] else []
    head = ", ".join(["self", *parameters[False], *star, *parameters[True]])
    exec(f"def __init__({head}):\n " + "\n ".join(lines or ["pass"]), space)
    written: Callable[..., None] = space["__init__"]
    written.__qualname__ = f"{cls.__qualname__}.__init__"
    return written


def _equal(self: Any, other: Any) -> Any:
    if self is other:
        return True
    if self.__class__ is not other.__class__:
        return NotImplemented
    compared = self.__class__._compared
    return compared(self) == compared(other)


def _hash(self: Any) -> int:
    return hash(self.__class__._compared(self))


@recursive_repr()
def _text(self: Any) -> str:
    shown = [f"{name}={getattr(self, name)!r}" for name, f in self.__dataclass_fields__.items() if f.repr]
    return f"{self.__class__.__qualname__}({', '.join(shown)})"


def _refuse_to_set(self: object, name: str, value: object) -> None:
    raise AttributeError(f"cannot assign to field {name!r}")


def _refuse_to_delete(self: object, name: str) -> None:
    raise AttributeError(f"cannot delete field {name!r}")


def _state(self: Any) -> list[Any]:
    return [getattr(self, name) for name in self.__dataclass_fields__]


def _restore(self: Any, state: list[Any]) -> None:
    for name, value in zip(self.__dataclass_fields__, state, strict=True):
        object.__setattr__(self, name, value)
