"""Hatchling's hook: the compiled engine goes into a wheel, or into an editable install's tree."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.append(str(Path(__file__).resolve().parent / "scripts"))
import native_build


class NativeBuildHook(BuildHookInterface[BuilderConfig]):
    """Compiles for every wheel; the source distribution has the sources."""

    def dependencies(self) -> list[str]:
        """Ask for the compiler, which is large, only where one has to run."""
        try:
            return native_build.find_requirements()
        except native_build.BuildError as error:
            sys.exit(str(error))

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile; without kernels for this machine, the wheel is for any machine."""
        try:
            self._initialize(version == "editable", build_data)
        except native_build.BuildError as error:
            sys.exit(str(error))

    def _initialize(self, is_editable: bool, build_data: dict[str, Any]) -> None:
        build = native_build.find_build()
        if build is not None:
            build.run()
        if is_editable:
            native_build.place(build)
        elif build is not None:
            place = native_build.SOURCES.relative_to(Path(self.root) / "src")
            build_data["force_include"][str(build.library)] = str(place / build.library.name)
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{build.wheel_platform}"
