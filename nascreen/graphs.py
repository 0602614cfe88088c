"""Reads the ONNX files of the promoted models as nodes and arrays, without a library.

Only the parts of the format that `nascreen.export` writes are known: onnx.proto3 of ONNX 1.18, messages ModelProto,
GraphProto, NodeProto, AttributeProto and TensorProto, in the wire format of Protocol Buffers.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nascreen.errors import IntegrityError

Values = NDArray[Any]

_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5
_TYPES: Mapping[int, type] = {1: np.float32, 6: np.int32, 7: np.int64, 9: np.bool_, 11: np.float64}
_INTS_TAG, _FLOATS_TAG = 8 << 3 | _VARINT, 7 << 3 | _FIXED_32


@dataclass(frozen=True, eq=False, slots=True)
class Node:
    """An operation of a graph.

    Attributes:
        operator: Its name, such as ``MatMul``.
        inputs: Names of what it takes.
        output: Name of what it gives; an operation that gives several stands once for each.
        attributes: Numbers, texts (as bytes) and arrays of them by name.
    """

    operator: str
    inputs: tuple[str, ...]
    output: str
    attributes: Mapping[str, Any]


@dataclass(frozen=True, eq=False, slots=True)
class Graph:
    """A graph.

    Attributes:
        nodes: Its operations by the name of what they give.
        constants: Its arrays by name.
    """

    nodes: Mapping[str, Node]
    constants: Mapping[str, Values]


def read_graph(data: bytes) -> Graph:
    """Read the bytes of an ONNX file.

    Raises:
        IntegrityError: If they are no such file.
    """
    try:
        (graph,) = [bytes(value) for number, _, value in _fields(data) if number == 7]
        nodes = [node for number, _, value in _fields(graph) if number == 1 for node in _nodes(value)]
        tensors = [_tensor(value) for number, _, value in _fields(graph) if number == 5]
    except (ValueError, IndexError, KeyError, struct.error, UnicodeDecodeError) as error:
        raise IntegrityError(f"A model is no ONNX file that can be read ({type(error).__name__}).") from error
    return Graph({node.output: node for node in nodes}, dict(tensors))


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = data[place]
        value |= (byte & 127) << shift
        place += 1
        if byte < 128:
            return value, place
        shift += 7


def _fields(data: bytes) -> Iterator[tuple[int, int, Any]]:
    """Yield number, kind and value of each field; runs of numbers come as one array."""
    place = 0
    while place < len(data):
        if data[place] == _INTS_TAG:
            values, place = _run_of_ints(data, place)
            yield 8, _BYTES, values
            continue
        if data[place] == _FLOATS_TAG:
            numbers, place = _run_of_floats(data, place)
            yield 7, _BYTES, numbers
            continue
        tag, place = _varint(data, place)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value: Any
            value, place = _varint(data, place)
        elif kind == _BYTES:
            size, place = _varint(data, place)
            if place + size > len(data):
                raise ValueError(size)
            value, place = data[place : place + size], place + size
        else:
            size = {_FIXED_64: 8, _FIXED_32: 4}[kind]
            value, place = data[place : place + size], place + size
        yield number, kind, value


def _varints(data: bytes) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """Read bytes as varints; return them and the place after each."""
    array = np.frombuffer(data, dtype=np.uint8)
    ends = np.flatnonzero(array < 128) + 1
    if not len(ends):
        return np.empty(0, dtype=np.int64), ends
    starts = np.concatenate([[0], ends[:-1]])
    array = array[: ends[-1]]
    shift = 7 * (np.arange(len(array)) - np.repeat(starts, ends - starts))
    parts = (array & 127).astype(np.uint64) << np.minimum(shift, 63).astype(np.uint64)
    return np.add.reduceat(parts, starts).astype(np.int64), ends


def _run_of_ints(data: bytes, place: int) -> tuple[NDArray[np.int64], int]:
    values, ends = _varints(data[place:])
    tags = values[0 : len(values) // 2 * 2 : 2]
    wrong = np.flatnonzero(tags != _INTS_TAG)
    n = int(wrong[0]) if len(wrong) else len(tags)
    return values[1 : 2 * n : 2], place + int(ends[2 * n - 1])


def _run_of_floats(data: bytes, place: int) -> tuple[NDArray[np.float32], int]:
    n_possible = (len(data) - place) // 5
    rows = np.frombuffer(data, dtype=np.uint8, count=5 * n_possible, offset=place).reshape(-1, 5)
    wrong = np.flatnonzero(rows[:, 0] != _FLOATS_TAG)
    n = int(wrong[0]) if len(wrong) else n_possible
    return np.ascontiguousarray(rows[:n, 1:]).view("<f4").reshape(-1), place + 5 * n


def _nodes(data: bytes) -> list[Node]:
    inputs: list[str] = []
    outputs: list[str] = []
    operator, attributes = "", {}
    for number, _, value in _fields(data):
        if number == 1:
            inputs.append(value.decode())
        elif number == 2:
            outputs.append(value.decode())
        elif number == 4:
            operator = value.decode()
        elif number == 5:
            name, found = _attribute(value)
            attributes[name] = found
    return [Node(operator, tuple(inputs), output, attributes) for output in outputs]


def _attribute(data: bytes) -> tuple[str, Any]:
    name, single, texts = "", None, []
    ints: list[Values] = []
    floats: list[Values] = []
    for number, kind, value in _fields(data):
        if number == 1:
            name = value.decode()
        elif number == 2:
            single = struct.unpack("<f", value)[0]
        elif number in (3, 4):
            single = value
        elif number == 7:
            floats.append(value if isinstance(value, np.ndarray) else np.frombuffer(value, dtype="<f4"))
        elif number == 8 and kind == _BYTES:
            ints.append(value if isinstance(value, np.ndarray) else _varints(value)[0])
        elif number == 9:
            texts.append(value)
    for several in (ints, floats):
        if several:
            return name, np.concatenate(several)
    return name, np.array(texts) if texts else single


def _tensor(data: bytes) -> tuple[str, Values]:
    name, kind, shape, raw = "", 0, [], b""
    listed: list[Values] = []
    for number, wire, value in _fields(data):
        if number == 1 and wire == _VARINT:
            shape.append(value)
        elif number == 1:
            shape += _varints(value)[0].tolist()
        elif number == 2:
            kind = value
        elif number == 8:
            name = value.decode()
        elif number == 9:
            raw = value
        elif number == 4:
            listed.append(np.frombuffer(value, dtype="<f4"))
        elif number == 7:
            listed.append(_varints(value)[0])
        elif number == 10:
            listed.append(np.frombuffer(value, dtype="<f8"))
    values = np.concatenate(listed) if listed else np.frombuffer(raw, dtype=np.dtype(_TYPES[kind]).newbyteorder("<"))
    return name, values.astype(_TYPES[kind]).reshape(shape)
