"""What needs no machine, arranged as deploys/ is."""

from pathlib import Path

UNIT = Path(__file__).resolve().parent
ROOT = UNIT.parents[1]
