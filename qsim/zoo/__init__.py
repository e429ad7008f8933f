"""The zoo: networks by name. A new one is a recipe in the module of its family; a family is a line
in RECIPES.

A network is found here whatever it is: one of the zoo, with or without parameters, a layer table
that ships, or one in a file.
"""

from pathlib import Path

import qsim.shipped as shipped
from hwmodels.documents import nearest, read_document
from qsim.errors import NetworkError
from qsim.network.graph import Network
from qsim.network.table import LayerTable, read_network
from qsim.spelling import parse_call, split_call
from qsim.zoo import (
    alexnet,
    bert,
    inception,
    inception_bn,
    inception_resnet,
    mobilenet,
    nasnet,
    pspnet,
    resnet,
    sequences,
    slim_resnet,
    svhn,
    vgg,
    yolo,
)
from qsim.zoo.recipe import Recipe

TABLES = (".yaml", ".yml")  # suffixes of layer tables
EXAMPLE = "mobilenet-v2(width=1.4)"
RECIPES: dict[str, Recipe] = (
    alexnet.NETWORKS
    | bert.NETWORKS
    | inception.NETWORKS
    | inception_bn.NETWORKS
    | inception_resnet.NETWORKS
    | mobilenet.NETWORKS
    | nasnet.NETWORKS
    | pspnet.NETWORKS
    | resnet.NETWORKS
    | sequences.NETWORKS
    | slim_resnet.NETWORKS
    | svhn.NETWORKS
    | vgg.NETWORKS
    | yolo.NETWORKS
)


def names() -> list[str]:
    """Names of all networks that come with qsim."""
    return sorted([*RECIPES, *shipped.networks()])


def source(name: str) -> str:
    """Where a network that comes with qsim is defined."""
    if name in RECIPES:
        return RECIPES[name].source
    return read_document(_table(name), LayerTable).source


def parameters(name: str) -> str:
    """What may be set of a network that comes with qsim, as ``key=default``."""
    if name not in RECIPES:
        return ""
    return ", ".join(f"{key}={each.default}" for key, each in RECIPES[name].parameters.items())


def named(document: str | dict, where: str) -> tuple[str, dict]:
    """The name and the parameters of a network that a document spells as ``name``,
    ``name(key=value)`` or ``{name: {key: value}}``; a file's name has no parameters in text.

    Raises QsimError naming ``where`` on anything else.
    """
    if isinstance(document, str) and not document.endswith((".onnx", *TABLES)):
        return parse_call(document, what=where, example=EXAMPLE)
    name, given = split_call(document, where, "one network such as {yolo-v3: {size: 608}}")
    if "(" in name and name.partition("(")[0].strip() in names():
        raise NetworkError(
            f"{where}: {name!r} has parameters in its name, and others beside it; give all of them"
            " in one place"
        )
    return name, given


def find_network(document: str | dict, *, where: str, folder: Path = Path()) -> Network:
    """The network that a document names (see ``named``); a name may be the path of a layer table
    (.yaml) from ``folder``.

    Raises NetworkError naming ``where`` on an unknown name or parameter or one that does not fit,
    or another InputError naming the file.
    """
    name, given = named(document, where)
    if name in RECIPES:
        return RECIPES[name].network(name, given, where=where)
    path = folder / name if name.endswith(TABLES) else _table(name)
    if not name.endswith(TABLES) and name not in shipped.networks():
        raise NetworkError(f"{where}: unknown network {name!r}; {remedy(name, names())}")
    if not path.exists():
        raise NetworkError(f"{where}: {path}: no such file")
    if given:
        raise NetworkError(f"{where}.{name}: is a layer table, which has no parameters")
    return read_network(path)


def remedy(name: str, known: list[str]) -> str:
    """What could be meant by an unknown ``name``: all that it begins, as resnet50 begins several,
    or what is most alike."""
    begun = [each for each in sorted(known) if each.startswith(f"{name}-")]
    if len(begun) > 1:
        return f"there are {', '.join(begun[:-1])} and {begun[-1]}"
    return nearest(name, known)


def _table(name: str) -> Path:
    return shipped.WORKLOADS / "networks" / f"{name}.yaml"
