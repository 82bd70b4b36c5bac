"""The decorator: each call of a function is a run, its arguments parameters, and the numbers it returns metrics."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from edgerun.errors import InputError
from edgerun_bundles.provenance.capture import attempt
from edgerun_bundles.provenance.metrics import metric_values
from edgerun_bundles.provenance.values import json_value

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgerun_bundles.provenance.run import Run

P = ParamSpec("P")
R = TypeVar("R")
_OWNERS = ("self", "cls")
_ITEMS_MAX = 100
"""An argument that holds more is data and no parameter: it is described, not kept."""


def tracked(function: Callable[P, R], template: Run) -> Callable[P, R]:
    """Return a function that does the same, and whose calls are kept.

    Raises:
        InputError: it is no function, or gives its results one by one.
    """
    if not callable(function) or inspect.isclass(function):
        raise InputError(f"track decorates functions, got {function!r:.60}")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise InputError(f"{function.__qualname__} gives its results one by one; use a with block inside it")
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def awaited(*args: P.args, **kwargs: P.kwargs) -> Any:
            with _begun(template, function, args, kwargs) as run:
                result = await function(*args, **kwargs)
                _keep_result(run, result)
                return result

        return cast("Callable[P, R]", awaited)

    @functools.wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        with _begun(template, function, args, kwargs) as run:
            result = function(*args, **kwargs)
            _keep_result(run, result)
            return result

    return called


def _begun(template: Run, function: Callable[..., Any], args: Any, kwargs: Any) -> Run:
    problems: list[str] = []
    parameters = attempt(problems, "the arguments are not kept", lambda: _arguments(function, args, kwargs))
    run = attempt(problems, "the arguments are not kept", lambda: template.again(parameters or {})) or template.again(
        {}
    )
    run.problems += problems
    run.name = run.name or getattr(function, "__qualname__", None)
    return run.start(attempt(run.problems, "the code's folder is not known", lambda: _folder(function)))


def _arguments(function: Callable[..., Any], args: Any, kwargs: Any) -> dict[str, Any]:
    try:
        bound = inspect.signature(function).bind(*args, **kwargs)
    except TypeError:  # the call itself will fail, and say how
        return {}
    bound.apply_defaults()
    kinds = {name: parameter.kind for name, parameter in bound.signature.parameters.items()}
    found: dict[str, Any] = {}
    for i, (name, value) in enumerate(bound.arguments.items()):
        if i == 0 and name in _OWNERS:
            continue
        if kinds[name] is inspect.Parameter.VAR_KEYWORD:
            found |= {inner: _argument(item) for inner, item in value.items()}
        elif kinds[name] is not inspect.Parameter.VAR_POSITIONAL or len(value):
            found[name] = _argument(value)
    return found


def _argument(value: Any) -> Any:
    """Return an argument if it is a parameter; of data, models and other objects, what they are."""
    shape = getattr(value, "shape", None)
    size = len(value) if hasattr(value, "__len__") else 0
    if not isinstance(value, str) and (size > _ITEMS_MAX or (shape is not None and len(shape) > 0)):
        return f"<{type(value).__name__} {tuple(shape) if shape is not None else size}>"
    try:
        return json_value(value, "argument")
    except InputError:
        return f"<{type(value).__module__}.{type(value).__qualname__}>"


def _keep_result(run: Run, result: Any) -> None:
    attempt(run.problems, "the result is not kept", lambda: _keep(run, result))


def _keep(run: Run, result: Any) -> None:
    """Keep the numbers in a mapping that was returned; it may hold other things too, which are nobody's mistake."""
    for name, value in result.items() if isinstance(result, Mapping) else ():
        try:
            numbers = metric_values({name: value})
        except InputError:
            continue
        run.log(numbers)


def _folder(function: Callable[..., Any]) -> Path | None:
    """Return where the function's file lies; None where it has none, as in a notebook or a shell."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    file = Path(code.co_filename) if code is not None else None
    return file.absolute().parent if file is not None and file.is_file() else None
