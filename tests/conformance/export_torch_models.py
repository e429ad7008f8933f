"""Float networks in plain torch, small but built as the published ones are, exported to ONNX.

Weights are seeded. Run as

    python -m conformance.export_torch_models yolo model.onnx --opset 17

from the folder ``tests`` to write a model for another program to read.
"""

import argparse
import contextlib
import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from conformance.peers import TORCH, load

TOKENS, WORDS = 6, 50


@dataclass(frozen=True)
class Example:
    """A network with what it is fed, by the names of its inputs, and which of these are fixed."""

    module: object
    feeds: dict[str, np.ndarray]
    constants: dict[str, int]


def resnet():
    """Residual blocks with batch norms, a projection, a stem with a padded pool."""
    nn = load(TORCH).nn

    class Block(nn.Module):
        def __init__(self, inside, outside, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(outside)
            self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(outside)
            self.relu = nn.ReLU(inplace=True)
            self.downsample = None
            if stride > 1 or inside != outside:
                conv = nn.Conv2d(inside, outside, 1, stride, bias=False)
                self.downsample = nn.Sequential(conv, nn.BatchNorm2d(outside))

        def forward(self, x):
            y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
            return self.relu(y + (x if self.downsample is None else self.downsample(x)))

    class ResNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(3, 8, 7, 2, 3, bias=False)
            self.bn1, self.relu = nn.BatchNorm2d(8), nn.ReLU(inplace=True)
            self.maxpool = nn.MaxPool2d(3, 2, 1)
            self.layer1 = nn.Sequential(Block(8, 8, 1), Block(8, 8, 1))
            self.layer2 = nn.Sequential(Block(8, 16, 2), Block(16, 16, 1))
            self.avgpool, self.fc = nn.AdaptiveAvgPool2d((1, 1)), nn.Linear(16, 10)

        def forward(self, x):
            x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
            x = self.avgpool(self.layer2(self.layer1(x)))
            return self.fc(load(TORCH).flatten(x, 1))

    return Example(ResNet(), _image(32), {})


def mobilenet():
    """Inverted residuals of version 3: relu6 and hard swish, squeeze and excitation, dropout."""
    torch = load(TORCH)
    nn = torch.nn

    class Excite(nn.Module):
        def __init__(self, channels):
            super().__init__()
            self.pool = nn.AdaptiveAvgPool2d(1)
            self.fc1, self.fc2 = nn.Conv2d(channels, 4, 1), nn.Conv2d(4, channels, 1)
            self.relu, self.gate = nn.ReLU(), nn.Hardsigmoid()

        def forward(self, x):
            return x * self.gate(self.fc2(self.relu(self.fc1(self.pool(x)))))

    class Inverted(nn.Module):
        def __init__(self, inside, outside, stride, bend, excited):
            super().__init__()
            inner = 3 * inside
            self.adds = stride == 1 and inside == outside
            parts = [nn.Conv2d(inside, inner, 1, bias=False), nn.BatchNorm2d(inner), bend()]
            depthwise = nn.Conv2d(inner, inner, 3, stride, 1, groups=inner, bias=False)
            parts += [depthwise, nn.BatchNorm2d(inner), bend()]
            parts += [Excite(inner)] if excited else []
            parts += [nn.Conv2d(inner, outside, 1, bias=False), nn.BatchNorm2d(outside)]
            self.conv = nn.Sequential(*parts)

        def forward(self, x):
            return x + self.conv(x) if self.adds else self.conv(x)

    features = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.Hardswish(),
        Inverted(8, 8, 1, nn.ReLU6, False), Inverted(8, 12, 2, nn.Hardswish, True),
        Inverted(12, 12, 1, nn.Hardswish, True),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(12, 16), nn.Hardswish(), nn.Dropout(0.2), nn.Linear(16, 10),
    )  # fmt: skip
    return Example(features, _image(24), {})


def yolo():
    """SiLU blocks that split and join, pools in a row, upsampling, boxes from distributions."""
    torch = load(TORCH)
    nn = torch.nn

    def cbs(inside, outside, kernel=1, stride=1):
        conv = nn.Conv2d(inside, outside, kernel, stride, kernel // 2, bias=False)
        return nn.Sequential(conv, nn.BatchNorm2d(outside), nn.SiLU())

    class C2f(nn.Module):
        def __init__(self, inside, outside):
            super().__init__()
            half = outside // 2
            self.cv1, self.cv2 = cbs(inside, outside), cbs(3 * half, outside)
            self.m = nn.Sequential(cbs(half, half, 3), cbs(half, half, 3))

        def forward(self, x):
            a, b = self.cv1(x).chunk(2, 1)
            return self.cv2(torch.cat((a, b, b + self.m(b)), 1))

    class Sppf(nn.Module):
        def __init__(self, channels):
            super().__init__()
            self.cv1, self.cv2 = cbs(channels, channels // 2), cbs(2 * channels, channels)
            self.pool = nn.MaxPool2d(5, 1, 2)

        def forward(self, x):
            x = self.cv1(x)
            y = self.pool(x)
            z = self.pool(y)
            return self.cv2(torch.cat((x, y, z, self.pool(z)), 1))

    class Yolo(nn.Module):
        bins, classes = 4, 3

        def __init__(self):
            super().__init__()
            self.stem, self.down = cbs(3, 8, 3, 2), cbs(8, 8, 3, 2)
            self.c2f, self.deep = C2f(8, 8), nn.Sequential(cbs(8, 16, 3, 2), Sppf(16))
            self.up = nn.Upsample(scale_factor=2, mode="nearest")
            self.join = C2f(24, 8)
            self.head = nn.Conv2d(8, 4 * self.bins + self.classes, 1)
            self.register_buffer("project", torch.arange(self.bins, dtype=torch.float32))
            ys, xs = torch.meshgrid(torch.arange(8) + 0.5, torch.arange(8) + 0.5, indexing="ij")
            self.register_buffer("anchors", torch.stack((xs.flatten(), ys.flatten())))

        def forward(self, x):
            x = self.c2f(self.down(self.stem(x)))
            x = self.join(torch.cat((self.up(self.deep(x)), x), 1))
            made = self.head(x).view(x.shape[0], 4 * self.bins + self.classes, -1)
            box, score = made.split((4 * self.bins, self.classes), 1)
            share = box.view(x.shape[0], 4, self.bins, -1).transpose(2, 1).softmax(1)
            distance = (
                (share * self.project.view(1, -1, 1, 1)).sum(1)
                if self.summed
                else (nn.functional.conv2d(share, self.project.view(1, -1, 1, 1))).view(
                    x.shape[0], 4, -1
                )
            )
            low, high = distance.chunk(2, 1)
            first, last = self.anchors - low, self.anchors + high
            boxes = torch.cat(((first + last) / 2, last - first), 1) * 8
            return torch.cat((boxes, score.sigmoid()), 1)

        summed = False

    return Example(Yolo(), _image(32), {})


def yolo_v3():
    """Leaky relus, residuals, a nearest upsampling and a join, as Darknet-53 has them."""
    torch = load(TORCH)
    nn = torch.nn

    def cbl(inside, outside, kernel=1, stride=1):
        conv = nn.Conv2d(inside, outside, kernel, stride, kernel // 2, bias=False)
        return nn.Sequential(conv, nn.BatchNorm2d(outside), nn.LeakyReLU(0.1))

    class Yolo(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.down = cbl(3, 8, 3), cbl(8, 8, 3, 2)
            self.inner = nn.Sequential(cbl(8, 4), cbl(4, 8, 3))
            self.deep, self.narrow = cbl(8, 16, 3, 2), cbl(16, 8)
            self.up, self.head = nn.Upsample(scale_factor=2), nn.Conv2d(16, 18, 1)

        def forward(self, x):
            x = self.down(self.stem(x))
            x = x + self.inner(x)
            return self.head(torch.cat((self.up(self.narrow(self.deep(x))), x), 1))

    return Example(Yolo(), _image(16), {})


def bert(layers=2, heads=2, width=8, act="gelu"):
    """Embeddings of words, places and types, masked attention, GELU, layer norms, a pooler."""
    torch = load(TORCH)
    nn = torch.nn

    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))

        def split(self, x):
            sides = (*x.size()[:-1], heads, width // heads)
            return x.view(sides).permute(0, 2, 1, 3)

        def forward(self, x, mask):
            q, k, v = (self.split(each(x)) for each in (self.query, self.key, self.value))
            scores = torch.matmul(q, k.transpose(-1, -2)) / (width // heads) ** 0.5 + mask
            context = torch.matmul(scores.softmax(-1), v).permute(0, 2, 1, 3).contiguous()
            return context.view((*context.size()[:-2], width))

    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention, self.output = Attention(), nn.Linear(width, width)
            self.norm1, self.norm2 = (nn.LayerNorm(width, eps=1e-12) for _ in range(2))
            self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
            self.act = nn.GELU(approximate="tanh" if act == "gelu_new" else "none")

        def forward(self, x, mask):
            x = self.norm1(self.output(self.attention(x, mask)) + x)
            return self.norm2(self.down(self.act(self.up(x))) + x)

    class Bert(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.places = nn.Embedding(WORDS, width), nn.Embedding(16, width)
            self.types = nn.Embedding(2, width)
            self.register_buffer("position_ids", torch.arange(16).expand((1, -1)))
            self.norm = nn.LayerNorm(width, eps=1e-12)
            self.layers = nn.ModuleList(Layer() for _ in range(layers))
            self.pooler, self.classifier = nn.Linear(width, width), nn.Linear(width, 3)

        def forward(self, input_ids, attention_mask, token_type_ids):
            mask = attention_mask[:, None, None, :].to(torch.float32)
            mask = (1.0 - mask) * torch.finfo(torch.float32).min
            places = self.position_ids[:, : input_ids.size()[1]]
            x = self.words(input_ids) + self.types(token_type_ids) + self.places(places)
            x = self.norm(x)
            for layer in self.layers:
                x = layer(x, mask)
            return self.classifier(torch.tanh(self.pooler(x[:, 0])))

    ids = np.random.default_rng(1).integers(0, WORDS, (1, TOKENS))
    ones, zeros = np.ones((1, TOKENS), np.int64), np.zeros((1, TOKENS), np.int64)
    feeds = {"input_ids": ids, "attention_mask": ones, "token_type_ids": zeros}
    return Example(Bert(), feeds, {"attention_mask": 1, "token_type_ids": 0})


def _recurrent(kind):
    torch = load(TORCH)

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = getattr(torch.nn, kind)(5, 6, num_layers=2, batch_first=True)
            self.fc = torch.nn.Linear(6, 4)

        def forward(self, x):
            y, _ = self.rnn(x)
            return self.fc(y)

    x = np.random.default_rng(1).standard_normal((1, 7, 5)).astype(np.float32)
    return Example(Model(), {"input": x}, {})


def lstm():
    """Two LSTMs and a linear layer of every step."""
    return _recurrent("LSTM")


def gru():
    """Two GRUs and a linear layer of every step."""
    return _recurrent("GRU")


def words_lstm():
    """A language model: an embedding, an LSTM, the next word."""
    torch = load(TORCH)

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = torch.nn.Embedding(WORDS, 5)
            self.lstm, self.fc = torch.nn.LSTM(5, 6), torch.nn.Linear(6, WORDS)

        def forward(self, tokens):
            y, _ = self.lstm(self.embedding(tokens).transpose(0, 1))
            return self.fc(y.transpose(0, 1))

    return Example(
        Model(), {"tokens": np.random.default_rng(1).integers(0, WORDS, (1, TOKENS))}, {}
    )


NETWORKS = {
    each.__name__: each for each in (resnet, mobilenet, yolo, yolo_v3, bert, lstm, gru, words_lstm)
}


def exported(name, path, opset=17, *, dynamic=(), seed=0, fold=True, trained=False):
    """Write a network; its feeds, and which inputs are fixed.

    dynamic   axes of every input whose sides are left open, by number
    trained   keeps batch norms apart from convolutions, as models are exported to train further
    """
    torch = load(TORCH)
    torch.manual_seed(seed)
    example = NETWORKS[name]()
    model = example.module.eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.5, 0.5)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    names = {0: "batch", 1: "sequence"}
    axes = {key: {axis: names[axis] for axis in dynamic} for key in example.feeds}
    training = torch.onnx.TrainingMode.PRESERVE if trained else torch.onnx.TrainingMode.EVAL
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # of the exporter's own deprecations
        torch.onnx.export(
            model, tuple(torch.from_numpy(each) for each in example.feeds.values()), path,
            input_names=list(example.feeds), output_names=["output"], opset_version=opset,
            dynamic_axes=axes if dynamic else None, do_constant_folding=fold, training=training,
            dynamo=False,
        )  # fmt: skip
    return example.feeds, example.constants


def _image(side):
    x = np.random.default_rng(1).standard_normal((1, 3, side, side))
    return {"input": x.astype(np.float32)}


def main(argv=None):
    parser = argparse.ArgumentParser(description="Write a float network as ONNX.")
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("path", type=Path)
    parser.add_argument("--opset", type=int, default=17)
    arguments = parser.parse_args(argv)
    exported(arguments.network, arguments.path, arguments.opset)


if __name__ == "__main__":
    main()
