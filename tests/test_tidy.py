"""The house rules that no linter knows, so that they do not rot."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
ROOMS = ("schemas", "rules", "runtime", "ingest", "processors", "projections", "cli")

MAX_PRODUCT_LINES = 300
MAX_TEST_LINES = 400
MAX_FUNCTION_LINES = 45
"""What fits on a screen is read; what does not is believed."""

DRAWERS = {"utils", "util", "common", "helpers", "helper", "misc", "kit", "shared", "base", "core", "stuff"}
"""Names that say nothing: whatever has no place ends up there."""

REGISTRIES = re.compile(r"pypi[.](?:org|python)|python[h]osted|repo\d?[.]maven|maven[.]apache|maven-[c]entral|npmjs[.]")
"""Where packages come from is the machine's setting, not the project's."""

MACHINE_PATHS = re.compile(r"(?<![\w.:/-])/(?:home|root|Users|work|opt|mnt|private)/\w")


def tracked() -> list[Path]:
    """The project's files: what git knows or would add; of an unpacked archive, everything but hidden folders."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode == 0:
        files = [ROOT / name.decode() for name in listed.stdout.split(b"\0") if name]
    else:
        files = [file for file in ROOT.rglob("*") if not any(map(hidden, file.relative_to(ROOT).parts))]
    return sorted(file for file in files if file.is_file())


def hidden(part: str) -> bool:
    """Whether a folder or file is a tool's own."""
    return part.startswith(".") or part == "__pycache__" or part.endswith(".egg-info")


FILES = tracked()
PYTHON = [file for file in FILES if file.suffix == ".py"]


def name_of(file: Path) -> str:
    """The path that a failure shows."""
    return str(file.relative_to(ROOT))


def of_product(file: Path) -> bool:
    """Whether a file belongs to one of the rooms."""
    return file.relative_to(ROOT).parts[0] in ROOMS


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function, nested ones too."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_a_file_is_short_enough_to_be_read_in_one_go() -> None:
    lengths = {file: len(file.read_text().splitlines()) for file in PYTHON}
    assert not [
        f"{name_of(file)}: {length} lines"
        for file, length in lengths.items()
        if length > (MAX_PRODUCT_LINES if of_product(file) else MAX_TEST_LINES)
    ]


def test_a_function_fits_on_a_screen() -> None:
    assert not [
        f"{name_of(file)}: {node.name} has {length} lines"
        for file in PYTHON
        for node in functions(ast.parse(file.read_text()))
        if (length := (node.end_lineno or node.lineno) - node.lineno + 1) > MAX_FUNCTION_LINES
    ]


def test_a_module_says_what_it_is() -> None:
    assert not [name_of(file) for file in PYTHON if not ast.get_docstring(ast.parse(file.read_text()))]


def test_a_file_is_no_drawer() -> None:
    parts = {file: {part.removesuffix(".py").strip("_") for part in file.relative_to(ROOT).parts} for file in PYTHON}
    assert not [name_of(file) for file in PYTHON if DRAWERS & parts[file]]


def test_every_folder_of_product_code_is_a_package() -> None:
    folders = {file.parent for file in PYTHON if of_product(file)}
    assert not [name_of(folder) for folder in folders if not (folder / "__init__.py").exists()]


def text_of(file: Path) -> str:
    """The file's text; what is no text has none."""
    try:
        return file.read_text()
    except UnicodeDecodeError:
        return ""


def test_no_file_names_a_package_registry() -> None:
    assert not [name_of(file) for file in FILES if REGISTRIES.search(text_of(file))]


def test_no_file_names_a_path_of_one_machine() -> None:
    assert not [name_of(file) for file in FILES if MACHINE_PATHS.search(text_of(file))]


def test_only_composition_roots_and_the_command_line_read_the_environment() -> None:
    reads = re.compile(r"\bos\.(?:environ|getenv)\b|\bSettings\(\)")
    allowed = {"cli", "app.py"}
    assert not [
        name_of(file)
        for file in PYTHON
        if of_product(file) and not allowed & set(file.relative_to(ROOT).parts) and reads.search(file.read_text())
    ]


def test_every_requirement_in_the_lock_has_a_hash_and_no_address() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    pinned = re.findall(r"^[\w.-]+==", lock, re.MULTILINE)
    blocks = re.split(r"^(?=[\w.-]+==)", lock, flags=re.MULTILINE)[1:]
    assert len(pinned) == len(blocks) > 50
    assert all("--hash=sha256:" in block for block in blocks)
    assert "://" not in lock


def test_the_oracle_knows_nothing_of_the_product() -> None:
    imports = re.compile(rf"^\s*(?:from|import) (?:{'|'.join(ROOMS)})\b", re.MULTILINE)
    oracle = [file for file in PYTHON if "oracle" in file.parts]
    assert not [name_of(file) for file in oracle if imports.search(file.read_text())]
