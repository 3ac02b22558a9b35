"""A run killed at random moments ends as one that was not (``benchmarks/kills.py``, small)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("workers", "kills", "claims"), [(1, 8, 60), (2, 2, 30)])
def test_killed_runs_end_as_undisturbed_ones(
    tmp_path: Path, workers: int, kills: int, claims: int
) -> None:
    out = tmp_path / "counts.json"
    subprocess.run(
        [
            *(sys.executable, str(ROOT / "benchmarks" / "kills.py"), "--out", str(out)),
            *("--workers", str(workers), "--kills", str(kills), "--claims", str(claims)),
        ],
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    counts = json.loads(out.read_text())
    assert counts["kills"] == kills and counts["claims"] == claims
    assert counts["verdicts that changed once shown"] == 0
    assert counts["verdicts that differ"] == 0
    assert counts["workers left over"] == 0
    if workers == 1 and not counts["verdicts shown again after a kill"]:
        pytest.skip("too busy a machine: every run was killed before its first verdict")
