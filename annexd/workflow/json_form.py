"""Convert frozen dataclasses to JSON and back, by their fields.

The journal holds JSON; everything else holds dataclasses.  Reading is strict: a field that is missing, unknown or of
another type raises Unreadable with its path, since a guess about an order costs money.
"""

import types
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
SCALARS: Final = {str: "a string", int: "an integer", float: "a number", bool: "true or false", type(None): "null"}
Reader = Callable[[Any], Any]


class Unreadable(ValueError):
    """JSON that is not what was expected; the text names the field."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(f"{path} {message}".lstrip())
        self._message, self._path = message, path

    def inside(self, name: str) -> "Unreadable":
        """Return the same fault, with the path of the enclosing value `name`."""
        dot = "" if self._path.startswith("[") or not self._path else "."
        return Unreadable(self._message, f"{name}{dot}{self._path}")


def to_json(value: Any) -> Any:
    """Return dataclasses and mappings as objects, tuples and lists as arrays, the rest as it is."""
    if is_dataclass(value):
        return {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): to_json(each) for name, each in value.items()}
    if isinstance(value, tuple | list):
        return [to_json(each) for each in value]
    return value


def from_json(kind: type[T], found: Any) -> T:
    """Return the `kind` that `to_json` converted into `found`.  Raises Unreadable for anything else."""
    of_kind: Any = kind
    result: T = _reader(of_kind)(found)
    return result


@lru_cache(maxsize=256)
def _reader(kind: Any) -> Reader:
    """Return the reader of one type.  Raises TypeError for a type without a JSON form here."""
    origin, parts = get_origin(kind), get_args(kind)
    if kind is Any:
        return lambda found: found
    if kind in SCALARS:
        return _scalar_reader(kind)
    if is_dataclass(kind):
        return _dataclass_reader(kind)
    if kind is dict or origin in (dict, Mapping):
        return _mapping_reader(_reader(parts[1] if parts else Any))
    if origin is tuple and parts[1:] == (...,):
        return _tuple_reader(_reader(parts[0]))
    if origin in (Union, types.UnionType):
        return _optional_reader(kind, [_reader(each) for each in parts if each is not type(None)])
    raise TypeError(f"{kind} has no JSON form")


def _scalar_reader(kind: Any) -> Reader:
    """Return the reader of a scalar: a float may be a whole number, but no number may be true or false."""
    exact = (float, int) if kind is float else (kind,)

    def read(found: Any) -> Any:
        if type(found) in exact:
            return found
        raise _wrong(SCALARS[kind], found)

    return read


def _dataclass_reader(kind: Any) -> Reader:
    hints = get_type_hints(kind)
    readers = {field.name: _reader(hints[field.name]) for field in fields(kind)}

    def read(found: Any) -> Any:
        if not isinstance(found, dict):
            raise _wrong("an object", found)
        for name in sorted(readers.keys() ^ found.keys()):
            raise Unreadable(f"is {'missing' if name in readers else 'unknown'}", name)
        return kind(**{name: _part(reader, found[name], name) for name, reader in readers.items()})

    return read


def _mapping_reader(reader: Reader) -> Reader:
    def read(found: Any) -> Any:
        if not isinstance(found, dict):
            raise _wrong("an object", found)
        return {name: _part(reader, each, name) for name, each in found.items()}

    return read


def _tuple_reader(reader: Reader) -> Reader:
    def read(found: Any) -> Any:
        if not isinstance(found, list):
            raise _wrong("an array", found)
        return tuple(_part(reader, each, number) for number, each in enumerate(found))

    return read


def _optional_reader(kind: Any, readers: list[Reader]) -> Reader:
    if len(readers) != 1 or type(None) not in get_args(kind):
        raise TypeError(f"{kind}: of a union only `X | None` has a JSON form")
    return lambda found: None if found is None else readers[0](found)


def _part(reader: Reader, found: Any, name: str | int) -> Any:
    try:
        return reader(found)
    except Unreadable as error:
        raise error.inside(f"[{name}]" if isinstance(name, int) else name) from None


def _wrong(expected: str, found: Any) -> Unreadable:
    return Unreadable(f"is {type(found).__name__}, not {expected}")
