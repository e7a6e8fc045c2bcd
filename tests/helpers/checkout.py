"""Where things lie in the checkout."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "models"
HELPERS = ROOT / "tests" / "helpers"
ATTACKS = ROOT / "tests" / "attacks"
CORPUS = ROOT / "tests" / "corpus"
