"""What a wheel holds beside the modules: the notebooks, the dashboards and the sample's files.

They stand at the top of the repository, where people look for them, and go into
``cxlib/_shipped/`` of every wheel, where `cxlib.shipped` finds them. Named in pyproject.toml as
setuptools' `build_py`.
"""

import shutil
from pathlib import Path

from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ("notebooks", "dashboards", "data/sample")


class BuildWithShipped(build_py):
    """Copy the modules, and the folders that come with them."""

    def run(self) -> None:
        """Build the modules, then put the folders beside them."""
        super().run()
        if self.editable_mode:
            return  # the folders are used where they are
        for name in SHIPPED:
            for source in sorted((ROOT / name).rglob("*")):
                if source.is_file() and not any(p.startswith(".") for p in source.parts[-2:]):
                    target = self._target(source)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(source, target)

    def _target(self, source: Path) -> Path:
        return Path(self.build_lib) / "cxlib" / "_shipped" / source.relative_to(ROOT)
