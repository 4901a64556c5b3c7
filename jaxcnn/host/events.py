"""Scalars over the steps, in a file that TensorBoard reads.

Such a file is a row of records (length, checksum, bytes, checksum), each of them an `Event` of Protocol Buffers. What
is needed here of both formats is written out: it is less than a framework.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Mapping
from pathlib import Path

_POLYNOMIAL = 0x82F63B78  # CRC-32C, Castagnoli's, reversed


def _row(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
    return byte


_TABLE = [_row(byte) for byte in range(256)]


def crc32c(content: bytes) -> int:
    """The CRC-32C of some bytes (RFC 3720, appendix B.4)."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


class Events:
    """A new file of events in a folder; what is added is on the disk when `add` returns."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"events.out.tfevents.{time.time_ns()}.jaxcnn"
        self._write(_field(3, b"brain.Event:2"))  # the version of the format, which comes first

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        """Add scalars of a step, each by its tag. Raises OSError."""
        values = b"".join(
            _field(1, _field(1, tag.encode()) + b"\x15" + struct.pack("<f", scalars[tag])) for tag in scalars
        )
        self._write(b"\x10" + _varint(step) + _field(5, values))

    def _write(self, event: bytes) -> None:
        event = b"\x09" + struct.pack("<d", time.time()) + event
        length = struct.pack("<Q", len(event))
        with self._path.open("ab") as file:
            file.write(length + _masked(length) + event + _masked(event))


def _masked(content: bytes) -> bytes:
    """The checksum as records hold it: turned, and with a number added."""
    crc = crc32c(content)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _varint(value: int) -> bytes:
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def _field(number: int, content: bytes) -> bytes:
    """A field of bytes, text or another message."""
    return bytes([number << 3 | 2]) + _varint(len(content)) + content
