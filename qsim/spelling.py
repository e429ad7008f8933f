"""Things with parameters as they are spelled: ``name(key=value)`` in a line of text, and
``{name: {key: value}}`` in a document."""

import re

from qsim.errors import QsimError

CALL = re.compile(r"\s*([\w.@-]+)\s*(?:\((.*)\))?\s*")
WHOLE = re.compile(r"[+-]?[0-9]{1,100}")
DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def parse_call(text: str, *, what: str, example: str) -> tuple[str, dict]:
    """The name and the parameters of ``name`` or ``name(key=value, ...)``.

    Raises QsimError beginning with ``what`` and the text on anything else.
    """
    match = CALL.fullmatch(text)
    if match is None:
        raise QsimError(f"{what} {text!r}: expected a name with parameters, as {example}")
    name, inner = match[1], match[2] or ""
    pair = example.partition("(")[2].rstrip(")")
    parameters = {}
    for part in inner.split(",") if inner.strip() else ():
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not key:
            raise QsimError(f"{what} {text!r}: expected key=value, as {pair}, not {part.strip()!r}")
        if key in parameters:
            raise QsimError(f"{what} {text!r}: {key} is given twice")
        parameters[key] = _scalar(value)
    return name, parameters


def split_call(document: str | dict, where: str, wanted: str) -> tuple[str, dict]:
    """The name and the parameters of ``name`` or ``{name: {key: value}}``.

    Raises QsimError naming ``where`` and what is ``wanted`` on anything else.
    """
    if isinstance(document, str):
        return document, {}
    if len(document) != 1:
        raise QsimError(f"{where}: expected {wanted}")
    [(name, parameters)] = document.items()
    if not isinstance(parameters, dict):
        pair = wanted.partition("{")[2].partition(": ")[2].rstrip("}") + "}"
        raise QsimError(f"{where}.{name}: expected a mapping of parameters such as {pair}")
    return name, parameters


def _scalar(text: str) -> str | int | float | bool | None:
    named = {"true": True, "false": False, "none": None}
    if text.lower() in named:
        return named[text.lower()]
    if WHOLE.fullmatch(text):
        return int(text)
    return float(text) if DECIMAL.fullmatch(text) else text.strip("'\"")
