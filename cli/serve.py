"""Runs one service in this process: what `hooklog up` starts as children, and what production starts itself."""

import importlib

from cli.environment import read_settings
from cli.exits import refuse


def serve(service: str) -> None:
    """Run `ingest`, `processors` or `projections` until it is stopped.

    Missing or malformed secrets and plug-ins end it with exit code 2: starting it again would change nothing.
    """
    settings = read_settings()
    from rules.verify.plugins import PluginError
    from runtime.keyring import UnusableKeyringError
    from runtime.secrets_files import SetSecretError
    from runtime.tls_files import UnusableTlsFilesError

    try:
        importlib.import_module(f"{service}.app").run(settings)
    except (SetSecretError, UnusableKeyringError, UnusableTlsFilesError, PluginError) as error:
        refuse(error)
    except KeyboardInterrupt:
        raise SystemExit(0) from None  # Ctrl-C is how a person stops it
