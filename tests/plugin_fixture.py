"""Distributions with verifiers of their own, as an installer would leave them in a folder of `sys.path`."""

from pathlib import Path

ACME = """
from rules.verify import Place, Setting, SignedRequest, VerificationError, Verifier


class Acme(Verifier):
    auth_type = "acme"
    title = "Acme"
    proof = "the number on the box"
    docs_url = "https://acme.example/hooks"
    settings = (Setting("box", "which box", lambda value: "" if value in ("a", "b") else "is no box", default="a"),)
    signature_headers = ("X-Acme",)
    dedup_id = Place(header="X-Acme-Id")

    def verify(self, request: SignedRequest) -> None:
        if request.headers.text("x-acme") not in request.secrets:
            raise VerificationError("acme_mismatch", "not the number")

    def sign(self, request):
        return [("X-Acme", request.secrets[0])]
"""


def install(folder: Path, code: str = ACME, entry: str = "acme = acme_hooks:Acme", name: str = "acme-hooks") -> Path:
    """Leaves a distribution in the folder: its module, and the metadata that names its entry point."""
    module = name.replace("-", "_")
    (folder / f"{module}.py").write_text(code)
    metadata = folder / f"{module}-1.2.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    (metadata / "entry_points.txt").write_text(f"[hooklog.verifiers]\n{entry}\n")
    return folder
