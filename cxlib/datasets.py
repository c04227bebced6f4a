"""The data sets that come with the package or that it is tested on: where they are, whose they are.

The sample is made by `cxlib.simulate` and lies in the repository. The real logs are their
publishers' and are neither redistributed nor ever downloaded by this package: `DATASETS` says
where to get them, `find_log` looks for them on disk.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from cxlib.errors import InputError, UnknownNameError
from cxlib.shipped import shipped_folder

__all__ = ["DATASETS", "Dataset", "SamplePaths", "find_log", "sample_paths", "sample_truth"]


@dataclass(frozen=True, slots=True)
class Dataset:
    """What is known about a data set.

    Attributes
    ----------
    name, title, description
        What it is.
    source
        Who made it, and where.
    doi
        Identifier of the publication of the data; None for the sample.
    licence
        Under which terms it may be used.
    file
        Its customary file name.
    facts
        Counts that a correct reader arrives at.
    how_to_get
        What to do to have it on disk.
    """

    name: str
    title: str
    description: str
    source: str
    doi: str | None
    licence: str
    file: str
    facts: Mapping[str, int]
    how_to_get: str


def _dataset(**given: Any) -> Dataset:
    return Dataset(**{**given, "facts": MappingProxyType(given["facts"])})


DATASETS: Mapping[str, Dataset] = MappingProxyType(
    {
        "sample": _dataset(
            name="sample",
            title="Demo retailer",
            description=(
                "Simulated journeys through a retailer's ads, web shop, app, shops, hotline, chat, "
                "e-mail and marketplace, January to September 2025, with ratings, costs, six "
                "planted handoff faults and the troubles of a real export."
            ),
            source="simulated by cxlib.simulate, seed 2025",
            doi=None,
            licence="Apache-2.0",
            file="contacts.csv.gz",
            facts={"customers": 18_000},
            how_to_get="in the repository under data/sample; any size: python -m cxlib.simulate",
        ),
        "bpic2012": _dataset(
            name="bpic2012",
            title="BPI Challenge 2012",
            description="Loan applications at a Dutch bank, October 2011 to March 2012, as XES.",
            source="B. van Dongen, 4TU.ResearchData, 2012",
            doi="10.4121/uuid:3926db30-f712-4394-aebc-75976070e91f",
            licence="4TU General Terms of Use",
            file="bpic2012.xes.gz",
            facts={"events": 262_200, "customers": 13_087, "open": 399},
            how_to_get="open https://doi.org/ followed by the doi, and download the XES file",
        ),
        "receipt": _dataset(
            name="receipt",
            title="Receipt phase of an environmental permit application process (CoSeLoG)",
            description="Requests for building permits at a Dutch municipality, by five channels.",
            source="J. Buijs, 4TU.ResearchData, 2014",
            doi="10.4121/uuid:a07386a5-7be3-4367-9535-70bc9e77dbe6",
            licence="4TU General Terms of Use",
            file="receipt.csv.gz",
            facts={"events": 8_577, "customers": 1_434},
            how_to_get=(
                "open https://doi.org/ followed by the doi, download the XES file, and save it as "
                "CSV with the case attributes as columns named case:…"
            ),
        ),
    }
)
"""Every data set by name."""


@dataclass(frozen=True, slots=True)
class SamplePaths:
    """The files of the sample."""

    contacts: Path
    customers: Path
    ratings: Path
    journey_map: Path
    truth: Path


def sample_paths(folder: str | Path | None = None) -> SamplePaths:
    """Return where the sample's files are.

    Parameters
    ----------
    folder
        A folder written by `cxlib.simulate.write_sample`; None: the one that comes with cxlib.

    Raises
    ------
    InputError
        Files are absent; the message says how to make them.
    """
    folder = shipped_folder("data/sample") if folder is None else Path(folder)
    paths = SamplePaths(
        contacts=folder / "contacts.csv.gz",
        customers=folder / "customers.csv",
        ratings=folder / "ratings.csv",
        journey_map=folder / "journey_map.yaml",
        truth=folder / "truth.json",
    )
    absent = [
        path.name
        for path in (getattr(paths, name) for name in SamplePaths.__slots__)
        if not path.is_file()
    ]
    if absent:
        raise InputError(
            f"the sample is not complete: {folder} lacks {', '.join(absent)}. "
            f"Make it with: python -m cxlib.simulate sample --out {folder}"
        )
    return paths


def sample_truth(folder: str | Path | None = None) -> dict[str, Any]:
    """Return what was planted in the sample: counts of spoiled rows, and the faults."""
    truth: dict[str, Any] = json.loads(sample_paths(folder).truth.read_text("utf-8"))
    return truth


def find_log(name: str, *folders: str | Path) -> Path:
    """Return the path of a data set's log.

    Parameters
    ----------
    name
        One of `DATASETS`.
    folders
        Where to look, in this order; the sample is found without.

    Raises
    ------
    UnknownNameError
        There is no data set of this name.
    InputError
        The log is in none of the folders; the message says how to get it.
    """
    if name not in DATASETS:
        raise UnknownNameError("data set", name, DATASETS)
    dataset = DATASETS[name]
    if name == "sample":
        return sample_paths(*folders[:1]).contacts
    for folder in folders:
        path = Path(folder) / dataset.file
        if path.is_file():
            return path
    looked = ", ".join(str(folder) for folder in folders) or "no folder"
    raise InputError(
        f"{dataset.file} is not there (looked in {looked}). It is not part of this package; "
        f"to get it, {dataset.how_to_get} (doi {dataset.doi})."
    )
