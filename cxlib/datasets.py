"""The sample: where its files are. It is made by `cxlib.simulate` and lies in the repository."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cxlib.errors import InputError
from cxlib.shipped import shipped_folder
from cxlib.simulate.sample import FILES


@dataclass(frozen=True, slots=True)
class SamplePaths:
    """The files of the sample."""

    contacts: Path
    customers: Path
    ratings: Path
    purchases: Path
    journey_map: Path
    truth: Path


def sample_paths(folder: str | Path | None = None) -> SamplePaths:
    """Return where the sample's files are: in a folder that `cxlib.simulate.sample` has written, or
    where cxlib brings them. InputError: files are absent; the message says how to make them.
    """
    folder = shipped_folder("data/sample") if folder is None else Path(folder)
    paths = SamplePaths(**{name: folder / file for name, file in FILES.items()})
    absent = [file for file in FILES.values() if not (folder / file).is_file()]
    if absent:
        raise InputError(
            f"the sample is not complete: {folder} lacks {', '.join(absent)}. "
            f"Make it with: python -m cxlib.simulate sample --out {folder}"
        )
    return paths
