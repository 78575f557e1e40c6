"""Running the small programs that use other people's clients, each in its own environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
INSTALL = ".venv/bin/python scripts/client_environments.py"
TIMEOUT_S = 90.0

_BIN = Path(sys.executable).parent  # node comes from the index too, and lies here
_DEAD = "http://127.0.0.1:9"  # nobody listens there

# A program that calls anything but loopback fails, where its HTTP library honours proxies.
TRIPWIRE = {
    **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), _DEAD),
    **dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), _DEAD),
    **dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost"),
    "NODE_USE_ENV_PROXY": "1",
}
NO_TELEMETRY = {
    "DO_NOT_TRACK": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else it fetches prices when it is imported
    "LITELLM_TELEMETRY": "False",
    "LANGSMITH_TRACING": "false",
    "LANGCHAIN_TRACING_V2": "false",
    "ANONYMIZED_TELEMETRY": "False",
    "WRANGLER_SEND_METRICS": "false",
    "NEXT_TELEMETRY_DISABLED": "1",
}


def python_program(environment: str, program: str) -> list[str]:
    """Give the command of `tests/clients/python/<program>` in one of the environments."""
    interpreter = ROOT / ".venv" / "clients" / environment / "bin" / "python"
    return [str(interpreter), str(HERE / "python" / program)]


def node_program(program: str, project: str) -> list[str]:
    """Give the command of `tests/clients/<project>/<program>`."""
    return [str(_BIN / "node"), str(HERE / project / program)]


def program_environment(home: Path, **more: str) -> dict[str, str]:
    """Give a program's environment: nothing of ours, nothing of the user's, no way out."""
    path = f"{_BIN}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": path, "HOME": str(home), "LANG": "C.UTF-8"} | TRIPWIRE | NO_TELEMETRY | more


def base_urls(server: str, account: str, token: str) -> dict[str, str]:
    """Give the variables by which the SDKs themselves learn of a server, if told nothing else."""
    api = f"{server}/client/v4"
    return {
        "CLOUDFLARE_BASE_URL": api,
        "CLOUDFLARE_API_TOKEN": token,
        "OPENAI_BASE_URL": f"{api}/accounts/{account}/ai/v1",
        "OPENAI_API_KEY": token,
    }


def run_program(command: list[str], folder: Path, environ: dict[str, str]) -> Any:
    """Run a program to its end, and read the JSON object in the last line that it printed."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout.splitlines()[-1])


def stale_environments() -> frozenset[str]:
    """Ask the installer what is missing, or not what the requirements say now."""
    command = [sys.executable, str(ROOT / "scripts" / "client_environments.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == "", done.stderr
    return frozenset(done.stdout.split())
