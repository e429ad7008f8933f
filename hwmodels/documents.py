"""Documents as typed records: what is unknown, missing or mistyped is refused by key."""

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from hwmodels.errors import InputError
from hwmodels.strict_yaml import read_yaml

MOST_SHOWN = 24  # names of a remedy

T = TypeVar("T")


def read_document(path: Path, record: type[T]) -> T:
    """The YAML document at ``path`` as a checked ``record`` (a msgspec Struct).

    Raises InputError naming the file, the key and the remedy.
    """
    return convert(read_yaml(path), record, where=str(path))


def convert(data: object, record: type[T], *, where: str, within: tuple[str | int, ...] = ()) -> T:
    """``data`` (plain dicts, lists, scalars) as a checked ``record``; ``where`` names its origin,
    and ``within`` the keys that lead to it there.

    Raises InputError on an unknown, missing or mistyped key.
    """
    try:
        return msgspec.convert(data, record)
    except msgspec.ValidationError as error:
        raise InputError(f"{where}: {_explain(str(error), data, record, within)}") from None


def nearest(name: str, known: Iterable[str]) -> str:
    """A remedy for an unknown ``name``: the most alike of the ``known`` ones, the only one that it
    begins, else all of them."""
    known = sorted(known)
    begun = [each for each in known if name and each.startswith(name)]
    alike = difflib.get_close_matches(name, known, n=1, cutoff=0.6) or begun
    if len(alike) == 1:
        return f"did you mean {alike[0]!r}?"
    more = f" and {len(known) - MOST_SHOWN} more" if len(known) > MOST_SHOWN else ""
    return f"known are: {', '.join(known[:MOST_SHOWN]) or 'none'}{more}"


def _explain(message: str, data: object, record: type, within: tuple[str | int, ...]) -> str:
    """msgspec's complaint in the words of a document: its key path first, then the remedy."""
    problem, _, place = message.partition(" - at `")
    steps = _steps(message, place.rstrip("`"), data, record)
    whole = [*within, *steps]
    at = f"{_path_text(whole)}: " if whole else ""
    if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", problem):
        known = _keys_of(_member(*_type_at(steps, data, record)))
        return f"{at}unknown key {unknown[1]!r}; {nearest(unknown[1], known)}"
    if missing := re.fullmatch(r"Object missing required field `(.*)`", problem):
        return f"{at}key {missing[1]!r} is missing"
    if invalid := re.fullmatch(r"Invalid (?:enum )?value '?(.*?)'?", problem):
        remedy = nearest(invalid[1], _values_at(steps, data, record))
        return f"{at}unknown value {invalid[1]!r}; {remedy}"
    if "matching regex" in problem:  # the only pattern is that of names
        return f"{at}a name has 1 to 100 characters, none of them blank or unprintable"
    return f"{at}{_in_words(problem)}"


def _steps(message: str, place: str, data: Any, record: type) -> list[str | int]:
    """The keys and indices that lead to ``place``, as msgspec writes it: ``$.a[0][...].b``, with
    the guilty key of the mapping where it has ``[...]``."""
    steps: list[str | int] = []
    for name, index, any_key in re.findall(r"\.([^.\[\]]+)|\[(\d+)\]|(\[\.\.\.\])", place):
        key = _guilty_key(message, steps, data, record) if any_key else None
        steps.append(key or name or int(index))
    return steps


def _path_text(steps: list[str | int]) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return text.removeprefix(".")


def _guilty_key(message: str, steps: list[str | int], data: Any, record: type) -> str:
    """The key of the mapping at ``steps`` whose value the message means."""

    def only(key: str, inner: Any, rest: list[str | int]) -> Any:
        if not rest:
            return {key: inner[key]}
        copy = inner.copy()
        copy[rest[0]] = only(key, inner[rest[0]], rest[1:])
        return copy

    mapping = data
    for step in steps:
        mapping = mapping[step]
    for key in mapping:
        try:
            msgspec.convert(only(key, data, steps), record)
        except msgspec.ValidationError as error:
            if str(error) == message:
                return key
    return "*"


def _type_at(steps: list[str | int], data: Any, record: type) -> tuple[inspect.Type, Any]:
    """The type that a record has at ``steps``, following ``data``, and the data there."""
    info = inspect.type_info(record)
    for step in steps:
        info = _member(info, data)
        if isinstance(info, inspect.DictType):
            info = info.value_type
        elif isinstance(step, int):
            info = info.item_type
        else:
            info = next(f.type for f in info.fields if f.encode_name == step)
        data = data[step] if isinstance(step, int) else data.get(step)
    return info, data


def _member(info: inspect.Type, data: Any) -> inspect.Type:
    """The member of a union that ``data`` means: by its tag, else the first that is no scalar."""
    if not isinstance(info, inspect.UnionType):
        return info
    structures = (inspect.StructType, inspect.ListType, inspect.VarTupleType, inspect.DictType)
    members = [t for t in info.types if isinstance(t, structures)]
    for member in members:
        tag_field = getattr(member, "tag_field", None)
        if tag_field and isinstance(data, dict) and data.get(tag_field) == member.tag:
            return member
    choices = [t for t in info.types if isinstance(t, inspect.LiteralType)]
    return (members + choices + [info])[0]


def _keys_of(info: inspect.Type) -> list[str]:
    if not isinstance(info, inspect.StructType):
        return []
    tag = [info.tag_field] if info.tag_field else []
    return tag + [field.encode_name for field in info.fields]


def _values_at(steps: list[str | int], data: Any, record: type) -> list[str]:
    """The values that a key may have: the tags of a union, or the choices of a literal."""
    outer, _ = _type_at(steps[:-1], data, record)
    members = getattr(outer, "types", ())
    tags = [t.tag for t in members if getattr(t, "tag_field", None) == steps[-1]]
    if tags:
        return tags
    info = _member(*_type_at(steps, data, record))
    return [str(value) for value in getattr(info, "values", ())]


def _in_words(problem: str) -> str:
    """msgspec's other complaints with the names that YAML has for things."""
    words = {"str": "text", "array": "list", "object": "mapping", "null": "nothing"}
    for theirs, ours in words.items():
        problem = re.sub(rf"\b{theirs}\b", ours, problem)
    problem = problem.replace("`", "").replace(" | ", " or ")
    # lower the first letter to go on a sentence, unless it begins a name like SP2
    name = problem[1:2].isupper() or problem[1:2].isdigit()
    return problem if name else problem[0].lower() + problem[1:]
