"""`hooklog sources providers`: each way to verify a sender, and what a source needs for it."""

from dataclasses import asdict

from cli.show import print_json, print_table
from cli.verifiers import add_installed_verifiers


def providers(as_json: bool) -> None:
    """Print every auth_type, plug-ins included; with JSON all of it, one object a row."""
    from rules.verify import providers as known

    add_installed_verifiers()
    rows = [asdict(provider) for provider in known()]
    if as_json:
        for row in rows:
            print_json(row)
        return
    for row in rows:
        row["auth_config"] = "\n".join(map(_setting, row["settings"]))
        row["secret_and_rule"] = "\n".join(filter(None, (row["secret"], row["docs_url"])))
    print_table(rows, ("auth_type", "auth_config", "secret_and_rule"))


def _setting(setting: dict[str, object]) -> str:
    if setting["required"]:
        return f"{setting['name']} (required)"
    return str(setting["name"]) if setting["default"] in (None, "") else f"{setting['name']} = {setting['default']}"
