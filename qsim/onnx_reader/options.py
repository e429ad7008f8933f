"""What a user may say of an ONNX file that the file leaves open."""

import msgspec


class OnnxOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a file leaves open.

    dims        sides by the name that the file has for them, except that of the batch
    constants   inputs that are not fed, by name, and the number that each is filled with
    output      the result that is wanted, where the file has several
    """

    dims: dict[str, int] = {}
    constants: dict[str, float] = {}
    output: str | None = None
