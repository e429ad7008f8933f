"""BERT (Devlin et al., arXiv 1810.04805) with a question-answering head: two numbers for every
token, where an answer begins and ends. Layers are named as in BertForQuestionAnswering of
transformers.

It reads the numbers of tokens, all of the first type, none of them masked.
"""

from qsim.errors import NetworkError
from qsim.network.graph import INPUT
from qsim.network.layers import MatMul, Softmax
from qsim.network.moves import Reshape, Transpose
from qsim.network.pointwise import Embedding, Gelu, LayerNorm, Scale
from qsim.zoo.builder import Builder
from qsim.zoo.recipe import Count, Depth, Recipe

HEAD = 64  # features of an attention head
EPSILON = 1e-12


def bert(
    *,
    tokens: Count = 384,
    layers: Depth = 12,
    hidden: Count = 768,
    vocabulary: Count = 30522,
) -> Builder:
    """BERT for ``tokens`` (512 at most), with ``hidden`` features in heads of 64 each.

    Raises NetworkError where ``hidden`` is no multiple of 64.
    """
    if hidden % HEAD:
        raise NetworkError(f"hidden must be a multiple of {HEAD}, the features of a head")
    b = Builder((tokens,))
    options = {"entries": vocabulary, "features": hidden, "positions": 512, "types": 2}
    x = b.add(Embedding, "bert.embeddings", INPUT, **options)
    x = b.add(LayerNorm, "bert.embeddings.LayerNorm", x, epsilon=EPSILON)
    for layer in range(layers):
        name = f"bert.encoder.layer.{layer}"
        x = _residual(b, x, _attention(b, x, f"{name}.attention"), f"{name}.attention.output")
        y = b.linear(x, f"{name}.intermediate.dense", 4 * hidden)
        y = b.add(Gelu, f"{name}.intermediate.gelu", y)
        x = _residual(b, x, y, f"{name}.output")
    b.linear(x, "qa_outputs", 2)
    return b


def _attention(b: Builder, x: str, name: str) -> str:
    hidden = b.shapes[x][1]
    heads = {}
    for part in ("query", "key", "value"):
        y = b.linear(x, f"{name}.self.{part}", hidden)
        y = b.add(Reshape, f"{name}.self.{part}.split", y, shape=(-1, hidden // HEAD, HEAD))
        heads[part] = b.add(Transpose, f"{name}.self.{part}.heads", y, order=(1, 0, 2))
    scores = b.add(MatMul, f"{name}.self.scores", heads["query"], heads["key"], transposed=True)
    scores = b.add(Scale, f"{name}.self.scale", scores, factor=HEAD**-0.5)
    shares = b.add(Softmax, f"{name}.self.softmax", scores)
    context = b.add(MatMul, f"{name}.self.context", shares, heads["value"])
    context = b.add(Transpose, f"{name}.self.context.tokens", context, order=(1, 0, 2))
    return b.add(Reshape, f"{name}.self.context.joined", context, shape=(-1, hidden))


def _residual(b: Builder, x: str, y: str, name: str) -> str:
    y = b.linear(y, f"{name}.dense", b.shapes[x][1])
    return b.add(LayerNorm, f"{name}.LayerNorm", b.plus(f"{name}.add", y, x), epsilon=EPSILON)


NETWORKS = {
    "bert-base": Recipe(
        bert, "Devlin et al., arXiv 1810.04805, base, question answering as in transformers"
    )
}
