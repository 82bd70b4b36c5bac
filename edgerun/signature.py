"""What goes into a model and what comes out; whether two models may stand in for each other."""

from __future__ import annotations

from typing import NamedTuple

from edgerun._core.runtime import Model, Port, dtype_name
from edgerun.errors import GraphError, InputError, ModelError

Dims = tuple[int | str, ...] | None


class Signature(NamedTuple):
    """The inputs and outputs that a caller sees, in the order in which lanes hold them."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    @property
    def input_names(self) -> tuple[str, ...]:
        """The names of the inputs, in order."""
        return tuple(port.name for port in self.inputs)

    @property
    def output_names(self) -> tuple[str, ...]:
        """The names of the outputs, in order."""
        return tuple(port.name for port in self.outputs)

    @classmethod
    def of(cls, name: str, model: Model) -> Signature:
        """Return a model's signature.

        Raises:
            ModelError: there is no output, an input is not a tensor, an output is of a kind that edgerun cannot
                read, or a tensor's element type is one that numpy lacks.
        """
        if not model.outputs:
            raise ModelError(f"model {name!r} has no output, so that it can answer nothing")
        for role, ports in (("input", model.inputs), ("output", model.outputs)):
            for port in ports:
                if role == "input" and port.kind != "tensor":
                    raise ModelError(
                        f"model {name!r}: input {port.name!r} is of the kind {port.kind!r}; edgerun feeds tensors only"
                    )
                if port.kind == "tensor" and port.dtype is None:
                    raise ModelError(f"model {name!r}: {role} {port.name!r} has an element type that numpy lacks")
                if role == "output" and port.kind not in {"tensor", "sequence", "map"}:
                    raise ModelError(
                        f"model {name!r}: output {port.name!r} is of the kind {port.kind!r}, which edgerun cannot read"
                    )
        return cls(model.inputs, model.outputs)


def common_signature(signatures: dict[str, Signature]) -> Signature:
    """Return the signature that every one of the named models serves.

    Models agree when their inputs and outputs have the same names, kinds, dtypes and ranks, and no dimension is
    fixed to two different sizes. Where one model fixes a dimension that another leaves open, the fixed one holds.

    Raises:
        GraphError: two models disagree; the message names both, the input or output, and what each says.
    """
    (first, common), *rest = signatures.items()
    for name, signature in rest:
        try:
            common = _common(first, common, name, signature)
        except GraphError:
            for earlier, found in signatures.items():  # the first is not always the one that disagrees
                _common(earlier, found, name, signature)
            raise
    return common


def _common(name_a: str, a: Signature, name_b: str, b: Signature) -> Signature:
    return Signature(
        _common_ports("input", name_a, a.inputs, name_b, b.inputs),
        _common_ports("output", name_a, a.outputs, name_b, b.outputs),
    )


def _common_ports(
    role: str, name_a: str, ports_a: tuple[Port, ...], name_b: str, ports_b: tuple[Port, ...]
) -> tuple[Port, ...]:
    by_name = {port.name: port for port in ports_b}
    if {port.name for port in ports_a} != by_name.keys():
        raise GraphError(
            f"models {name_a!r} and {name_b!r} differ in their {role}s: "
            f"{name_a!r} has {_names(ports_a)}, {name_b!r} has {_names(ports_b)}"
        )
    return tuple(_common_port(role, name_a, a, name_b, by_name[a.name]) for a in ports_a)


def _names(ports: tuple[Port, ...]) -> str:
    return ", ".join(repr(port.name) for port in ports) or "none"


def _common_port(role: str, name_a: str, a: Port, name_b: str, b: Port) -> Port:
    if a.kind != b.kind or a.dtype != b.dtype or _dims_conflict(a.dims, b.dims):
        raise GraphError(
            f"models {name_a!r} and {name_b!r} differ in {role} {a.name!r}: {name_a!r} has {a}, {name_b!r} has {b}"
        )
    return a._replace(dims=_common_dims(a.dims, b.dims))


def _dims_conflict(a: Dims, b: Dims) -> bool:
    if a is None or b is None:
        return False
    if len(a) != len(b):
        return True
    return any(isinstance(x, int) and isinstance(y, int) and x != y for x, y in zip(a, b, strict=True))


def _common_dims(a: Dims, b: Dims) -> Dims:
    if a is None or b is None:
        return b if a is None else a
    return tuple(y if isinstance(y, int) else x for x, y in zip(a, b, strict=True))


def conflicting_output(port: Port, shape: tuple[int, ...]) -> str | None:
    """Say how an output's shape breaks what the signature declares; None if it does not."""
    if port.dims is None:
        return None
    if len(shape) != len(port.dims) or any(
        isinstance(d, int) and d != s for d, s in zip(port.dims, shape, strict=True)
    ):
        assert port.dtype is not None  # a tensor's, by Signature.of
        return f"output {port.name!r} has shape {list(shape)}, expected {dtype_name(port.dtype)} {list(port.dims)}"
    return None


def with_batch_of(signature: Signature) -> Signature:
    """Return the signature that a batch must fit: the first axis of every input is the row, of any number.

    Raises:
        InputError: there is no input; or an input or output has no first axis to put rows on, or one that is fixed to
            more than one row.
    """
    if not signature.inputs:
        raise InputError("the model takes no batch: it has no input; use predict()")
    for role, ports in (("input", signature.inputs), ("output", signature.outputs)):
        for port in ports:
            if port.dims is not None and (not port.dims or (isinstance(port.dims[0], int) and port.dims[0] != 1)):
                raise InputError(f"the model takes no batch: {role} {port} has no free first axis; use predict()")
    inputs = (p._replace(dims=None if p.dims is None else ("rows", *p.dims[1:])) for p in signature.inputs)
    return Signature(tuple(inputs), signature.outputs)


def broken_promise(former: Signature, other: Signature) -> str | None:
    """Say which calls that one signature serves another one does not; None if it serves all of them.

    All inputs are there and no others, each takes every shape that it took, and no output is missing.
    """
    by_name = {port.name: port for port in other.inputs}
    if by_name.keys() != {*former.input_names}:
        return f"it takes {_names(other.inputs)}, and not {_names(former.inputs)}"
    for port in former.inputs:
        found = by_name[port.name]
        if found.dtype != port.dtype or not _takes(found.dims, port.dims):
            return f"it takes {found}, and not {port}"
    missing = [port for port in former.outputs if port.name not in other.output_names]
    return f"it has no output {missing[0].name!r}" if missing else None


def _takes(dims: Dims, formers: Dims) -> bool:
    """Whether every shape that fits the former dimensions fits these."""
    if dims is None:
        return True
    if formers is None or len(dims) != len(formers):
        return False
    return all(not isinstance(size, int) or size == former for size, former in zip(dims, formers, strict=True))
