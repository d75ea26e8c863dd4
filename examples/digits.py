"""Handwritten digits: two classifiers trained with compiled steps, written as ordinary NumPy.

    python examples/digits.py [--quick] [--output digits.png]

Multinomial logistic regression and a 64-128-10 perceptron learn scikit-learn's 1797 digits. A step computes the
loss and its gradient and updates the parameters in place. The same step in plain NumPy, with the gradient written
by hand, is timed beside it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from side_by_side import readable, side_by_side
from sklearn.datasets import load_digits

import tracejit as tj

BATCH = 64
HIDDEN = 128
INK, ACCENT, SOFT = "#22313f", "#d1495b", "#30638e"

# ------------------------------------------------------------------------------------------- the models


def cross_entropy(scores, onehot):
    """Mean over the samples of −log softmax(scores) at the right class."""
    shifted = scores - np.max(scores, axis=1, keepdims=True)
    return np.mean(np.log(np.sum(np.exp(shifted), axis=1)) - np.sum(onehot * shifted, axis=1))


def linear_scores(parameters, x):
    """Logistic regression."""
    w, b = parameters
    return x @ w + b


def perceptron_scores(parameters, x):
    """One hidden layer."""
    w1, b1, w2, b2 = parameters
    return np.tanh(x @ w1 + b1) @ w2 + b2


@tj.jit
def linear_step(parameters, x, onehot, rate):
    """One step of gradient descent, in place; the loss before it."""
    loss, slopes = tj.value_and_grad(lambda p: cross_entropy(linear_scores(p, x), onehot))(parameters)
    for parameter, slope in zip(parameters, slopes, strict=True):
        parameter -= rate * slope
    return loss


@tj.jit
def perceptron_step(parameters, x, onehot, rate):
    """One step of gradient descent, in place; the loss before it."""
    loss, slopes = tj.value_and_grad(lambda p: cross_entropy(perceptron_scores(p, x), onehot))(parameters)
    for parameter, slope in zip(parameters, slopes, strict=True):
        parameter -= rate * slope
    return loss


# ------------------------------------------------------------- the same steps by hand, for comparison


def softmax_loss(scores, onehot):
    """The loss and its derivative with respect to the scores."""
    shifted = scores - np.max(scores, axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    sums = np.sum(exponentials, axis=1, keepdims=True)
    loss = np.mean(np.log(sums[:, 0]) - np.sum(onehot * shifted, axis=1))
    return loss, (exponentials / sums - onehot) / len(onehot)


def linear_step_by_hand(parameters, x, onehot, rate):
    """`linear_step` without a compiler."""
    w, b = parameters
    loss, slope = softmax_loss(x @ w + b, onehot)
    w -= rate * (x.T @ slope)
    b -= rate * np.sum(slope, axis=0)
    return loss


def perceptron_step_by_hand(parameters, x, onehot, rate):
    """`perceptron_step` without a compiler."""
    w1, b1, w2, b2 = parameters
    hidden = np.tanh(x @ w1 + b1)
    loss, slope = softmax_loss(hidden @ w2 + b2, onehot)
    inner = (slope @ w2.T) * (1 - hidden * hidden)
    w2 -= rate * (hidden.T @ slope)
    b2 -= rate * np.sum(slope, axis=0)
    w1 -= rate * (x.T @ inner)
    b1 -= rate * np.sum(inner, axis=0)
    return loss


# ------------------------------------------------------------------------------------------- training


class Data:
    """The digits, shuffled and split: a fifth is kept for the test."""

    def __init__(self, seed: int = 0) -> None:
        digits = load_digits()
        order = np.random.default_rng(seed).permutation(len(digits.target))
        images, labels = digits.data[order] / 16.0, digits.target[order]
        test = len(labels) // 5
        self.test_x, self.test_labels = images[:test], labels[:test]
        self.x, self.onehot = images[test:], np.eye(10)[labels[test:]]

    def batches(self, generator: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """All of the training set once, shuffled; the last batch is smaller."""
        order = generator.permutation(len(self.x))
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            yield self.x[chosen], self.onehot[chosen]


def linear_start() -> list[np.ndarray]:
    """Zeros."""
    return [np.zeros((64, 10)), np.zeros(10)]


def perceptron_start(seed: int = 1) -> list[np.ndarray]:
    """Weights that keep the variance of what passes through them."""
    generator = np.random.default_rng(seed)
    w1 = generator.standard_normal((64, HIDDEN)) / np.sqrt(64)
    w2 = generator.standard_normal((HIDDEN, 10)) / np.sqrt(HIDDEN)
    return [w1, np.zeros(HIDDEN), w2, np.zeros(10)]


def train(
    step: Callable[..., Any],
    parameters: list[np.ndarray],
    data: Data,
    rate: float,
    epochs: int,
    bar: Callable[..., Any],
) -> list[float]:
    """The mean loss of every epoch; `parameters` change in place."""
    generator = np.random.default_rng(2)
    losses = []
    for _ in range(epochs):
        batch_losses = [step(parameters, x, onehot, rate) for x, onehot in data.batches(generator)]
        losses.append(float(np.mean(batch_losses)))
        bar(losses[-1])
    return losses


class Model:
    """What belongs to one classifier, and what became of it."""

    def __init__(self, name: str, step: Any, by_hand: Any, scores: Any, start: Any, rate: float) -> None:
        self.name, self.step, self.by_hand, self.scores, self.start, self.rate = (
            name,
            step,
            by_hand,
            scores,
            start,
            rate,
        )
        self.parameters: list[np.ndarray] = start()
        self.losses: list[float] = []

    def predictions(self, x: np.ndarray) -> np.ndarray:
        """The class of each sample."""
        return np.argmax(self.scores(self.parameters, x), axis=1)

    def accuracy(self, data: Data) -> float:
        """On the test set."""
        return float(np.mean(self.predictions(data.test_x) == data.test_labels))

    def times(self, data: Data, rounds: int) -> tuple[float, float, float]:
        """Seconds per step, compiled and by hand, and their ratio; on copies of the parameters."""
        x, onehot = data.x[:BATCH], data.onehot[:BATCH]
        ours, theirs = self.start(), self.start()
        return side_by_side(
            lambda: self.step(ours, x, onehot, self.rate),
            lambda: self.by_hand(theirs, x, onehot, self.rate),
            repeat=20,
            rounds=rounds,
        )


# -------------------------------------------------------------------------------------------- picture


def draw(path: str, models: list[Model], data: Data) -> None:
    """Loss curves, the confusion matrix of the last model, and digits it takes for others."""
    last = models[-1]
    predicted = last.predictions(data.test_x)
    plt.switch_backend("agg")  # a file is wanted, whatever screen there is
    plt.rcParams.update({"text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "font.size": 11})
    figure = plt.figure(figsize=(12, 8), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)
    upper, lower = figure.subfigures(2, 1, height_ratios=[2.7, 1])
    left, right = upper.subplots(1, 2, width_ratios=[1.25, 1])
    draw_losses(left, models)
    draw_confusion(right, data.test_labels, predicted)
    right.set_title(f"Test set, {last.name}: {last.accuracy(data):.1%} right", loc="left", fontweight="bold")
    draw_mistakes(lower, data, predicted)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def draw_losses(axes: Any, models: list[Model]) -> None:
    """Cross-entropy by epoch."""
    for model, colour in zip(models, (SOFT, ACCENT), strict=True):
        epochs = np.arange(1, len(model.losses) + 1)
        axes.plot(epochs, model.losses, color=colour, linewidth=2)
        third = len(epochs) // 3
        axes.annotate(
            model.name,
            (epochs[third], model.losses[third]),
            xytext=(4, 7),
            textcoords="offset points",
            color=colour,
            fontweight="bold",
        )
    axes.set_yscale("log")
    axes.set_xlabel("epoch")
    axes.set_title("Training loss (cross-entropy)", loc="left", fontweight="bold")
    axes.grid(axis="y", which="major", color="#e6e6e6")
    axes.spines[["top", "right"]].set_visible(False)


def draw_confusion(axes: Any, labels: np.ndarray, predicted: np.ndarray) -> None:
    """Counts of true against predicted; the mistakes stand out."""
    counts = np.zeros((10, 10), dtype=int)
    np.add.at(counts, (labels, predicted), 1)
    right = np.eye(10, dtype=bool)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.set_facecolor("#f6f6f6")
    axes.imshow(np.where(right, shares, np.nan), cmap="Blues", vmin=0, vmax=1.6)
    axes.imshow(np.where(right | (counts == 0), np.nan, shares), cmap="Reds", vmin=-0.05, vmax=0.15)
    for row, column in np.argwhere(counts > 0):
        axes.text(column, row, counts[row, column], ha="center", va="center", fontsize=9)
    axes.set_xticks(range(10))
    axes.set_yticks(range(10))
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def draw_mistakes(figure: Any, data: Data, predicted: np.ndarray) -> None:
    """The first wrongly classified digits of the test set."""
    wrong = np.flatnonzero(predicted != data.test_labels)[:10]
    figure.suptitle("Wrongly classified: true → predicted", x=0.01, ha="left", fontweight="bold", fontsize=12)
    for index, axes in enumerate(figure.subplots(1, 10)):
        axes.axis("off")
        if index < len(wrong):
            sample = wrong[index]
            axes.imshow(data.test_x[sample].reshape(8, 8), cmap="Greys", interpolation="nearest")
            axes.set_title(f"{data.test_labels[sample]} → {predicted[sample]}", color=ACCENT, fontsize=13)


# ----------------------------------------------------------------------------------------------- main


def main() -> None:
    """Train, report, draw."""
    parser = argparse.ArgumentParser(description="Train two digit classifiers with compiled NumPy steps.")
    parser.add_argument("--output", default="digits.png", help="the picture (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="few epochs, for a test")
    options = parser.parse_args()
    console = Console()
    data = Data()
    models = [
        Model("logistic regression", linear_step, linear_step_by_hand, linear_scores, linear_start, 0.5),
        Model(
            "64-128-10 perceptron", perceptron_step, perceptron_step_by_hand, perceptron_scores, perceptron_start, 0.3
        ),
    ]
    epochs = 4 if options.quick else 60
    columns = (
        TextColumn("{task.description:22}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[loss]}"),
    )
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        for model in models:
            task = progress.add_task(model.name, total=epochs, loss="")

            def advance(loss: float, task: Any = task) -> None:
                progress.update(task, advance=1, loss=f"loss {loss:.4f}")

            model.losses = train(model.step, model.parameters, data, model.rate, epochs, advance)
    console.print(f"batches of {BATCH}, the last of {len(data.x) % BATCH}; {len(data.test_x)} digits kept for the test")
    for model in models:
        ours, theirs, ratio = model.times(data, rounds=5 if options.quick else 25)
        console.print(f"{model.name}", style="bold")
        console.print(f"  test accuracy  {model.accuracy(data):.1%}")
        console.print(f"  compilations   {model.step.cache_info().compiles}")
        console.print(f"  time per step  {readable(ours)}, plain NumPy {readable(theirs)}: {ratio:.2f} of NumPy's time")
    draw(options.output, models, data)
    console.print(f"picture: {options.output}")


if __name__ == "__main__":
    main()
