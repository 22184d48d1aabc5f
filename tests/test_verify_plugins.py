"""Verifiers of other distributions: every process knows them, and one that cannot be used stops it by name."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.plugin_fixture import ACME, install

PROVIDERS = "from cli.configure.providers import providers; providers(as_json={as_json})"

ROUND_TRIP = """
from importlib.metadata import entry_points
from rules.request_headers import RequestHeaders
from rules.verify import AuthConfigError, SignedRequest, check_config, signed_headers, verify
from rules.verify.plugins import GROUP, add_plugins
for _ in range(2):  # a second time changes nothing
    add_plugins(entry_points(group=GROUP))
check_config("acme", {"box": "b"}, ["7"])
headers = signed_headers("acme", ["7"], {}, b"", 0.0, "text/plain")
verify("acme", SignedRequest(RequestHeaders([(n.lower().encode(), v.encode()) for n, v in headers]), b"", ["7"], {}, 0))
try:
    check_config("acme", {"box": "c", "bx": 1}, [])
except AuthConfigError as error:
    print([field for field, _ in error.errors])
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HOOKLOG_")}
    root = str(Path(__file__).parent.parent)
    environment = inherited | {"PYTHONPATH": os.pathsep.join([str(folder), root]), "HOOKLOG_DATA_DIR": str(folder)}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_a_plug_in_is_listed_with_what_it_needs(tmp_path: Path) -> None:
    ended = run(install(tmp_path), "-c", PROVIDERS.format(as_json=True))
    rows = {row["auth_type"]: row for row in map(json.loads, ended.stdout.splitlines())}
    assert len(rows) == 17
    assert rows["acme"] == {
        "auth_type": "acme",
        "title": "Acme",
        "secret": "the number on the box",
        "settings": [{"name": "box", "default": "a", "required": False, "meaning": "which box"}],
        "headers": ["X-Acme"],
        "signs_time": False,
        "event_type": "",
        "dedup_id": "X-Acme-Id",
        "can_sign": True,
        "docs_url": "https://acme.example/hooks",
    }
    assert rows["stripe"]["signs_time"] is True
    assert "Acme" not in run(tmp_path, "-c", PROVIDERS.format(as_json=False)).stderr


def test_people_see_a_table(tmp_path: Path) -> None:
    ended = run(tmp_path, "-c", PROVIDERS.format(as_json=False))
    assert ended.returncode == 0
    assert "standard_webhooks" in ended.stdout
    assert "url (required)" in ended.stdout


def test_a_plug_in_checks_verifies_and_signs(tmp_path: Path) -> None:
    ended = run(install(tmp_path), "-c", ROUND_TRIP)
    assert (ended.stdout, ended.stderr) == ("['auth_config.box', 'auth_config.bx', 'secret']\n", "")


def test_a_plug_in_that_fails_to_check_a_source_refuses_it_without_telling_its_secret(tmp_path: Path) -> None:
    failing = ACME + "\n    def check_config(self, auth_config, secrets):\n        raise KeyError(secrets)\n"
    ended = run(install(tmp_path, failing), "-c", ROUND_TRIP)
    assert "acme failed to check this: KeyError" in ended.stderr
    assert "'7'" not in ended.stderr


@pytest.mark.parametrize("service", ["ingest", "processors"])
def test_a_service_does_not_start_without_a_plug_in_that_is_installed(tmp_path: Path, service: str) -> None:
    ended = run(install(tmp_path, "raise OSError('no libacme')"), "-m", "cli.main", service)
    assert ended.returncode == 2
    assert "the verifier acme of acme-hooks 1.2 cannot be used" in ended.stderr
    assert "OSError: no libacme" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("code", "entry", "reason"),
    [
        (ACME, "acme = acme_hooks:Missing", "cannot be loaded: AttributeError"),
        (ACME, "acme = nowhere:Acme", "cannot be loaded: ModuleNotFoundError"),
        ("Acme = 5", "acme = acme_hooks:Acme", "is no class made of rules.verify.Verifier"),
        ("from rules.verify import Verifier as Acme", "acme = acme_hooks:Acme", "is no class made of"),
        (ACME, "other = acme_hooks:Acme", "its auth_type is not the name of its entry point"),
        (ACME.replace('"acme"', '"Ac me"'), "Ac me = acme_hooks:Acme", "or not of a-z, 0-9 and _"),
        (ACME.replace('("X-Acme",)', '"X-Acme"'), "acme = acme_hooks:Acme", "signature_headers is no tuple"),
        (
            ACME + "\n    def __init__(self, box): ...\n",
            "acme = acme_hooks:Acme",
            "cannot be made: TypeError",
        ),
        (ACME.replace('"acme"', '"github"'), "github = acme_hooks:Acme", "already: rules.verify.github.GitHub"),
        (ACME.replace('"acme"', '"none"'), "none = acme_hooks:Acme", "already: rules.verify.none.NoVerification"),
    ],
)
def test_a_plug_in_that_cannot_be_used_is_refused_by_name(tmp_path: Path, code: str, entry: str, reason: str) -> None:
    ended = run(install(tmp_path, code, entry), "-c", PROVIDERS.format(as_json=True))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert f"the verifier {entry.split(' = ', maxsplit=1)[0]} of acme-hooks 1.2 cannot be used" in ended.stderr
    assert reason in ended.stderr
    assert "Traceback" not in ended.stderr


def test_two_plug_ins_of_one_name_are_refused(tmp_path: Path) -> None:
    install(tmp_path)
    install(tmp_path, entry="acme = beta_hooks:Acme", name="beta-hooks")
    ended = run(tmp_path, "-c", PROVIDERS.format(as_json=True))
    assert ended.returncode == 1
    assert "the verifier acme of " in ended.stderr
    assert "already: " in ended.stderr
