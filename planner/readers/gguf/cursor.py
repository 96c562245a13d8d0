"""A place in a GGUF header: fetches what is certain to follow and at most a tenth more, and reads values.

A header does not say how long it is, but at any place of it some of the rest is certain: so many keys, tensors and
strings are still to come, and each takes at least so many bytes. A request reaches to where the header is known to
reach, and a tenth beyond. So no more than 1.1 × the header is ever fetched, in about ten requests for a vocabulary.
"""

import hashlib
import struct
from dataclasses import dataclass, field

from hardware.units import KIB, MIB, format_bytes
from planner.errors import MalformedError
from planner.quoting import quoted
from planner.readers.byte_source import ByteSource

FRONT_BYTES = 24  # magic, version, number of tensors, number of keys
MAX_HEADER_BYTES = 64 * MIB  # the longest known, of a vocabulary of 262,144, are about 20
_MAX_KEY_BYTES = 64 * KIB
_MAX_NAMES_BYTES = 8 * MIB  # all keys and tensor names together
_MAX_TEXT_BYTES = MIB  # a longer text, such as a whole tokenizer.json, stays in the file
_MAX_TEXTS_BYTES = 8 * MIB  # all texts together: one strange character makes a text four times as large
_MAX_DEPTH = 4
_SMALL_ARRAY = 4096
_MAX_TUPLE_ELEMENTS = 262_144  # over all small arrays together: an element of one byte becomes eight or more
_MAX_STRINGS = 4_194_304  # over all long arrays together; the longest known vocabularies have a million

_STRING = 8
_ARRAY = 9
_SCALARS = {
    0: ("uint8", struct.Struct("<B")),
    1: ("int8", struct.Struct("<b")),
    2: ("uint16", struct.Struct("<H")),
    3: ("int16", struct.Struct("<h")),
    4: ("uint32", struct.Struct("<I")),
    5: ("int32", struct.Struct("<i")),
    6: ("float32", struct.Struct("<f")),
    7: ("bool", struct.Struct("<?")),
    10: ("uint64", struct.Struct("<Q")),
    11: ("int64", struct.Struct("<q")),
    12: ("float64", struct.Struct("<d")),
}
_LEAST_BYTES = {_STRING: 8, _ARRAY: 12} | {type_id: scalar[1].size for type_id, scalar in _SCALARS.items()}
_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufArray:
    """A long metadata value, such as a vocabulary: its element type and length; values only on demand.

    A text of more than a MiB is one too, of length 1.
    """

    element_type: str
    length: int
    offset: int
    n_bytes: int
    type_id: int = field(repr=False)
    source: ByteSource = field(repr=False, compare=False)

    def __len__(self) -> int:
        return self.length

    def values(self, limit: int | None = None) -> tuple[object, ...]:
        """The first `limit` values (all of them without a limit), read from the file now."""
        n_values = self.length if limit is None else max(0, min(limit, self.length))
        cursor = HeaderCursor(self.source, self.offset)
        scalar = _SCALARS.get(self.type_id)
        if scalar is not None:
            return cursor.scalars(scalar[1], n_values)
        if n_values == self.length:
            cursor.fetch(self.n_bytes)
        cursor.owed_bytes = 8 * n_values
        texts = []
        for _ in range(n_values):
            cursor.owed_bytes -= 8
            texts.append(cursor.string(MAX_HEADER_BYTES).decode("utf-8", errors="replace"))
        return tuple(texts)


class HeaderCursor:
    """A place in a header, with the bytes fetched so far from `start` on.

    `owed_bytes` is the least number of bytes that must follow the value being read, as far as its caller knows.
    """

    __slots__ = (
        "_buffer",
        "_elements_left",
        "_index",
        "_names_left",
        "_source",
        "_start",
        "_strings_left",
        "_texts_left",
        "owed_bytes",
    )

    def __init__(self, source: ByteSource, start: int) -> None:
        self._source = source
        self._start = start
        self._buffer = bytearray()
        self._index = 0  # into the buffer
        self._elements_left = _MAX_TUPLE_ELEMENTS
        self._strings_left = _MAX_STRINGS
        self._names_left = _MAX_NAMES_BYTES
        self._texts_left = _MAX_TEXTS_BYTES
        self.owed_bytes = 0

    @property
    def position(self) -> int:
        """The place in the file that is read next."""
        return self._start + self._index

    @property
    def remaining_bytes(self) -> int:
        """Bytes of the file from here on."""
        return self._source.n_bytes - self.position

    def malformed(self, what: str) -> MalformedError:
        """The error that says what is wrong with this file."""
        return MalformedError(f"{quoted(self._source.name)} is not a usable GGUF file: {what}")

    def sha256(self) -> str:
        """The SHA-256 of everything from the start to here."""
        return hashlib.sha256(memoryview(self._buffer)[: self._index]).hexdigest()

    def _need(self, n_bytes: int) -> int:
        """Have `n_bytes` in the buffer from here on; returns the index to read at, and moves past them."""
        index = self._index
        end = index + n_bytes
        if end > len(self._buffer):
            self._reach(end, self.owed_bytes)
        self._index = end
        return index

    def _reach(self, end: int, owed_bytes: int) -> None:
        """Fetch to `end` at least: as far as the header is known to reach, and at most a tenth more."""
        certain = end + owed_bytes
        available = self._source.n_bytes - self._start
        if certain > available:
            raise self.malformed(
                f"it ends inside its header, {certain - available:,} bytes or more are missing; download it again"
            )
        if certain > MAX_HEADER_BYTES:
            raise self.malformed(f"its header is larger than {format_bytes(MAX_HEADER_BYTES)}")
        # Of the very first bytes no tenth: a server is asked for just these to learn how large the file is.
        extra = certain // 10 if certain > FRONT_BYTES else 0
        self.fetch(min(certain + extra, available))

    def fetch(self, end: int) -> None:
        """Have the bytes up to `end`, counted from the start, without moving."""
        buffer = self._buffer
        while len(buffer) < end:
            offset = self._start + len(buffer)
            chunk = self._source.read(offset, end - len(buffer))
            if not chunk:
                raise self.malformed(f"reading stopped at byte {offset:,} of {self._source.n_bytes:,}")
            buffer += chunk

    def u32(self) -> int:
        """An unsigned number of four bytes."""
        value: int = _U32.unpack_from(self._buffer, self._need(4))[0]
        return value

    def u64(self) -> int:
        """An unsigned number of eight bytes."""
        value: int = _U64.unpack_from(self._buffer, self._need(8))[0]
        return value

    def u64s(self, n: int) -> tuple[int, ...]:
        """`n` unsigned numbers of eight bytes."""
        return struct.unpack_from(f"<{n}Q", self._buffer, self._need(8 * n))

    def magic(self) -> bytes:
        """The four bytes that say what a file is."""
        index = self._need(4)
        return bytes(self._buffer[index : index + 4])

    def scalars(self, layout: struct.Struct, n: int) -> tuple[object, ...]:
        """`n` numbers or truth values of one layout."""
        return struct.unpack_from(f"<{n}{layout.format[-1]}", self._buffer, self._need(n * layout.size))

    def _length(self, max_bytes: int) -> int:
        length = self.u64()
        if length > max_bytes or length > self.remaining_bytes:
            raise self.malformed(
                f"a string at byte {self.position:,} claims {length:,} bytes; "
                f"{self.remaining_bytes:,} are left and {max_bytes:,} are allowed"
            )
        return length

    def string(self, max_bytes: int) -> bytes:
        """A length and that many bytes."""
        length = self._length(max_bytes)
        index = self._need(length)
        return bytes(self._buffer[index : index + length])

    def name(self) -> str:
        """A metadata key or tensor name, which unlike a value must be valid text."""
        raw = self.string(_MAX_KEY_BYTES)
        self._names_left -= len(raw)
        if self._names_left < 0:
            raise self.malformed(f"its names take more than {format_bytes(_MAX_NAMES_BYTES)}")
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.malformed(f"the name before byte {self.position:,} is not UTF-8") from error
        if not text:
            raise self.malformed(f"the name before byte {self.position:,} is empty")
        return text

    def value(self, type_id: int, depth: int = 0) -> object:
        """The metadata value here: a number, bool, text, tuple of a short array, or GgufArray of a long one."""
        scalar = _SCALARS.get(type_id)
        if scalar is not None:
            value: int | float | bool = scalar[1].unpack_from(self._buffer, self._need(scalar[1].size))[0]
            return value
        if type_id == _STRING:
            return self._text()
        if type_id == _ARRAY:
            return self._array(depth + 1)
        raise self.malformed(f"the value at byte {self.position:,} has the unknown type {type_id}")

    def _text(self) -> "str | GgufArray":
        start = self.position
        length = self._length(MAX_HEADER_BYTES)
        index = self._need(length)
        if length > min(_MAX_TEXT_BYTES, self._texts_left):
            return self._in_file(_STRING, 1, start)
        self._texts_left -= length
        # Token texts of some models are not valid UTF-8; what they hold does not change any size.
        return self._buffer[index : index + length].decode("utf-8", errors="replace")

    def _array(self, depth: int) -> "tuple[object, ...] | GgufArray":
        if depth > _MAX_DEPTH:
            raise self.malformed(f"arrays are nested more than {_MAX_DEPTH} deep")
        type_id, length = self.u32(), self.u64()
        least = _LEAST_BYTES.get(type_id)
        if least is None:
            raise self.malformed(
                f"the array at byte {self.position:,} has the unknown element type {type_id}"
            )
        if length * least > self.remaining_bytes:
            raise self.malformed(
                f"the array at byte {self.position:,} claims {length:,} elements, which need "
                f"{length * least:,} bytes; {self.remaining_bytes:,} are left"
            )
        scalar = _SCALARS.get(type_id)
        if length > _SMALL_ARRAY or length > self._elements_left:
            return self._long_array(type_id, length)
        self._elements_left -= length
        if scalar is not None:
            return self.scalars(scalar[1], length)
        outer = self.owed_bytes
        values = []
        for left in range(length - 1, -1, -1):
            self.owed_bytes = outer + left * least
            values.append(self.value(type_id, depth))
        self.owed_bytes = outer
        return tuple(values)

    def _long_array(self, type_id: int, length: int) -> GgufArray:
        start = self.position
        scalar = _SCALARS.get(type_id)
        if scalar is not None:
            self._need(length * scalar[1].size)
        elif type_id == _STRING:
            self._skip_strings(length)
        else:
            raise self.malformed(f"an array of {length:,} arrays is more than any model has")
        return self._in_file(type_id, length, start)

    def _in_file(self, type_id: int, length: int, start: int) -> GgufArray:
        scalar = _SCALARS.get(type_id)
        return GgufArray(
            element_type=scalar[0] if scalar else "string",
            length=length,
            offset=start,
            n_bytes=self.position - start,
            type_id=type_id,
            source=self._source,
        )

    def _skip_strings(self, length: int) -> None:
        """Walk over `length` strings: only their lengths are looked at, for a vocabulary has 10⁵ of them."""
        self._strings_left -= length
        if self._strings_left < 0:
            raise self.malformed(f"its arrays hold more than {_MAX_STRINGS:,} strings")
        unpack, buffer, index = _U64.unpack_from, self._buffer, self._index
        longest = min(MAX_HEADER_BYTES, self.remaining_bytes)
        last = len(buffer) - 8  # the last place where a length can be read from what has been fetched
        for left in range(length - 1, -1, -1):
            if index > last:
                self._reach(index + 8, self.owed_bytes + 8 * left)
                last = len(buffer) - 8
            n_bytes = unpack(buffer, index)[0]
            if n_bytes > longest:
                self._index = index
                raise self.malformed(
                    f"a string at byte {self.position:,} claims {n_bytes:,} bytes; "
                    f"at most {longest:,} are possible"
                )
            index += 8 + n_bytes
        self._index = index
        self._need(0)
