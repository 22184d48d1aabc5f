"""Checks of this machine: nothing needs to run for them."""

import os
import platform
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from cli.configure.keys import OTHERS_MAY_READ, admin_key_place
from cli.doctor.finding import Finding, Site, State
from runtime.keyring import Keyring, UnusableKeyringError
from runtime.supervisor.http_probe import ask_ready
from runtime.supervisor.ports import FreePortError, PortUse, require_free_ports
from runtime.supervisor.services import port_table

MIN_PYTHON = (3, 11)

SECOND_PORT = "HOOKLOG_SQL_PORT"
"""Of projections; the supervisor writes down the first one of each service alone."""

GIB = 1 << 30
DISK_FAIL_BYTES = 1 * GIB
"""Kafka stops when it cannot roll a segment, and it rolls several of them at once."""

DISK_WARN_BYTES = 5 * GIB
"""A busy laptop writes that much in a day."""

MIN_ADMIN_KEY_CHARS = 20
"""Random letters and digits of that length have 119 bits: nobody guesses them over HTTP, from however many places."""


async def check_python(_: Site) -> Iterator[Finding]:
    """Python is new enough."""
    found = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    new_enough = sys.version_info >= MIN_PYTHON
    remedy = "" if new_enough else "make PYTHON=python3.12 up, with Python 3.11 or newer"
    return iter([Finding("python", State.OK if new_enough else State.FAIL, found, remedy)])


async def check_data_dir(site: Site) -> Iterator[Finding]:
    """The data directory is ours, writable, closed to others, and held by one Hooklog at most."""
    return _data_dir(site)


def _data_dir(site: Site) -> Iterator[Finding]:
    folder = site.settings.data_dir
    if not folder.exists():
        yield Finding("data directory", State.OK, f"{folder} is not there yet; the first start makes it")
        return
    if not folder.is_dir():
        yield Finding("data directory", State.FAIL, f"{folder} is no directory", "move it, or set HOOKLOG_DATA_DIR")
        return
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        remedy = f"chown it to the user that runs Hooklog (uid {os.getuid()}), or set HOOKLOG_DATA_DIR"
        yield Finding("data directory", State.FAIL, f"{folder} cannot be written", remedy)
    elif folder.stat().st_mode & OTHERS_MAY_READ:
        yield Finding("data directory", State.WARN, f"others may look into {folder}", f"chmod 700 {folder}")
    else:
        yield Finding("data directory", State.OK, f"{folder}, {stat.filemode(folder.stat().st_mode)}")
    held = f"held by hooklog up (pid {site.holder})" if site.holder else "free: hooklog up does not run"
    yield Finding("lock", State.OK, held)


async def check_disk(site: Site) -> Iterator[Finding]:
    """There is room for the log."""
    folder = site.settings.data_dir.absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    state = State.FAIL if free < DISK_FAIL_BYTES else State.WARN if free < DISK_WARN_BYTES else State.OK
    remedy = "" if state is State.OK else "free some, or set HOOKLOG_DATA_DIR to a larger disk"
    return iter([Finding("disk space", state, f"{free / GIB:.1f} GiB free at {folder}", remedy)])


async def check_admin_key(site: Site) -> Iterator[Finding]:
    """There is an admin key, nobody else can read it, and nobody guesses it."""
    place = admin_key_place(site.settings)
    if place["variable"]:
        return iter([_chosen_key(place["key"])])
    return iter([_secret_file(site, "admin key", Path(place["file"]), "HOOKLOG_ADMIN_KEY")])


def _chosen_key(key: str) -> Finding:
    if len(key) >= MIN_ADMIN_KEY_CHARS:
        return Finding("admin key", State.OK, "from HOOKLOG_ADMIN_KEY")
    found = f"HOOKLOG_ADMIN_KEY has {len(key)} characters, and could be guessed"
    remedy = f"choose {MIN_ADMIN_KEY_CHARS} or more at random, as openssl rand -hex 32 does, and restart all"
    return Finding("admin key", State.WARN, found, remedy)


async def check_keyring(site: Site) -> Iterator[Finding]:
    """The encryption keys can be used, and nobody else can read them."""
    return _keyring(site)


def _keyring(site: Site) -> Iterator[Finding]:
    file = site.settings.data_dir / "keyring"
    text = site.settings.encryption_keys
    if not text:
        finding = _secret_file(site, "keyring", file, "HOOKLOG_ENCRYPTION_KEYS")
        if finding.state is State.FAIL or not file.exists():
            yield finding
            return
        text = file.read_text(encoding="ascii", errors="replace")
    where = "HOOKLOG_ENCRYPTION_KEYS" if site.settings.encryption_keys else str(file)
    try:
        keys = list(Keyring.parse(text).keys)
    except UnusableKeyringError as error:
        remedy = f"mend {where}: id:base64[,id:base64]; hooklog encryption new-key makes an entry"
        yield Finding("keyring", State.FAIL, str(error), remedy)
    else:
        yield Finding("keyring", State.OK, f"{', '.join(keys)} from {where}; the first one seals")


def _secret_file(site: Site, check: str, file: Path, variable: str) -> Finding:
    if not site.settings.embedded and not file.exists():
        remedy = f"set {variable}: every process against this Kafka must have the same one"
        return Finding(check, State.FAIL, f"{variable} is not set", remedy)
    if not file.exists():
        return Finding(check, State.OK, f"{file} is not there yet; the first start makes it")
    if not os.access(file, os.R_OK) or not file.read_bytes().strip():
        remedy = f"put the secret back into {file}, or set {variable}"
        return Finding(check, State.FAIL, f"{file} is empty or cannot be read", remedy)
    mode = file.stat().st_mode
    if mode & OTHERS_MAY_READ:
        return Finding(check, State.FAIL, f"others may read {file} ({stat.filemode(mode)})", f"chmod 600 {file}")
    return Finding(check, State.OK, f"{file}, {stat.filemode(mode)}")


async def check_ports(site: Site) -> Iterator[Finding]:
    """Every port is free, or ours."""
    if not site.settings.embedded:
        return iter(())  # its services run wherever they run
    return iter([await _port(site, use) for use in port_table(site.settings)])


async def _port(site: Site, use: PortUse) -> Finding:
    check = f"port {use.port} ({use.service})"
    if use.service in site.rows and site.rows[use.service].port == use.port:
        return Finding(check, State.OK, f"held by pid {site.rows[use.service].pid} of hooklog up")
    if use.service in site.rows and use.variable == SECOND_PORT:
        return Finding(
            check, State.OK, f"of pid {site.rows[use.service].pid} of hooklog up, where it has the same setting"
        )
    if use.service in site.rows:
        return Finding(check, State.OK, f"hooklog up uses {site.rows[use.service].port} instead")
    if use.service != "kafka" and (await ask_ready(use.host, use.port)).checks:
        remedy = f"stop it, set {use.variable}, or set HOOKLOG_DATA_DIR to the one it runs on"
        return Finding(check, State.WARN, "held by a Hooklog on other data", remedy)
    try:
        require_free_ports([use])
    except FreePortError as error:
        return Finding(check, State.FAIL, str(error), f"stop its owner, or set {use.variable}")
    return Finding(check, State.OK, "free")
