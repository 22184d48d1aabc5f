"""`hooklog doctor` as it is typed."""

from cli.configure import options


def doctor(as_json: options.AsJson = False) -> None:
    """Look for what keeps Hooklog from working here, and say how to mend it (exit code 1 when something does)."""
    from cli.doctor.examination import doctor as run

    run(as_json=as_json)
