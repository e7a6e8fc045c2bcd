"""Cases by number: which kind, and the bytes of the file. A case follows from the seed and its number alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

from fuzzing import containers, datasets, expressions, onnx_files, toml

Mutator = Callable[[Random, list[bytes]], bytes]

KINDS: Mapping[str, tuple[str, int, Mutator]] = {
    "msgpack, any byte": (".msgpack", 10, containers.any_bytes),
    "msgpack, header's bytes": (".msgpack", 12, containers.header_bytes),
    "msgpack, header's structure": (".msgpack", 24, containers.header_tree),
    "msgpack, tensors": (".msgpack", 12, containers.tensors),
    "TOML, any byte": (".toml", 6, toml.any_bytes),
    "TOML, tokens and lines": (".toml", 10, toml.tokens),
    "TOML, structure": (".toml", 8, toml.tree),
    "expressions": (".toml", 10, expressions.one_node),
    "CSV": (".csv", 3, datasets.csv),
    "packed CSV": (".csv.gz", 2, datasets.packed_csv),
    "JSON": (".json", 2, datasets.json_file),
    "ONNX, any byte": (".onnx", 4, containers.any_bytes),
    "ONNX, structure": (".onnx", 8, onnx_files.structure),
    "NumPy archive": (".npz", 2, datasets.archive),
}
"""Each kind with the ending of its files, its share, and what makes them."""

_ENDINGS = {".csv.gz": ".csv"}


@dataclass(frozen=True)
class Case:
    """A hostile file."""

    number: int
    kind: str
    ending: str
    data: bytes
    rng: Random
    """What is drawn for this case from here on."""


class Cases:
    """All cases of one seed, over a corpus: a folder of sound files."""

    def __init__(self, corpus: Path, seed: int, only: str | None = None) -> None:
        self.seed = seed
        files = sorted(path for path in corpus.iterdir() if path.is_file())
        self.seeds = {
            ending: [path.read_bytes() for path in files if path.name.endswith(ending)]
            for ending in {_ENDINGS.get(ending, ending) for ending, _, _ in KINDS.values()}
        }
        if empty := sorted(ending for ending, paths in self.seeds.items() if not paths):
            raise SystemExit(f"{corpus}: there is no file that ends in {', '.join(empty)}; name another folder")
        self.kinds = [kind for kind in KINDS if only is None or only in kind]
        if not self.kinds:
            raise SystemExit(f"unknown kind {only!r}; available: {', '.join(KINDS)}")
        self.weights = [KINDS[kind][1] for kind in self.kinds]

    def __getitem__(self, number: int) -> Case:
        rng = Random(f"{self.seed}:{number}")
        kind = rng.choices(self.kinds, self.weights)[0]
        ending, _, make = KINDS[kind]
        return Case(number, kind, ending, make(rng, self.seeds[_ENDINGS.get(ending, ending)]), rng)
