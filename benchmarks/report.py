"""The figures as tables and as JSON."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from benchmarks.run import FAN_OUT, Figures, Load

DISTURBED = 0.06
"""Share of the machine that other work may take: as in the peers' measurements."""


@dataclass(frozen=True)
class Stages:
    """One load, in five runs.

    Attributes:
        none: nobody subscribed, so that the workers only dispatch.
        one: one endpoint that answers at once.
        once: one whose first answer to each event is a failure; it is tried again a second later.
        floor: the bare pipeline, as `one`.
        loop: the bare pipeline with the client of Hooklog's deliveries.
    """

    load: Load
    none: Figures
    one: Figures
    once: Figures
    floor: Figures
    loop: Figures

    @property
    def runs(self) -> tuple[Figures, ...]:
        """All five."""
        return (self.none, self.one, self.once, self.floor, self.loop)

    @property
    def deliver_ms(self) -> float:
        """CPU that the worker used for a delivery, when it was dispatched."""
        return self.one.cpu_ms["processors"] - self.none.cpu_ms["processors"]

    @property
    def loop_ms(self) -> float:
        """CPU that the bare loop used for a delivery."""
        return self.loop.cpu_ms["loop"]

    def rows(self) -> dict[str, tuple[float, float]]:
        """Stage to its CPU milliseconds an event, and to the bare pipeline's."""
        one, floor = self.one.cpu_ms, self.floor.cpu_ms
        dispatch = self.none.cpu_ms["processors"]
        return {
            "ingest": (one["ingest"], floor["ingest"]),
            "dispatch": (dispatch, 0.0),
            "deliver": (self.deliver_ms, floor["worker"]),
            "deliver, beside a loop with its client": (self.deliver_ms, self.loop_ms),
            "dispatch and deliver, beside the loop": (one["processors"], self.loop_ms),
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
            "others_share": round(max(run.others_share for run in self.runs), 3),
        }


@dataclass(frozen=True)
class FanOut:
    """A load of events that ten endpoints get."""

    ten: Figures

    def rows(self) -> dict[str, float]:
        """Stage to its CPU milliseconds a delivery."""
        stages = {"ingest": "ingest", "dispatch and deliver": "processors", "projection": "projections"}
        names = stages | {"Kafka (JVM)": "kafka", "supervisor": "up"}
        used = {stage: self.ten.cpu_ms[name] / self.ten.fan_out for stage, name in names.items()}
        return used | {"all": sum(used.values())}

    def document(self) -> dict[str, object]:
        """Everything, for programs."""
        return {
            "cpu_ms_per_delivery": {stage: round(value, 3) for stage, value in self.rows().items()},
            "delivered_per_s": round(self.ten.delivered_per_s),
            "end_to_end_p50_p99_ms": [round(value, 1) for value in self.ten.end_to_end_ms],
            "others_share": round(self.ten.others_share, 3),
        }


@dataclass
class Report:
    """What was measured beside the stages, by name, with its unit in the name, and what it should be.

    Attributes:
        most: what a figure should not be above.
        least: what a figure should not be below.
    """

    figures: dict[str, float] = field(default_factory=dict)
    most: dict[str, float] = field(default_factory=dict)
    least: dict[str, float] = field(default_factory=dict)

    def note(self, name: str, value: float, aim: float | None = None, *, at_least: float | None = None) -> None:
        """Writes a figure down."""
        self.figures[name] = round(value, 3)
        if aim is not None:
            self.most[name] = aim
        if at_least is not None:
            self.least[name] = at_least

    def rows(self) -> Iterator[tuple[str, str, str]]:
        """Name, figure and aim of each."""
        for name, value in self.figures.items():
            most, least = self.most.get(name), self.least.get(name)
            missed = (most is not None and value > most) or (least is not None and value < least)
            colour = "[red]" if missed else "[green]" if (most, least) != (None, None) else ""
            aim = f"at most {most:,g}" if most is not None else f"at least {least:,g}" if least is not None else ""
            yield name.replace("_", " "), f"{colour}{value:,.2f}", aim


def show(report: Report, stages: Mapping[str, Stages], fan_out: FanOut, machine: str) -> None:
    """Prints it as Markdown would show it."""
    console = Console(width=110)
    console.print(f"{machine}; 1 KiB bodies; CPU in milliseconds an event, lower bound = bare pipeline")
    for name, stage in stages.items():
        console.print(_stages_table(name, stage))
    console.print(_fan_out_table(fan_out))
    table = Table("what", "measured", "aim", title="aims, start and memory")
    for cells in report.rows():
        table.add_row(*cells)
    console.print(table)


def _stages_table(name: str, stage: Stages) -> Table:
    table = Table("stage", "Hooklog", "lower bound", "times", title=name)
    for row, (own, bare) in stage.rows().items():
        table.add_row(row, f"{own:.2f}", f"{bare:.2f}" if bare else "", f"{own / bare:.1f}" if bare else "")
    _add_others(table, stage.document(), "cpu_ms_per_event_and_floor")
    _warn(table, stage.runs)
    return table


def _fan_out_table(fan_out: FanOut) -> Table:
    table = Table("stage", "CPU ms a delivery", title=FAN_OUT.name)
    for row, used_ms in fan_out.rows().items():
        table.add_row(row, f"{used_ms:.3f}")
    _add_others(table, fan_out.document(), "cpu_ms_per_delivery")
    _warn(table, [fan_out.ten])
    return table


def _add_others(table: Table, document: Mapping[str, object], shown: str) -> None:
    for row, value in document.items():
        if row != shown:
            table.add_row(row.replace("_", " "), str(value))


def _warn(table: Table, runs: Iterable[Figures]) -> None:
    if max(run.others_share for run in runs) > DISTURBED:
        table.add_row("[red]disturbed by other work", "")
