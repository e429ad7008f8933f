"""Strict reading of YAML documents into typed records.

YAML here is the 1.2 core schema (``1:1.5`` and ``on`` are text, ``100e6`` is a number) without a
key written twice; nothing in a document can execute code, and its aliases cannot blow it up.
"""

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import msgspec
import yaml

from hwmodels.errors import InputError

MAX_DOCUMENT_BYTES = 16 * 2**20
MAX_VALUES = 10**6

T = TypeVar("T")


def read_document(path: Path, record: type[T]) -> T:
    """The document at ``path`` as a checked ``record`` (a msgspec Struct).

    Raises InputError naming the file, the key and the remedy.
    """
    return convert(read_yaml(path), record, where=str(path))


def read_yaml(path: Path) -> dict:
    """The mapping written in the YAML file at ``path``.

    Raises InputError when there is no such file, or it is not UTF-8, not YAML, too large or not a
    mapping, or when it writes a key twice.
    """
    text = _read_text(path)
    try:
        data = _load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise InputError(f"{path}: not valid YAML{at}: {error.problem}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not valid YAML: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise InputError(f"{path}: nested too deeply to be a document of qsim") from None
    if not isinstance(data, dict):
        found = "nothing" if data is None else f"a {type(data).__name__}"
        raise InputError(f"{path}: expected a mapping of keys to values, found {found}")
    return data


def convert(data: object, record: type[T], *, where: str) -> T:
    """``data`` (plain dicts, lists, scalars) as a checked ``record``; ``where`` names its origin.

    Raises InputError on an unknown, missing or mistyped key.
    """
    try:
        return msgspec.convert(data, record)
    except msgspec.ValidationError as error:
        raise InputError(f"{where}: {_explain(str(error), data, record)}") from None


def nearest(name: str, known: Iterable[str]) -> str:
    """A remedy for an unknown ``name``: the most alike of the ``known`` ones, or all of them."""
    known = sorted(known)
    alike = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"did you mean {alike[0]!r}?" if alike else f"known are: {', '.join(known) or 'none'}"


def _read_text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_DOCUMENT_BYTES:
            raise InputError(f"{path}: larger than 16 MiB, which no document of qsim is")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder; name a YAML file in it") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a text file in UTF-8, so not YAML") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None


def _load(text: str) -> object:
    loader = _StrictLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _expanded_size(node, {}) > MAX_VALUES:
            raise _problem(f"its aliases stand for more than {MAX_VALUES:,} values", node)
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _expanded_size(node, sizes: dict[int, int]) -> int:
    """How many values ``node`` holds with its aliases written out."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in sizes:
        sizes[id(node)] = MAX_VALUES  # what an alias to a node around it counts
        pairs = isinstance(node, yaml.MappingNode)
        inner = [child for pair in node.value for child in pair] if pairs else node.value
        sizes[id(node)] = 1 + sum(_expanded_size(child, sizes) for child in inner)
    return sizes[id(node)]


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader with the scalars of YAML 1.2, refusing keys written twice."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 (as PyYAML spells it)

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _problem("a key must be plain text", key)
            if key.value in seen:
                raise _problem(f"key {key.value!r} is written twice; keep one", key)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _problem(text: str, node) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, text, node.start_mark)


_CORE_SCHEMA = {
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?[0-9]+|0x[0-9a-fA-F]+", "-+0123456789"),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
}
for _tag, (_pattern, _first) in _CORE_SCHEMA.items():
    _StrictLoader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), list(_first)
    )
_StrictLoader.add_constructor(
    "tag:yaml.org,2002:int",
    lambda loader, node: int(node.value, 16 if node.value.startswith("0x") else 10),
)


def _explain(message: str, data: object, record: type) -> str:
    """msgspec's complaint in the words of a document: its key path first, then the remedy."""
    problem, _, place = message.partition(" - at `")
    path = place.rstrip("`").removeprefix("$").removeprefix(".")
    if path == "[...]" or "[...]" in path:
        path = path.replace("[...]", ".*")
    at = f"{path}: " if path else ""
    if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", problem):
        keys = _fields_at(path, data, msgspec.inspect.type_info(record))
        return f"{at}unknown key {unknown[1]!r}; {nearest(unknown[1], keys)}"
    if missing := re.fullmatch(r"Object missing required field `(.*)`", problem):
        return f"{at}key {missing[1]!r} is missing"
    problem = problem.replace("`", "").replace("str", "text").replace("array", "list")
    problem = problem.replace("object", "mapping")
    return f"{at}{_uncapitalised(problem)}"


def _fields_at(path: str, data: object, info) -> list[str]:
    """Names of the keys allowed at ``path``, following ``data`` through lists and tagged unions."""
    for step in re.findall(r"[^.\[\]]+|\[\d+\]", path):
        info = _struct_of(info, data)
        if step.startswith("["):
            info, data = info.item_type, data[int(step[1:-1])]
        elif isinstance(info, msgspec.inspect.DictType):
            info, data = info.value_type, next(iter(data.values()), None)
        else:
            field = next(f for f in info.fields if f.encode_name == step)
            info, data = field.type, data.get(step)
    info = _struct_of(info, data)
    if not isinstance(info, msgspec.inspect.StructType):
        return []
    tag = [info.tag_field] if info.tag_field else []
    return tag + [field.encode_name for field in info.fields]


def _struct_of(info, data):
    """The member of a union that ``data`` means: by its tag, else the first that is no scalar."""
    if not isinstance(info, msgspec.inspect.UnionType):
        return info
    members = [
        t
        for t in info.types
        if isinstance(
            t, (msgspec.inspect.StructType, msgspec.inspect.ListType, msgspec.inspect.DictType)
        )
    ]
    for member in members:
        tag_field = getattr(member, "tag_field", None)
        if tag_field and isinstance(data, dict) and data.get(tag_field) == member.tag:
            return member
    return members[0] if members else info


def _uncapitalised(text: str) -> str:
    """``text`` to go on a sentence: its first letter lowered, unless it begins a name like SP2."""
    return text if text[1:2].isupper() or text[1:2].isdigit() else text[0].lower() + text[1:]
