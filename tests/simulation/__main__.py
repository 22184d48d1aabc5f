"""Runs the worlds of some seeds: `python -m tests.simulation 17 18`."""

import sys

from tests.simulation.scenario import scenario_of
from tests.simulation.shrink import report_of
from tests.simulation.world import run

reports = [report_of(run, scenario_of(int(seed))) for seed in sys.argv[1:]]
print("\n".join(report or f"seed {seed}: well" for seed, report in zip(sys.argv[1:], reports, strict=True)))
sys.exit(any(reports))
