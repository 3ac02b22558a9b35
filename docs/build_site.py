"""Build the documentation as a site: ``python docs/build_site.py [FOLDER]`` (default ``site``).

The pages open from the disk: everything they need is in the folder.  A link that leads nowhere
is an error.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "site").resolve()
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    return subprocess.run([*command, "--site-dir", str(folder)], cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main())
