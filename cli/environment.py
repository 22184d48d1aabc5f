"""Reads the settings for a command, and says in plain words which variable is wrong."""

from typing import TYPE_CHECKING

from cli.exits import refuse

if TYPE_CHECKING:
    from pydantic import ValidationError

    from runtime.settings import Settings


def read_settings() -> "Settings":
    """Read `HOOKLOG_*`; ends the command with exit code 2 and a line per wrong variable."""
    from pydantic import ValidationError

    from runtime.settings import Settings

    try:
        return Settings()
    except ValidationError as error:
        refuse("these settings cannot be used:\n" + "\n".join(_complaints(error)))


def _complaints(error: "ValidationError") -> list[str]:
    complaints = []
    for item in error.errors(include_url=False):
        name = "_".join(str(part) for part in item["loc"]).upper() or "(together)"
        told = item["msg"].removeprefix("Value error, ")
        message = told[:1].lower() + told[1:]
        complaints.append(f"  HOOKLOG_{name}={item['input']!r}: {message}")
    return complaints
