"""Reading handwritten digits: a pipeline of eight reactors on real images.

The data are the 1,797 scanned digits that come with scikit-learn. Run it twice, then edit
anything and run it again::

    python notebooks/digits.py [plant directory]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import confusion_matrix
from sklearn.svm import SVC

from pyplant import *

SHIFTS = [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0)]  # rows and columns, in pixels


class ForestConfig(ConfigBase):
    """The random forest."""

    def __init__(self):
        self.trees = 150
        self.seed = 0


class DigitsConfig(ConfigBase):
    """All that can be set. A reactor depends on what it reads, and on nothing else."""

    def __init__(self):
        self.test_share = 0.25
        self.split_seed = 1
        self.margin = 10.0
        self.forest = ForestConfig()
        self.color = "tab:orange"
        self.verbose = True
        self.mark_auxiliary(["verbose"])


@ReactorFunc
def load_images(pipe):
    """1,797 images of 8 by 8 pixels, 0 to 16, and the digit that each one shows."""
    digits = load_digits()
    pipe.send("images", digits.images.astype(np.float32))
    pipe.send("labels", digits.target)


@ReactorFunc
def split(pipe, config):
    """Which images are for training, and which for testing."""
    labels = yield pipe.receive("labels")
    order = np.random.default_rng(config.split_seed).permutation(len(labels))
    border = int(len(labels) * config.test_share)
    pipe.send("test_rows", np.sort(order[:border]))
    pipe.send("train_rows", np.sort(order[border:]))


def shift(image, rows, columns):
    """The image, moved; what leaves on one side comes back on the other."""
    return np.roll(image, (rows, columns), axis=(0, 1))


def describe(image):
    """Features of an image: its pixels and how strongly they change, scaled to 0..1."""
    down, right = np.gradient(image)
    return np.concatenate([image.ravel(), np.hypot(down, right).ravel()]) / 8


@SubreactorFunc
def features_of(pipe, rows):
    """The features of some of the images, one image at a time."""
    images = yield pipe.receive("images")
    return np.array([describe(image) for image in pipe.progress(images[rows], "describing")])


@ReactorFunc
def training_set(pipe, config):
    """Every training image in five positions, written to an HDF5 file piece by piece."""
    images, labels, rows = yield pipe.receive("images", "labels", "train_rows")
    size = len(rows)
    data = pipe.allocate("training", specs.HdfArraySpec, shape=(len(SHIFTS) * size, 128), dtype=np.float32)
    for number, (down, right) in enumerate(pipe.progress(SHIFTS, "shifting")):
        moved = [describe(shift(image, down, right)) for image in images[rows]]
        data[number * size : (number + 1) * size] = moved
    pipe.send("training", data)
    pipe.send("training_labels", np.tile(labels[rows], len(SHIFTS)))
    if config.verbose:
        print(f"  training set: {data.shape[0]} images of {data.shape[1]} features")


@ReactorFunc
def train_margin(pipe, config):
    """A support vector machine."""
    training, labels = yield pipe.receive("training", "training_labels")
    pipe.send("margin_model", SVC(C=config.margin, gamma="scale").fit(training[:], labels))


@ReactorFunc
def train_forest(pipe, config):
    """A random forest."""
    training, labels = yield pipe.receive("training", "training_labels")
    forest = RandomForestClassifier(config.forest.trees, random_state=config.forest.seed)
    pipe.send("forest_model", forest.fit(training[:], labels))


@ReactorFunc
def evaluate(pipe):
    """What both models make of the test images."""
    rows, labels = yield pipe.receive("test_rows", "labels")
    features = yield from features_of(pipe, rows)
    margin, forest = yield pipe.receive("margin_model", "forest_model")
    truth = labels[rows]
    guesses = {"margin": margin.predict(features), "forest": forest.predict(features)}
    pipe.send("accuracy", {name: float(np.mean(guess == truth)) for name, guess in guesses.items()})
    pipe.send("confusion", np.array([confusion_matrix(truth, guess) for guess in guesses.values()]))


@ReactorFunc
def plot_confusion(pipe, config):
    """How many images of each digit the models got wrong, as a picture."""
    from matplotlib.figure import Figure

    accuracy, confusion = yield pipe.receive("accuracy", "confusion")
    figure = Figure(figsize=(7, 3), layout="constrained")
    for axes, (name, share), counts in zip(figure.subplots(1, 2, sharey=True), accuracy.items(), confusion):
        wrong = counts.sum(axis=1) - counts.diagonal()
        axes.bar(range(10), wrong, color=config.color)
        axes.set(title=f"{name}: {share:.1%} right", xlabel="digit", xticks=range(10))
    path = pipe.allocate("errors_plot", Ingredient.Type.file, suffix=".png")
    figure.savefig(path, dpi=120)
    pipe.send("errors_plot", path)


@ReactorFunc
def report(pipe):
    """Say how it went. It sends nothing, so it always runs."""
    accuracy, picture = yield pipe.receive("accuracy", "errors_plot")
    for name, share in accuracy.items():
        print(f"  {name:8} {share:.1%} of the test images read correctly")
    print(f"  picture: {Path(picture).name[:12]}….png in the plant")


if __name__ == "__main__":
    directory = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_name("digits.plant")
    with Plant(directory) as plant:
        plant.set_config(DigitsConfig())
        print(plant.run_reactor(report))
