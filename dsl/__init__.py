"""dfl: a small statically compiled, differentiable language.

    import dsl
    m = dsl.load("model.dfl")
    m.f(2.0)                    # a native call
    dsl.gradient(m.f, 2.0)      # a tuple, one entry an argument

The public names are loaded when they are first used, so that importing the package costs nothing.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dsl.api import Module as Module
    from dsl.api import derivative as derivative
    from dsl.api import grad as grad
    from dsl.api import gradient as gradient
    from dsl.api import hessian as hessian
    from dsl.api import hvp as hvp
    from dsl.api import jacfwd as jacfwd
    from dsl.api import jacobian as jacobian
    from dsl.api import jacrev as jacrev
    from dsl.api import jvp as jvp
    from dsl.api import load as load
    from dsl.api import loads as loads
    from dsl.api import pushforward as pushforward
    from dsl.api import taylor as taylor
    from dsl.api import value_and_grad as value_and_grad
    from dsl.api import vjp as vjp
    from dsl.api import vmap as vmap
    from dsl.check import check_grads as check_grads
    from dsl.diagnostics import DslError as DslError
    from dsl.diagnostics import DslErrors as DslErrors
    from dsl.diagnostics import PerformanceWarning as PerformanceWarning
    from dsl.functions import Function as Function
    from dsl.runtime.convert import Record as Record
    from dsl.runtime.convert import String as String
    from dsl.runtime.pool import release_memory as release_memory
    from dsl.sparse import sparse_hessian as sparse_hessian
    from dsl.sparse import sparse_jacobian as sparse_jacobian

__version__ = "0.1.0"

_HOMES: dict[str, str] = {
    **dict.fromkeys(("load", "loads", "Module"), "dsl.api"),
    **dict.fromkeys(("gradient", "jvp", "vjp", "hvp", "pushforward", "derivative", "taylor"), "dsl.api"),
    **dict.fromkeys(("grad", "value_and_grad", "jacobian", "jacfwd", "jacrev", "hessian", "vmap"), "dsl.api"),
    "check_grads": "dsl.check",
    **dict.fromkeys(("sparse_jacobian", "sparse_hessian"), "dsl.sparse"),
    **dict.fromkeys(("DslError", "DslErrors", "PerformanceWarning"), "dsl.diagnostics"),
    **dict.fromkeys(("Record", "String"), "dsl.runtime.convert"),
    "release_memory": "dsl.runtime.pool",
    "Function": "dsl.functions",
}


@contextmanager
def importing() -> Iterator[None]:
    """The garbage collector waits: nearly all that modules make stays, and it would go through that again and again.
    It counts as old when it is there; so does what else is young then."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            if hasattr(gc, "freeze") and gc.get_freeze_count() == 0:  # else somebody wants what is frozen to stay so
                gc.freeze()
                gc.unfreeze()
            gc.enable()


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'dsl' has no attribute {name!r}")
    with importing():
        value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*_HOMES, "__version__"])
