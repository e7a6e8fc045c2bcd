"""Fetch the libraries that the HTML page bundles, by exact version, with the ``npm`` client.

``python3 tools/vendor.py`` writes them to ``dataflow/viewer/assets/vendor`` where they are not what they should be;
``--check`` changes nothing, needs no network, and exit status 1 says that a file is not what it should be. The hashes
stand in ``vendor.json`` beside the files. For a new version, change the version there, run ``--accept``, which writes
the new hashes, and look at what came.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
VENDOR = ROOT / "dataflow" / "viewer" / "assets" / "vendor"
LIST = VENDOR / "vendor.json"


def main() -> int:
    """What the options say; the exit status."""
    packages = json.loads(LIST.read_text(encoding="utf-8"))
    wrong = list(differing(packages))
    if "--check" in sys.argv[1:]:
        for name in wrong:
            print(f"{name} is not what vendor.json says: run tools/vendor.py")
        return bool(wrong)
    accept = "--accept" in sys.argv[1:]
    if wrong or accept:
        for package in packages:
            fetch(package, accept)
        LIST.write_text(json.dumps(packages, indent=2) + "\n", encoding="utf-8")
    print("All libraries are what vendor.json says.")
    return 0


def differing(packages: list[dict[str, Any]]) -> list[str]:
    """The files that are not there, or have another hash."""
    return [
        file["name"]
        for package in packages
        for file in package["files"]
        if not (VENDOR / file["name"]).is_file() or digest((VENDOR / file["name"]).read_bytes()) != file["sha256"]
    ]


def digest(content: bytes) -> str:
    """The hash of a file."""
    return hashlib.sha256(content).hexdigest()


def fetch(package: dict[str, Any], accept: bool) -> None:
    """Take a package's files out of its archive; one with another hash ends it, unless it is to be accepted."""
    npm = shutil.which("npm")
    if npm is None:
        sys.exit("error: npm is needed, which comes with Node.js")
    with tempfile.TemporaryDirectory() as folder:
        wanted = f"{package['name']}@{package['version']}"
        done = subprocess.run([npm, "pack", wanted, "--pack-destination", folder, "--silent"], check=False)
        archives = list(Path(folder).glob("*.tgz"))
        if done.returncode or len(archives) != 1:
            sys.exit(f"error: npm could not fetch {wanted}")
        with tarfile.open(archives[0]) as archive:
            for file in package["files"]:
                member = archive.extractfile(f"package/{file['source']}")
                content = b"" if member is None else member.read()
                if accept:
                    file["sha256"] = digest(content)
                if digest(content) != file["sha256"]:
                    sys.exit(f"error: {file['source']} of {wanted} is not the file that vendor.json knows")
                (VENDOR / file["name"]).write_bytes(content)
                print(f"wrote {file['name']} of {wanted}")


if __name__ == "__main__":
    sys.exit(main())
