"""What an audit says: the public document of `hooklog audit --json`."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from projections.audit.offender import Findings
from projections.audit.sums import FIGURES
from projections.audit.window import Window
from schemas.headers import rfc3339

NOT_EXAMINED = "not_examined"
"""Told of offsets that a limit left out."""


@dataclass
class Report:
    """What was counted and found.

    Attributes:
        window: what it is about.
        cut_ms: epoch milliseconds of the moment at which the streams were cut.
        figures: by the names of `FIGURES`.
        told: what is no error, and worth a line.
        streams: by stream, the records that were looked for and the rows that were found.
    """

    window: Window
    cut_ms: int
    findings: Findings
    figures: Counter[str] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)
    streams: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether everything has become what it should."""
        return not self.findings.counts

    def document(self) -> dict[str, Any]:
        """For programs; times are RFC 3339 in UTC."""
        return {
            "ok": self.ok,
            "since": rfc3339(self.window.since_ms),
            "until": rfc3339(self.window.until_ms),
            "cut_at": rfc3339(self.cut_ms),
            **{name: self.figures[name] for name in FIGURES if name != "late"},
            "told": {name: number for name, number in sorted(self.told.items()) if number},
            "streams": self.streams,
            "offenders_total": self.findings.counts.total(),
            "offenders_by_kind": dict(sorted(self.findings.counts.items())),
            "offenders": [offender._asdict() for offender in self.findings.kept],
        }
