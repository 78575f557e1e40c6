"""Certificates of this machine's own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest


def make_certificate(folder: Path) -> Path:
    """Make one for 127.0.0.1, its key in the same file; without openssl the test is skipped."""
    path = folder / "both.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    done = subprocess.run(
        [*command, "-keyout", path, "-out", folder / "certificate.pem"],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip("there is no openssl here")
    path.write_bytes(path.read_bytes() + (folder / "certificate.pem").read_bytes())
    return path
