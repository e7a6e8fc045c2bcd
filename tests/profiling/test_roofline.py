"""The roofline: limits by hand, and what a profile tells of them."""

from __future__ import annotations

import json

import pytest
from checkout import ROOT
from click.testing import CliRunner

import dataflow
from dataflow.backends.numpy_backend import NumpyBackend
from dataflow.cli.group import main
from dataflow.profiling.roofline import COMPUTE, MEMORY, Peaks, measure_peaks
from dataflow.profiling.step_costs import Row, total

DIGITS = str(ROOT / "models/digits.toml")
PEAKS = Peaks(1, {"float64": 1e9, "float32": 2e9}, ((1000, 1e9), (100_000, 1e8)))


@pytest.mark.parametrize(
    ("operations", "moved", "dtype", "limit", "seconds"),
    [
        (1000, 500, "float64", COMPUTE, 1e-6),  # 1000 / 1e9 against 500 / 1e9
        (1000, 500, "float32", MEMORY, 5e-7),  # 1000 / 2e9 is no more than 500 / 1e9
        (1000, 1000, "float64", MEMORY, 1e-6),
        (1000, 2000, "float64", MEMORY, 2e-5),  # no longer in the first cache: 2000 / 1e8
        (1000, 10**6, "float64", MEMORY, 1e-2),  # beyond the largest copy, its speed holds
        (1000, 0, "int64", COMPUTE, 5e-7),  # of another dtype, the highest peak
        (0, 0, "float64", MEMORY, 0.0),
    ],
)
def test_limits_by_hand(operations, moved, dtype, limit, seconds):
    assert PEAKS.limit(operations, moved, dtype) == (limit, pytest.approx(seconds, rel=1e-12))


def test_rows_add_up():
    def row(limited, least, seconds):
        return Row("forward", "", "", "", "", dataflow.Cost(), 0, 0, seconds, limited=limited, least=least)

    whole = total([row(MEMORY, 1.0, 4.0), row(COMPUTE, 3.0, 3.0), row(MEMORY, 1.0, 3.0)])
    assert (whole.limited, whole.least, whole.reached) == (COMPUTE, 5.0, 0.5)
    assert total([]).reached is None


def test_peaks_of_this_machine():
    peaks = measure_peaks(["float32", "int64", "float32"], 1, NumpyBackend().scope)
    assert list(peaks.operations) == ["float32"]
    assert peaks.operations["float32"] > 1e8
    assert all(speed > 1e7 for _, speed in peaks.bandwidth)


def test_profile_with_roofline():
    ran = CliRunner().invoke(main, ["profile", DIGITS, "--roofline", "--rounds", "2", "--json"])
    assert ran.exit_code == 0
    told = json.loads(ran.stdout)
    for row in told["rows"]:
        operations = sum(row[kind] for kind in dataflow.Cost().plain())
        computing = operations / told["peaks"]["operations_per_second"]["float64"]
        assert row["limited_by"] in (COMPUTE, MEMORY)
        assert row["least"] >= computing * (1 - 1e-12)
        assert (row["least"] == pytest.approx(computing)) == (row["limited_by"] == COMPUTE)
    plain = json.loads(CliRunner().invoke(main, ["profile", DIGITS, "--no-run", "--json"]).stdout)
    assert "peaks" not in plain
    assert "least" not in plain["rows"][0]


@pytest.mark.parametrize("more", [["--no-run"], ["--rounds", "2"], ["--by", "op", "--rounds", "2"]])
def test_the_table_fits_a_terminal(more):
    ran = CliRunner().invoke(main, ["profile", DIGITS, "--roofline", *more])
    assert ran.exit_code == 0
    table = ran.stdout.split("\n\n")[1].splitlines()
    assert max(map(len, table)) <= 80
    assert ("peak" in table[0]) == ("--no-run" not in more)
    assert "peaks of this machine" in ran.stdout
