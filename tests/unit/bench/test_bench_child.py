"""How a benchmark's child process ends: as its parent sees it."""

import subprocess
import sys

from bench.child import ROOT


def _ended(work: str) -> subprocess.CompletedProcess[str]:
    program = f"from bench.child import run_child\nasync def work():\n    {work}\nrun_child(work)"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT)


def test_a_child_that_was_asked_for_all_ends_without_a_word() -> None:
    ended = _ended("return")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_childs_failure_is_a_sentence() -> None:
    ended = _ended("raise OSError('its work returned nothing')")
    assert (ended.returncode, ended.stderr) == (1, "its work returned nothing\n")
