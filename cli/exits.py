"""How a command ends: 0 it worked, 1 it did not, 2 it was asked wrongly; the reason goes to stderr."""

import sys
from typing import NoReturn

from cli.show import printable

OK = 0
FAILED = 1
USAGE = 2


def fail(reason: object) -> NoReturn:
    """End with exit code 1."""
    _end(reason, FAILED)


def refuse(reason: object) -> NoReturn:
    """End with exit code 2: what was asked for, or a setting, cannot be used."""
    _end(reason, USAGE)


def _end(reason: object, code: int) -> NoReturn:
    sys.stderr.write(printable(f"hooklog: {reason}\n"))
    raise SystemExit(code)
