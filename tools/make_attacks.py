"""Write ``tests/attacks``: files that try to do harm, or to make a reader hang, crash, or fill the memory.

``python tools/make_attacks.py`` writes them anew, the same bytes each time. What must come of each stands in
``tests/attacks/expected.toml``, which is kept by hand; ``tests/files/test_attacks.py`` reads them under an audit hook.
"""

from __future__ import annotations

import sys
from pathlib import Path

from fuzzing import attack_data, attack_msgpack, attack_onnx, attack_toml

FOLDER = Path(__file__).parent.parent / "tests" / "attacks"


def main() -> int:
    """Write every file."""
    for name, data in files().items():
        (FOLDER / name).write_bytes(data)
    return 0


def files() -> dict[str, bytes]:
    """All files by name."""
    contents = {
        f"{name}.toml": text.encode() if isinstance(text, str) else text for name, text in attack_toml.FILES.items()
    }
    contents |= {f"{name}.msgpack": data for name, data in attack_msgpack.files().items()}
    contents |= {f"{name}.onnx": data for name, data in attack_onnx.files().items()}
    return contents | attack_data.files()


if __name__ == "__main__":
    sys.exit(main())
