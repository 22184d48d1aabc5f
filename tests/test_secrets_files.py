"""An embedded Hooklog makes its secrets once, for its owner's eyes, whoever asks first."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.keyring import Keyring
from runtime.secrets_files import SetSecretError, load_admin_key, load_encryption_keys
from runtime.settings import Settings

ASK = """
import sys
from pathlib import Path
from runtime.secrets_files import load_admin_key, load_encryption_keys
from runtime.settings import Settings
settings = Settings(data_dir=Path(sys.argv[1]))
print(load_admin_key(settings), load_encryption_keys(settings))
"""


def test_eight_processes_that_ask_at_once_get_the_same_secrets(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    command = [sys.executable, "-c", ASK, str(data_dir)]
    asking = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(8)]
    answers = {process.communicate(timeout=60)[0] for process in asking}
    assert len(answers) == 1
    assert len(answers.pop().split()) == 2
    assert sorted(file.name for file in data_dir.iterdir()) == ["admin.key", "keyring"]


def test_only_the_owner_may_read_them(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    load_admin_key(settings)
    load_encryption_keys(settings)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "data").iterdir()}
    assert modes == {"admin.key": 0o600, "keyring": 0o600}
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_the_keyring_that_was_made_can_be_used(tmp_path: Path) -> None:
    keyring = Keyring.parse(load_encryption_keys(Settings(data_dir=tmp_path)))
    assert keyring.unseal(keyring.seal("secret", "sources/a"), "sources/a") == "secret"


def test_a_secret_that_is_set_wins_and_no_file_is_made(tmp_path: Path) -> None:
    assert load_admin_key(Settings(data_dir=tmp_path, admin_key="chosen")) == "chosen"
    assert not list(tmp_path.iterdir())


def test_a_cluster_must_be_given_its_secrets(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, kafka_bootstrap="kafka.example:9092")
    with pytest.raises(SetSecretError, match="HOOKLOG_ADMIN_KEY"):
        load_admin_key(settings)
    with pytest.raises(SetSecretError, match="HOOKLOG_ENCRYPTION_KEYS"):
        load_encryption_keys(settings)


def test_an_emptied_file_is_named_and_never_filled_again(tmp_path: Path) -> None:
    (tmp_path / "keyring").touch()
    with pytest.raises(SetSecretError, match="keyring is empty"):
        load_encryption_keys(Settings(data_dir=tmp_path))


@pytest.mark.parametrize("key", ["schlüssel", "two words", "line\n", "\x1b[2J"])
def test_an_admin_key_that_no_header_can_carry_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(SetSecretError) as refusal:
        load_admin_key(Settings(admin_key=key))
    assert key not in str(refusal.value)
