"""Train the small residual digits network and write qsim/data/digits-cnn.npz.

Run as `python -m qsim.train.digits_cnn`; needs torch and qsim/data/digits.npz. Training is plain
float32 on the train split alone, with fixed settings; the test split is only scored at the end.
"""

import time
from pathlib import Path

import numpy as np

try:
    import torch
    from torch import nn
    from torch.nn import functional
except ImportError as error:
    raise SystemExit("This script needs torch: pip install torch") from error

DATA_DIR = Path(__file__).resolve().parent.parent / "data"
SEED = 0
THREAD_COUNT = 2
EPOCH_COUNT = 100
BATCH_IMAGES = 64
PEAK_LEARNING_RATE = 4e-3
WEIGHT_DECAY = 5e-2
LABEL_SMOOTHING = 0.1


class DigitsCnn(nn.Module):
    """Logits (N, 10) of images (N, 1, 8, 8) in [0, 1]: three convolutions, one residual add."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(32)
        self.conv3 = nn.Conv2d(32, 32, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(32)
        self.fc = nn.Linear(128, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (N, 10)."""
        hidden = functional.relu(self.bn1(self.conv1(images)))
        hidden = functional.relu(self.bn2(self.conv2(hidden)))
        pooled = functional.max_pool2d(hidden, 2)
        hidden = functional.relu(self.bn3(self.conv3(pooled)) + pooled)
        return self.fc(functional.max_pool2d(hidden, 2).flatten(1))


def load_split(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Images in [0, 1], float32, and int64 labels of the split called "train" or "test"."""
    arrays = np.load(DATA_DIR / "digits.npz")
    images, labels = (torch.from_numpy(arrays[f"{name}_{part}"]) for part in ("images", "labels"))
    return images.float() / 16, labels.long()


def shifted(images: torch.Tensor) -> torch.Tensor:
    """The images, each moved by -1, 0 or 1 pixel along both axes, zeros moved in."""
    (count, _, height, width), padded = images.shape, functional.pad(images, (1, 1, 1, 1))
    top, left = torch.randint(0, 3, (2, count, 1, 1))
    rows = top + torch.arange(height).view(1, -1, 1)
    columns = left + torch.arange(width).view(1, 1, -1)
    return padded[torch.arange(count).view(-1, 1, 1), 0, rows, columns].unsqueeze(1)


def train(model: DigitsCnn, images: torch.Tensor, labels: torch.Tensor) -> None:
    """Nothing; fits the model in place and leaves it in evaluation mode."""
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=WEIGHT_DECAY)
    step_count = EPOCH_COUNT * -(-len(images) // BATCH_IMAGES)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LEARNING_RATE, step_count)
    model.train()
    for _ in range(EPOCH_COUNT):
        for batch in torch.randperm(len(images)).split(BATCH_IMAGES):
            logits = model(shifted(images[batch]))
            loss = functional.cross_entropy(logits, labels[batch], label_smoothing=LABEL_SMOOTHING)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    model.eval()


def accuracy_percent(model: DigitsCnn, images: torch.Tensor, labels: torch.Tensor) -> float:
    """The share of images whose largest logit is at their label, in percent."""
    with torch.no_grad():
        return 100 * (model(images).argmax(1) == labels).double().mean().item()


def save(model: DigitsCnn, path: Path) -> None:
    """Nothing; writes the float32 parameters and running statistics under their torch names."""
    state = {k: v.numpy() for k, v in model.state_dict().items() if v.is_floating_point()}
    np.savez_compressed(path, **state)


def main() -> None:
    """Nothing; trains, writes the file, and prints the time and both accuracies."""
    torch.manual_seed(SEED)
    torch.set_num_threads(THREAD_COUNT)
    torch.use_deterministic_algorithms(True)
    model, start_s = DigitsCnn(), time.monotonic()
    train(model, *load_split("train"))
    save(model, DATA_DIR / "digits-cnn.npz")
    print(f"trained in {time.monotonic() - start_s:.0f} s")
    for name in ("train", "test"):
        print(f"{name} accuracy: {accuracy_percent(model, *load_split(name)):.2f} %")


if __name__ == "__main__":
    main()
