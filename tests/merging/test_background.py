"""What compiles in the background leaves the process's own streams alone."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import os, time
from merging import fused
fused.ready()
while "NUMBA_DISABLE_ERROR_MESSAGE_HIGHLIGHTING" not in os.environ:
    time.sleep(0.01)
from numba.core import errors
print(type(errors.termcolor()).__name__)
"""


def test_numba_does_not_swap_the_standard_streams() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "NOPColorScheme", done.stderr
