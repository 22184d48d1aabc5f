"""What the engine could do if every other layer failed: the kernel keeps it from files and from the network."""

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runtime.landlock import Confinement, confine, landlock_version
from tests.sql_port_fixture import SqlService, sql_port

__all__ = ["sql_port"]

pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(not landlock_version(), reason="this kernel has no Landlock"),
]

CONFINED = """
import json, os, sys, threading
from pathlib import Path
from prometheus_client import CollectorRegistry
from projections.confined import confine_projections
from projections.migrate import migrate
from runtime.clickhouse import EmbeddedClickHouse
from runtime.settings import Settings

folder, port = Path(sys.argv[1]), sys.argv[2]
settings = Settings(data_dir=folder / "data")
engine = EmbeddedClickHouse(settings.data_dir / "clickhouse", settings.data_dir / "clickhouse" / "everything.xml")
os.environ["TMPDIR"] = str(engine.temporary)
confine_projections(settings, engine, CollectorRegistry())
canary = folder / "canary.csv"
tried = {
    "own": "SELECT count() FROM schema_migrations WHERE version = 9999",
    "file": f"SELECT file('{canary}')",
    "table": f"SELECT * FROM file('{canary}', 'LineAsString')",
    "environment": "SELECT file('/proc/self/environ')",
    "key": f"SELECT * FROM file('{settings.data_dir / 'admin.key'}', 'LineAsString')",
    "outfile": f"SELECT 1 INTO OUTFILE '{folder / 'written'}'",
    "insert": f"INSERT INTO FUNCTION file('{folder / 'written'}', 'TSV', 'a String') VALUES ('x')",
    "grants": f"SELECT 1 INTO OUTFILE '{engine.config}' TRUNCATE",
    "url": f"SELECT * FROM url('http://127.0.0.1:{port}/', 'LineAsString') SETTINGS http_max_tries=1",
    "remote": f"SELECT * FROM remote('127.0.0.1:{port}', system.one) SETTINGS connect_timeout = 1",
}
told = {}

def attack():
    engine.create_database()
    client = engine.open_writer()
    migrate(client)
    row = b'{"version":9999,"name":"x","checksum":"x"}'
    client.raw_insert("schema_migrations", insert_block=row, fmt="JSONEachRow")
    for name, query in tried.items():
        try:
            told[name] = ["done", str(client.command(query))[:100]]
        except Exception as error:
            told[name] = ["refused", str(error)[:200]]
    client.close()

thread = threading.Thread(target=attack)  # as the service does
thread.start()
thread.join()
print(json.dumps(told))
"""

MOVED = """
import ctypes, sys, threading
from pathlib import Path
from prometheus_client import CollectorRegistry
from projections.app import USERS_CONFIG
from projections.confined import confine_projections
from runtime.clickhouse import EmbeddedClickHouse
from runtime.settings import Settings

environ = ctypes.POINTER(ctypes.c_uint64).in_dll(ctypes.CDLL(None), "environ")
count = next(index for index in range(10_000) if not environ[index])
at_sysinfo_ehdr = 33  # getauxval(3): where the kernel put its functions
moved = (ctypes.c_uint64 * (count + 8))(*environ[:count], 0, at_sysinfo_ehdr, 0xDEAD000000000000)
ctypes.c_void_p.in_dll(ctypes.CDLL(None), "environ").value = ctypes.addressof(moved)
folder = Path(sys.argv[1])
engine = EmbeddedClickHouse(folder / "clickhouse", USERS_CONFIG)
confine_projections(Settings(data_dir=folder), engine, CollectorRegistry())
thread = threading.Thread(target=engine.create_database)
thread.start()
thread.join()
print("loaded")
"""

EVERYTHING = """<clickhouse><profiles><default/></profiles><quotas><default/></quotas>
<users><default><password></password><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>
<access_management>1</access_management></default></users></clickhouse>"""


def test_the_engine_is_loaded_also_when_the_environment_was_moved(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MOVED, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["loaded"]), done.stderr


def test_an_engine_that_may_do_everything_reads_no_file_writes_none_and_calls_nobody(tmp_path: Path) -> None:
    (tmp_path / "data" / "clickhouse").mkdir(parents=True)
    (tmp_path / "data" / "clickhouse" / "everything.xml").write_text(EVERYTHING)
    (tmp_path / "canary.csv").write_text("a canary\n")
    (tmp_path / "data" / "admin.key").write_text("a canary\n")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)  # noqa: FBT003 - the socket's own
        told = run(CONFINED, str(tmp_path), str(server.getsockname()[1]))
        with pytest.raises(BlockingIOError):
            server.accept()
    assert told.pop("own") == ["done", "1"]
    assert {name: answer for name, (answer, _) in told.items() if answer != "refused"} == {}, told
    assert not (tmp_path / "written").exists()
    assert "users_config" in (tmp_path / "data" / "clickhouse-config.xml").read_text()


def run(script: str, *arguments: str) -> dict[str, Any]:
    ended = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=Path(__file__).parent.parent,
        env={"PATH": "/usr/bin:/bin"},
    )
    assert ended.returncode == 0, ended.stderr
    return dict(json.loads(ended.stdout.splitlines()[-1]))


def test_the_service_says_that_it_is_confined(sql_port: SqlService) -> None:
    assert f'"landlock":{landlock_version()},"network":true' in sql_port.log()
    status = Path(f"/proc/{sql_port.process.pid}/status").read_text()
    assert "NoNewPrivs:\t1" in status


PATHS = """
import json, os, socket, sys, threading
from pathlib import Path
from runtime.landlock import Confinement, confine

folder, port, other = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
confine(Confinement([folder / "own"], [folder / "seen", folder / "missing"], [port]))

def tells(do):
    try:
        do()
    except OSError as error:
        return type(error).__name__
    return "done"

def connect(port):
    with socket.socket() as client:
        client.connect(("127.0.0.1", port))

def in_a_thread(do):
    told = []
    thread = threading.Thread(target=lambda: told.append(tells(do)))
    thread.start()
    thread.join()
    return told[0]

print(json.dumps({
    "write own": tells(lambda: (folder / "own" / "new").write_text("x")),
    "remove own": tells(lambda: (folder / "own" / "new").unlink()),
    "read seen": tells(lambda: (folder / "seen" / "file").read_text()),
    "write seen": tells(lambda: (folder / "seen" / "file").write_text("x")),
    "read other": tells(lambda: (folder / "other").read_text()),
    "list other": tells(lambda: os.listdir(folder)),
    "leave own": tells(lambda: (folder / "own" / "link").read_text()),
    "thread": in_a_thread(lambda: (folder / "other").read_text()),
    "connect": tells(lambda: connect(port)),
    "connect other": tells(lambda: connect(other)),
}))
"""


def test_what_is_not_allowed_is_closed_also_to_later_threads(tmp_path: Path) -> None:
    for name in ("own", "seen"):
        (tmp_path / name).mkdir()
    (tmp_path / "seen" / "file").write_text("x")
    (tmp_path / "other").write_text("x")
    (tmp_path / "own" / "link").symlink_to(tmp_path / "other")
    with socket.create_server(("127.0.0.1", 0)) as allowed, socket.create_server(("127.0.0.1", 0)) as other:
        told = run(PATHS, str(tmp_path), str(allowed.getsockname()[1]), str(other.getsockname()[1]))
    done = {"write own", "remove own", "read seen", "connect"}
    assert told == {name: "done" if name in done else "PermissionError" for name in told}


def test_without_landlock_nothing_is_closed_and_the_version_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert landlock_version() == 0
    assert confine(Confinement([], [], [])) == 0
    assert Path("/").exists()
