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
from qsim.zoo.recipe import Recipe, described

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


def find_network(document: str | dict, *, where: str, folder: Path = Path()) -> Network:
    """The network that a document names: ``name``, ``name(key=value)``, ``{name: {key: value}}``,
    or the path of a layer table (.yaml) from ``folder``.

    Raises NetworkError naming ``where`` on an unknown name or parameter or one that does not fit,
    or another InputError naming the file.
    """
    if isinstance(document, str) and document.endswith((".yaml", ".yml")):
        if not (folder / document).exists():
            raise NetworkError(f"{where}: {folder / document}: no such file")
        return read_network(folder / document)
    if isinstance(document, str):
        name, given = parse_call(document, what=where, example=EXAMPLE)
    else:
        name, given = split_call(document, where, "one network such as {yolo-v3: {size: 608}}")
    if name in RECIPES:
        return RECIPES[name].network(name, given, where=where)
    if name not in shipped.networks():
        raise NetworkError(f"{where}: unknown network {name!r}; {_remedy(name)}")
    if given:
        raise NetworkError(f"{where}.{name}: is a layer table, which has no parameters")
    return read_network(_table(name))


def _remedy(name: str) -> str:
    begun = [each for each in names() if each.startswith(f"{name}-")]
    if len(begun) > 1:
        return f"there are {', '.join(begun[:-1])} and {begun[-1]}"
    return nearest(name, names())


def _table(name: str) -> Path:
    return shipped.WORKLOADS / "networks" / f"{name}.yaml"


__all__ = [
    "RECIPES", "Recipe", "described", "find_network", "names", "parameters", "source",
]  # fmt: skip
