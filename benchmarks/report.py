"""The figures as tables and as JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from benchmarks.run import Figures, Load

DISTURBED = 0.06
"""Share of the machine that other work may take: as in the peers' measurements."""


@dataclass(frozen=True)
class Stages:
    """One load, in four runs.

    Attributes:
        none: nobody subscribed, so that the workers only dispatch.
        one: one endpoint that answers at once.
        once: one whose first answer to each event is a failure; it is tried again a second later.
        floor: the bare pipeline, as `one`.
    """

    load: Load
    none: Figures
    one: Figures
    once: Figures
    floor: Figures

    def rows(self) -> dict[str, tuple[float, float]]:
        """Stage to its CPU milliseconds an event, and to the bare pipeline's."""
        one, floor = self.one.cpu_ms, self.floor.cpu_ms
        dispatch = self.none.cpu_ms["processors"]
        return {
            "ingest": (one["ingest"], floor["ingest"]),
            "dispatch": (dispatch, 0.0),
            "deliver": (one["processors"] - dispatch, floor["worker"]),
            "projection": (one["projections"], floor["projections"]),
            "Kafka (JVM)": (one["kafka"], floor["kafka"]),
            "supervisor": (one["up"], 0.0),
            "all": (self.one.total_ms, self.floor.total_ms),
            "a retry adds: delay, deliver": (self.once.cpu_ms["processors"] - one["processors"], 0.0),
            "a retry adds: all": (self.once.total_ms - self.one.total_ms, 0.0),
        }

    def document(self) -> dict[str, object]:
        """Everything, for programs."""
        rows = {stage: [round(value, 3) for value in pair] for stage, pair in self.rows().items()}
        return {
            "cpu_ms_per_event_and_floor": rows,
            "delivered_per_s": round(self.one.delivered_per_s),
            "accept_p50_p99_ms": [round(value, 1) for value in self.one.accept_ms],
            "end_to_end_p50_p99_ms": [round(value, 1) for value in self.one.end_to_end_ms],
            "floor_delivered_per_s": round(self.floor.delivered_per_s),
            "floor_end_to_end_p50_p99_ms": [round(value, 1) for value in self.floor.end_to_end_ms],
            "others_share": round(max(run.others_share for run in (self.none, self.one, self.once, self.floor)), 3),
        }


@dataclass
class Report:
    """What was measured beside the stages, by name, with its unit in the name, and what it should be at most."""

    figures: dict[str, float] = field(default_factory=dict)
    aims: dict[str, float] = field(default_factory=dict)

    def note(self, name: str, value: float, aim: float | None = None) -> None:
        """Writes a figure down."""
        self.figures[name] = round(value, 3)
        if aim is not None:
            self.aims[name] = aim


def show(report: Report, stages: Mapping[str, Stages], machine: str) -> None:
    """Prints it as Markdown would show it."""
    console = Console(width=110)
    console.print(f"{machine}; one endpoint, 1 KiB bodies; CPU in milliseconds an event, lower bound = bare pipeline")
    for name, stage in stages.items():
        table = Table("stage", "Hooklog", "lower bound", "times", title=name)
        for row, (own, bare) in stage.rows().items():
            table.add_row(row, f"{own:.2f}", f"{bare:.2f}" if bare else "", f"{own / bare:.1f}" if bare else "")
        for row, value in stage.document().items():
            if row != "cpu_ms_per_event_and_floor":
                table.add_row(row.replace("_", " "), str(value))
        if max(run.others_share for run in (stage.none, stage.one, stage.once, stage.floor)) > DISTURBED:
            table.add_row("[red]disturbed by other work", "")
        console.print(table)
    table = Table("what", "measured", "aim", title="start and memory")
    for name, value in report.figures.items():
        aim = report.aims.get(name)
        colour = "" if aim is None else "[green]" if value <= aim else "[red]"
        table.add_row(name.replace("_", " "), f"{colour}{value:,.2f}", "" if aim is None else f"{aim:,.0f}")
    console.print(table)
