"""`hooklog doctor`: every check at once, and what they found, in one order."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict

from cli.doctor.audit import check_audit
from cli.doctor.certificate import check_certificate
from cli.doctor.finding import Finding, Site, State
from cli.doctor.machine import (
    check_admin_key,
    check_data_dir,
    check_disk,
    check_keyring,
    check_ports,
    check_python,
)
from cli.doctor.services import check_lag, check_services, check_tables
from cli.doctor.streams import check_kafka
from cli.environment import read_settings
from cli.exits import FAILED, OK
from cli.show import print_json
from runtime.asking_tls import UnusableClientFilesError

Check = Callable[[Site], Awaitable[Iterator[Finding]]]

CHECKS: tuple[Check, ...] = (
    check_python,
    check_data_dir,
    check_disk,
    check_admin_key,
    check_keyring,
    check_certificate,
    check_ports,
    check_kafka,
    check_services,
    check_lag,
    check_tables,
    check_audit,
)

_COLOURS = {State.OK: "green", State.WARN: "yellow", State.FAIL: "red"}


def doctor(*, as_json: bool) -> None:
    """Print what every check finds; exit code 1 when one failed."""
    settings = read_settings()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # "cannot connect" is a finding here, no error
    findings = asyncio.run(_examine(Site.visit(settings)))
    if as_json:
        for finding in findings:
            print_json(asdict(finding))
    else:
        _show(findings)
    raise SystemExit(FAILED if any(finding.state is State.FAIL for finding in findings) else OK)


async def _examine(site: Site) -> list[Finding]:
    found = await asyncio.gather(*(_checked(check, site) for check in CHECKS))
    return [finding for findings in found for finding in findings]


async def _checked(check: Check, site: Site) -> list[Finding]:
    try:
        return list(await check(site))
    except OSError as error:  # such as a folder that nobody may look into
        name = check.__name__.removeprefix("check_").replace("_", " ")
        return [Finding(name, State.FAIL, str(error), "let the user that runs Hooklog read and write it")]
    except UnusableClientFilesError as error:
        return [Finding("client certificate", State.FAIL, str(error), "mend the file, or the variable")]


def _show(findings: list[Finding]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    for finding in findings:
        console.print(
            Text.assemble(
                (f"{finding.state:<5}", _COLOURS[finding.state]), (finding.check, "bold"), f": {finding.found}"
            )
        )
        if finding.remedy:
            console.print(Text(f"       → {finding.remedy}"))
    counts = {state: sum(finding.state is state for finding in findings) for state in State}
    console.print(", ".join(f"{count} {state}" for state, count in counts.items()), style="dim")
