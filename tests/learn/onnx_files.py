"""A small ONNX network, written by hand: what it takes to write one otherwise is no dependency."""

import struct
from pathlib import Path


def write_mean_network(file: Path, shape: tuple[int | str, ...] = ("n", 3, 32, 32)) -> Path:
    """Write a network that averages each plane: (n, 3, rows, columns) -> (n, 3)."""
    nodes = [_node("GlobalAveragePool", "images", "pooled"), _node("Flatten", "pooled", "features")]
    graph = b"".join(_text(1, node) for node in nodes)
    graph += _text(2, b"mean") + _text(11, _value("images", shape)) + _text(12, _value("features", (shape[0], 3)))
    opset = _text(1, b"") + _number(2, 13)
    file.write_bytes(_number(1, 8) + _text(7, graph) + _text(8, opset))
    return file


def _node(kind: str, taken: str, made: str) -> bytes:
    return _text(1, taken.encode()) + _text(2, made.encode()) + _text(3, made.encode()) + _text(4, kind.encode())


def _value(name: str, shape: tuple[int | str, ...]) -> bytes:
    sizes = (_text(2, size.encode()) if isinstance(size, str) else _number(1, size) for size in shape)
    tensor = _number(1, 1) + _text(2, b"".join(_text(1, size) for size in sizes))
    return _text(1, name.encode()) + _text(2, _text(1, tensor))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _text(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return struct.pack(f"{len(parts) + 1}B", *parts, value)
