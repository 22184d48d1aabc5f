"""The check of the certificate that ingest and the query API are to serve with."""

import datetime as dt
import stat
from collections.abc import Iterator

from cli.configure.keys import OTHERS_MAY_READ
from cli.doctor.finding import Finding, Site, State
from rules.certificates import SOON
from runtime.tls_files import TlsFiles, UnusableTlsFilesError

REMEDY = "put a new one, and its key, into the place of the files: they are read again within seconds"


async def check_certificate(site: Site) -> Iterator[Finding]:
    """The files can be used, and the certificate is valid for a while."""
    try:
        files = TlsFiles.of(site.settings)
        if files is None:
            return iter(())
        files.context()
        return iter([_lasting(files), *_open_to_others(files)])
    except UnusableTlsFilesError as error:
        return iter([Finding("certificate", State.FAIL, str(error), "mend the file, or the variable")])


def _open_to_others(files: TlsFiles) -> Iterator[Finding]:
    mode = files.key.stat().st_mode
    if mode & OTHERS_MAY_READ:
        found = f"others may read {files.key} ({stat.filemode(mode)})"
        yield Finding("certificate's key", State.WARN, found, f"chmod 600 {files.key}")


def _lasting(files: TlsFiles) -> Finding:
    ends, now = files.ends(), dt.datetime.now(dt.UTC)
    if ends <= now:
        return Finding("certificate", State.FAIL, f"{files.cert} expired at {ends:%Y-%m-%d %H:%M} UTC", REMEDY)
    if ends <= now + SOON:
        return Finding("certificate", State.WARN, f"{files.cert} expires at {ends:%Y-%m-%d %H:%M} UTC", REMEDY)
    return Finding("certificate", State.OK, f"{files.cert} is valid until {ends:%Y-%m-%d %H:%M} UTC")
