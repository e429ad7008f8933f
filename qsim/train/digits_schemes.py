"""Train the digits networks in the papers' low-bit schemes and write qsim/data/<name>.npz.

Run as `python -m qsim.train.digits_schemes [name ...]`, all without a name; needs torch and
qsim/data/digits.npz. Every network starts from scratch and trains on the train split alone, with
fixed settings; the test split is only scored at the end. The files hold the real weights before
quantization. The first convolution and the last linear layer are trained in float32.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

try:
    import torch
    from torch import nn
    from torch.nn import functional
except ImportError as error:
    raise SystemExit("This script needs torch: pip install torch") from error

from qsim.train import straight_through as quantizers
from qsim.train.digits_cnn import DATA_DIR, SEED, accuracy_percent, load_split, shifted
from qsim.train.digits_networks import (
    Lsq,
    Pact,
    Plain,
    QuantizedConv,
    Quantizer,
    SchemeCnn,
    Ttq,
    XnorCnn,
)

THREAD_COUNT = 1
EPOCH_COUNT = 100
BATCH_IMAGES = 64
PEAK_LEARNING_RATE = 4e-3
LABEL_SMOOTHING = 0.1
ARRAY_LAYERS = (nn.Conv2d, nn.BatchNorm2d, nn.Linear)


@dataclass(frozen=True)
class Recipe:
    """How a network is made and trained.

    weight_bound   the real weights of quantized layers start uniform in, and stay in, -bound to
                   bound; None: torch's own start, no bound
    unit_norm      batch norms keep gamma = 1 and beta = 0
    weight_decay   of the layers' parameters; trained scalars have none
    alpha_decay    adds half of itself times the square of every trained scalar to the loss (PACT)
    """

    make: Callable[[], nn.Module]
    weight_decay: float = 5e-2
    weight_bound: float | None = None
    unit_norm: bool = False
    alpha_decay: float = 0.0


def scheme_cnn(
    weights: Callable[[], nn.Module], activations: Callable[[], nn.Module] = nn.ReLU
) -> Callable[[], SchemeCnn]:
    """What makes a SchemeCnn with these quantizers."""
    return partial(SchemeCnn, weights, activations)


def plain(function: Quantizer, **options: int) -> Callable[[], Plain]:
    """What makes a quantizer of ``function`` with ``options``."""
    return partial(Plain, partial(function, **options))


RECIPES = {
    "digits-dorefa-w1a2": Recipe(
        scheme_cnn(
            plain(quantizers.dorefa_weights, bits=1), plain(quantizers.unit_activations, bits=2)
        )
    ),
    "digits-wrpn-w2a4": Recipe(
        scheme_cnn(
            plain(quantizers.wrpn_weights, bits=2), plain(quantizers.unit_activations, bits=4)
        ),
        weight_decay=0.0,
        weight_bound=1.0,
    ),
    "digits-ternary": Recipe(scheme_cnn(plain(quantizers.twn_weights))),
    "digits-xnor": Recipe(partial(XnorCnn, has_map=False)),
    "digits-xnor-k": Recipe(partial(XnorCnn, has_map=True)),
    "digits-ttq": Recipe(scheme_cnn(Ttq)),
    "digits-hwgq": Recipe(
        scheme_cnn(plain(quantizers.bwn_weights), plain(quantizers.hwgq_activations)),
        unit_norm=True,
    ),
    "digits-pact": Recipe(
        scheme_cnn(plain(quantizers.dorefa_weights, bits=4), partial(Pact, bits=4, alpha=4.0)),
        alpha_decay=1e-2,
    ),
    "digits-lsq": Recipe(
        scheme_cnn(
            partial(Lsq, -4, 3, per_image=False),
            partial(Lsq, 0, 7, per_image=True),
        )
    ),
    "digits-bwn": Recipe(scheme_cnn(plain(quantizers.bwn_weights))),
    "digits-binary-connect": Recipe(
        scheme_cnn(plain(quantizers.binary_connect_weights)),
        weight_decay=0.0,
        weight_bound=1.0,
    ),
}


def prepare(model: nn.Module, recipe: Recipe) -> None:
    """Nothing; gives the model the recipe's start."""
    for layer in model.modules():
        if isinstance(layer, QuantizedConv) and recipe.weight_bound is not None:
            nn.init.uniform_(layer.weight, -recipe.weight_bound, recipe.weight_bound)
        if isinstance(layer, nn.BatchNorm2d) and recipe.unit_norm:
            layer.requires_grad_(False)


def train(model: nn.Module, recipe: Recipe, images: torch.Tensor, labels: torch.Tensor) -> None:
    """Nothing; fits the model in place and leaves it in evaluation mode."""
    prepare(model, recipe)
    model.train()
    model(images[:BATCH_IMAGES])  # sets the steps that start from the first values seen
    weights, scalars = parameters(model)
    groups = [{"params": weights}, {"params": scalars, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, weight_decay=recipe.weight_decay)
    step_count = EPOCH_COUNT * -(-len(images) // BATCH_IMAGES)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LEARNING_RATE, step_count)
    for _ in range(EPOCH_COUNT):
        for batch in torch.randperm(len(images)).split(BATCH_IMAGES):
            logits = model(shifted(images[batch]))
            loss = functional.cross_entropy(logits, labels[batch], label_smoothing=LABEL_SMOOTHING)
            loss = loss + recipe.alpha_decay / 2 * sum(scalar**2 for scalar in scalars)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            keep_bounded(model, recipe.weight_bound)
    model.eval()


def parameters(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The parameters of the layers, and the scalars of the quantizers."""
    both = list(model.parameters())
    return [p for p in both if p.ndim > 0], [p for p in both if p.ndim == 0]


def keep_bounded(model: nn.Module, bound: float | None) -> None:
    """Nothing; clips the real weights of quantized layers to -bound to bound."""
    if bound is None:
        return
    for layer in model.modules():
        if isinstance(layer, QuantizedConv):
            layer.weight.data.clamp_(-bound, bound)


def layer_arrays(model: nn.Module) -> dict[str, np.ndarray]:
    """The float32 parameters and running statistics of convolutions, batch norms and the linear
    layer under their torch names."""
    return {
        f"{name}.{key}": tensor.detach().numpy()
        for name, layer in model.named_modules()
        if isinstance(layer, ARRAY_LAYERS)
        for key, tensor in (
            *layer.named_parameters(recurse=False),
            *layer.named_buffers(recurse=False),
        )
        if tensor.is_floating_point()
    }


def trained_scalars(model: nn.Module) -> dict[str, np.float32]:
    """What quantizers trained, by name: ``relu1.alpha``, ``conv2.quantize.step``."""
    return {k: p.detach().numpy()[()] for k, p in model.named_parameters() if p.ndim == 0}


def trained(recipe: Recipe) -> nn.Module:
    """The network of a recipe, trained on the train split."""
    torch.manual_seed(SEED)
    model = recipe.make()
    train(model, recipe, *load_split("train"))
    return model


def main() -> None:
    """Nothing; trains, writes the files, and prints time, accuracies and trained scalars."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(RECIPES))
    names = parser.parse_args().names or list(RECIPES)
    if unknown := sorted(set(names) - set(RECIPES)):
        parser.error(f"no network {unknown[0]!r}; there are {', '.join(RECIPES)}")
    torch.set_num_threads(THREAD_COUNT)
    torch.use_deterministic_algorithms(True)
    for name in names:
        start_s = time.monotonic()
        model = trained(RECIPES[name])
        np.savez_compressed(DATA_DIR / f"{name}.npz", **layer_arrays(model))
        print(f"{name}: trained in {time.monotonic() - start_s:.0f} s")
        for split in ("train", "test"):
            print(f"  {split} accuracy: {accuracy_percent(model, *load_split(split)):.2f} %")
        for key, scalar in trained_scalars(model).items():
            print(f"  {key}: {scalar!s}")


if __name__ == "__main__":
    main()
