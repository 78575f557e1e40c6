"""A Worker's project that knows nothing of satsuma."""

from __future__ import annotations

from pathlib import Path

from clients.weights import ALL_MINILM
from clients.workers.tools import MODULES

CONFIG = """\
# A Worker as it is deployed.
name = "search"
main = "src/index.js"
compatibility_date = "2026-07-01"

[ai]
binding = "BRAIN"

[vars]
COLOUR = "blue"
"""
WORKER = f"""\
export default {{
  async fetch(request, env) {{
    const {{ data }} = await env.BRAIN.run("{ALL_MINILM}", {{ text: ["hello world"] }});
    return Response.json({{ data, colour: env.COLOUR }});
  }},
}};
"""


def write_project(folder: Path) -> Path:
    """Write it, with wrangler and Vite installed."""
    (folder / "src").mkdir(parents=True)
    (folder / "wrangler.toml").write_text(CONFIG)
    (folder / "src" / "index.js").write_text(WORKER)
    (folder / "package.json").write_text('{"name": "search", "private": true, "type": "module"}')
    (folder / "node_modules").symlink_to(MODULES)  # in place of `npm install`
    return folder
