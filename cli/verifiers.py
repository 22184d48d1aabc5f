"""Makes the verifiers of other distributions known to a command, as every service does at its start."""

from cli.exits import fail


def add_installed_verifiers() -> None:
    """Load them; a broken one ends the command with exit code 1."""
    from importlib.metadata import entry_points

    from rules.verify.plugins import GROUP, PluginError, add_plugins

    try:
        add_plugins(entry_points(group=GROUP))
    except PluginError as error:
        fail(error)
