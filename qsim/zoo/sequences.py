"""Recurrent models of language and speech, of the kinds that MSQ quantizes: an LSTM on PTB, an LSTM
on IMDB and a GRU on TIMIT. The sizes of MSQ's own are not known here; these are parameters.
"""

from qsim.network.graph import INPUT
from qsim.network.layers import Flatten
from qsim.network.moves import Slice
from qsim.network.pointwise import Embedding
from qsim.network.recurrent import Gru, Lstm, Recurrent
from qsim.zoo.builder import Builder
from qsim.zoo.recipe import Count, Depth, Recipe


def lstm_ptb(
    *, steps: Count = 35, hidden: Count = 650, layers: Depth = 2, vocabulary: Count = 10000
) -> Builder:
    """A word model: of the words before each place, the next one; by default the medium one of
    Zaremba et al., arXiv 1409.2329."""
    b = Builder((steps,))
    x = b.add(Embedding, "embedding", INPUT, entries=vocabulary, features=hidden)
    b.linear(_stack(b, x, Lstm, "lstm", hidden, layers), "decoder", vocabulary)
    return b


def lstm_imdb(
    *, steps: Count = 80, hidden: Count = 512, layers: Depth = 3, vocabulary: Count = 20000
) -> Builder:
    """A judge of reviews: one number, from the hidden state after the last word."""
    b = Builder((steps,))
    x = b.add(Embedding, "embedding", INPUT, entries=vocabulary, features=hidden)
    x = _stack(b, x, Lstm, "lstm", hidden, layers)
    last = b.add(Slice, "last", x, axis=0, start=steps - 1, stop=steps)
    b.linear(b.add(Flatten, "flatten", last), "decoder", 1)
    return b


def gru_timit(
    *,
    steps: Count = 100,
    features: Count = 39,
    hidden: Count = 1024,
    layers: Depth = 2,
    phones: Count = 61,
) -> Builder:
    """An acoustic model: of the features of every frame, how likely each phone is."""
    b = Builder((steps, features))
    b.linear(_stack(b, INPUT, Gru, "gru", hidden, layers), "decoder", phones)
    return b


def _stack(b: Builder, x: str, kind: type[Recurrent], name: str, hidden: int, layers: int) -> str:
    for layer in range(layers):
        x = b.add(kind, f"{name}{layer}", x, hidden=hidden)
    return x


NETWORKS = {
    "lstm-ptb": Recipe(
        lstm_ptb, "Zaremba et al., arXiv 1409.2329, medium; MSQ's size is not known"
    ),
    "lstm-imdb": Recipe(lstm_imdb, "of the kind of MSQ's, whose size is not known"),
    "gru-timit": Recipe(gru_timit, "of the kind of MSQ's, whose size is not known"),
}
