"""Strict reading of YAML.

YAML here is the 1.2 core schema (``1:1.5`` and ``on`` are text, ``100e6`` is a number) without a
key written twice; nothing in a document can execute code, and its aliases cannot blow it up.
"""

import re
from pathlib import Path

import yaml

from hwmodels.errors import InputError

HERE = Path(__file__).parent
MAX_DOCUMENT_BYTES = 16 * 2**20
MAX_VALUES = 10**6


def read_yaml(path: Path, *, shipped: bool = False) -> dict:
    """The mapping written in the YAML file at ``path``.

    shipped   whether the file comes with the program, as those of this package do: it is then read
              by libyaml where that is there, ten times as fast

    Raises InputError when there is no such file, or it is not UTF-8, not YAML, too large or not a
    mapping, or when it writes a key twice.
    """
    fast = shipped or HERE in path.parents
    data = read_value(_read_text(path), where=str(path), loader=_FastLoader if fast else None)
    if not isinstance(data, dict):
        names = {type(None): "nothing", list: "a list", str: "text"}
        found = names.get(type(data), f"the value {data}")
        raise InputError(f"{path}: expected a mapping of keys to values, found {found}")
    return data


def read_value(text: str, *, where: str, loader: "type[_Strict] | None" = None) -> object:
    """The value that ``text`` writes in YAML: text, a number, a list, a mapping.

    loader   what reads it: by default PyYAML's own, whose complaints are the best

    Raises InputError naming ``where`` as ``read_yaml`` names its file.
    """
    try:
        return _load(text, loader or _StrictLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise InputError(f"{where}: not valid YAML{at}: {error.problem}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{where}: not valid YAML: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise InputError(f"{where}: nested too deeply to be a document of qsim") from None


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_DOCUMENT_BYTES + 1)
        if len(content) > MAX_DOCUMENT_BYTES:
            raise InputError(f"{path}: larger than 16 MiB, which no document of qsim is")
        return content.decode("utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder; name a YAML file in it") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a text file in UTF-8, so not YAML") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None


def _load(text: str, loader_class: "type[_Strict]") -> object:
    loader = loader_class(text)
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


class _Strict:
    """What makes a safe loader refuse keys written twice; its scalars are those of YAML 1.2."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 (as PyYAML spells it)

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:str":
                raise _problem("a key must be text; write it in quotes", key)
            if key.value in seen:
                raise _problem(f"key {key.value!r} is written twice; keep one", key)
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_object(self, node, deep=False):
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError, TypeError):
            shown = str(node.value)[:40]
            raise _problem(f"{shown!r} is no value of its kind, {node.tag}", node) from None


class _StrictLoader(_Strict, yaml.SafeLoader):
    """A loader in Python."""


class _FastLoader(_Strict, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """A loader in C, where PyYAML was built with libyaml."""


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
    for _loader in (_StrictLoader, _FastLoader):
        _loader.add_implicit_resolver(
            f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), list(_first)
        )
for _loader in (_StrictLoader, _FastLoader):
    _loader.add_constructor(
        "tag:yaml.org,2002:int",
        lambda loader, node: int(node.value, 16 if node.value.startswith("0x") else 10),
    )
