"""`python -m data.traces`: write small samples of every format that Proofload reads."""

import argparse
from pathlib import Path

from data.traces import samples

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m data.traces", description=__doc__, allow_abbrev=False)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent.parent / "samples")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rows", type=int, default=60, help="of each file")
    given = parser.parse_args()
    for path in samples.write(given.folder, given.seed, given.rows):
        print(path)
