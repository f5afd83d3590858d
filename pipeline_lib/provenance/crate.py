"""A Workflow Run RO-Crate: the run behind a report in the vocabulary that archives and registries read.

The crate is the folder of the report. ``ro-crate-metadata.json`` in it follows the Workflow Run Crate profile 0.5
(https://w3id.org/ro/wfrun/workflow/0.5) and its extension to single jobs, Provenance Run Crate; both build on RO-Crate
1.1 (https://w3id.org/ro/crate/1.1). Manifests hold no time: the times are those of the manifests' files and of
Snakemake's run-time tables. No manifest and no hash depends on them.
"""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pipeline_lib import __version__
from pipeline_lib.errors import ConfigError, StoreError
from pipeline_lib.io.atomic import write_json
from pipeline_lib.io.hashing import canonical_json, sha256_json
from pipeline_lib.io.identifier import STORE_METADATA
from pipeline_lib.io.manifest import FileRecord, Manifest, read_manifest
from pipeline_lib.provenance.chain import Node, place_of, sources, walk
from pipeline_lib.provenance.preview import PREVIEW, write_preview
from pipeline_lib.provenance.run_times import RunTime, completed, read_run_times, run_time

NAME = "ro-crate-metadata.json"
"""The name that the specification asks for."""
WORKFLOW = "ro-crate-workflow"
"""Folder within the crate for the workflow that ran; no model can have this name."""

_CRATE = "https://w3id.org/ro/crate/1.1"
_PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/ro/wfrun/provenance/0.5": "Provenance Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
_MORE_TERMS = {term: f"http://schema.org/{term}" for term in ("creditText", "sha256")}
"""Terms that we use and that the context of RO-Crate 1.1 does not know."""
_BIOSCHEMAS = "https://bioschemas.org/profiles/{}/1.0-RELEASE"
_COMPLETED = "http://schema.org/CompletedActionStatus"
_OUR_LICENCE = "https://spdx.org/licenses/Apache-2.0"
_STAGES = {"raw": "fetch", "dataset": "preprocess", "labels": "label", "model": "train", "product": "predict"}
"""Commands by kind of artefact, where the two have different names."""
_FORMATS = {
    ".png": "image/png",
    ".pdf": "application/pdf",
    ".html": "text/html",
    ".csv": "text/csv",
    ".json": "application/json",
    ".nc": "application/x-netcdf",
    ".parquet": "application/vnd.apache.parquet",
    ".smk": "text/plain",
    ".yaml": "application/yaml",
}
_BYTES = "application/octet-stream"

Entity = dict[str, Any]


def write_crate(report: Path, *, workflow: Path, snakemake: str, benchmarks: Path | None, output: Path) -> None:
    """Write the crate of a report: its metadata file, the page that shows it, and a copy of the workflow that ran.

    Parameters
    ----------
    report
        Manifest of the report.
    workflow
        Folder that holds ``Snakefile``, ``rules`` and ``envs``.
    snakemake
        Version of Snakemake that ran it; empty if unknown.
    benchmarks
        Folder of Snakemake's run-time tables; without it the crate tells when jobs ended, not when they began.
    output
        ``ro-crate-metadata.json`` in the folder that becomes the crate.

    Raises
    ------
    ConfigError
        If the output has another name, or the folder holds no workflow.
    StoreError
        If the report or one of its ancestors is missing or has changed, or the disk refuses.
    """
    if output.name != NAME:
        raise ConfigError(f"must be called {NAME}", where=str(output))
    if not (workflow / "Snakefile").is_file():
        raise ConfigError("holds no Snakefile", where=str(workflow), fix="name the workflow's folder with --workflow")
    made = read_manifest(report, kind="report")
    nodes = walk([made], folder=output.parent)
    for node in nodes:
        if node.trouble:
            raise StoreError(f"the chain is broken: {node.trouble}", where=node.place, fix="run the workflow again")
    crate = _Crate(output.parent, snakemake, read_run_times(benchmarks))
    crate.describe(made, nodes, _copied(workflow, output.parent))
    described = {"@context": [f"{_CRATE}/context", _MORE_TERMS], "@graph": list(crate.entities.values())}
    write_preview(output.with_name(PREVIEW), described, nodes, crate.times)
    write_json(output, described)


def _copied(workflow: Path, root: Path) -> list[str]:
    """Copy the workflow into the crate and return the files' names within the crate, the Snakefile first."""
    found = [workflow / "Snakefile", *sorted(workflow.glob("rules/*.smk")), *sorted(workflow.glob("envs/*.yaml"))]
    folder, partial = root / WORKFLOW, root / f".{WORKFLOW}.partial"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        for file in found:
            copy = partial / file.relative_to(workflow)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    except OSError as error:
        raise StoreError(f"cannot be written: {error.strerror or error}", where=str(folder)) from error
    return [f"{WORKFLOW}/{file.relative_to(workflow).as_posix()}" for file in found]


def _ref(*identifiers: str) -> Any:  # noqa: ANN401 - JSON
    """Return references; a single one stands alone, as the specification recommends."""
    found = [{"@id": identifier} for identifier in dict.fromkeys(identifiers)]
    return found[0] if len(found) == 1 else found


@dataclass
class _Crate:
    """The entities of a crate, by identifier."""

    root: Path
    snakemake: str
    times: Mapping[str, RunTime]
    entities: dict[str, Entity] = field(default_factory=dict)

    def add(self, identifier: str, kind: str | list[str], /, **properties: Any) -> str:  # noqa: ANN401 - JSON
        """Add an entity without its empty properties and return its identifier."""
        known = {name: value for name, value in properties.items() if value not in (None, "", [])}
        self.entities.setdefault(identifier, {"@id": identifier, "@type": kind, **known})
        return identifier

    def describe(self, report: Manifest, nodes: Sequence[Node], workflow: Sequence[str]) -> None:
        """Add everything: the root first, as readers expect."""
        made = [node.manifest for node in nodes if node.manifest is not None]
        experiment = str(report.content.get("experiment", self.root.name))
        end = max(completed(manifest) for manifest in made)
        self.add(NAME, "CreativeWork", about={"@id": "./"}, conformsTo=_ref(_CRATE, list(_PROFILES)[-1]))
        self.add(PREVIEW, "CreativeWork", about={"@id": "./"}, encodingFormat=_FORMATS[".html"])
        root = self.add(
            "./",
            "Dataset",
            name=str(report.options.get("title", experiment)),
            description=f"Report of the experiment {experiment}, made with Gyre {__version__}, and all it rests on.",
            identifier=report.origin,
            datePublished=end.date().isoformat(),
            conformsTo=_ref(*_PROFILES),
            mainEntity={"@id": workflow[0]},
        )
        for profile, title in _PROFILES.items():
            self.add(profile, "CreativeWork", name=f"{title} profile", version=profile.rsplit("/", 1)[1])
        licences = self._sources(nodes)
        payloads = {manifest.path: self._payloads(manifest) for manifest in made}
        self._workflow(workflow)
        actions = [self._run(report, made, payloads, workflow[0], experiment)]
        actions += [self._action(manifest, payloads) for manifest in made]
        self.entities[workflow[0]]["hasPart"] = _ref(*(self._tool(manifest) for manifest in made))
        parts = [*workflow, *(i for found in payloads.values() for i in found if not i.startswith("#"))]
        self.entities[root] |= {"hasPart": _ref(*parts), "mentions": _ref(*actions), "license": _ref(*licences)}

    def _sources(self, nodes: Sequence[Node]) -> list[str]:
        """Add the sources with their citations and licences; return the licences."""
        licences = []
        for source in sources(nodes):
            licence = str(source.get("licence", "not stated"))
            licences.append(
                self.add(
                    f"#licence-{sha256_json(licence)[:12]}",
                    "CreativeWork",
                    name=licence,
                    description="Terms of a source whose data these results were made from.",
                )
            )
            self.add(
                f"#source-{source.get('source')}",
                "CreativeWork",
                name=source.get("source"),
                creditText=source.get("citation"),
                url=source.get("homepage"),
                license={"@id": licences[-1]},
            )
        return licences or [self.add("#licence-none", "CreativeWork", name="not stated", description="No source says.")]

    def _payloads(self, manifest: Manifest) -> list[str]:
        """Add the files and stores of an artefact and return their identifiers."""
        found = []
        for name in manifest.payloads:
            if f"{name}/{STORE_METADATA}" in manifest.files:
                found.append(self._store(manifest, name))
            else:
                files = [file for file in manifest.files if file == name or file.startswith(f"{name}/")]
                found += [self._file(manifest, file, manifest.files[file]) for file in files]
        return found

    def _file(self, manifest: Manifest, name: str, record: FileRecord) -> str:
        place = place_of(manifest.path.parent / name, self.root)
        return self.add(
            _name_of(record.sha256) if place.startswith("../") else place,
            "File",
            name=f"{manifest.kind}: {Path(name).name}",
            encodingFormat=_FORMATS.get(Path(name).suffix, _BYTES),
            contentSize=str(record.size),
            sha256=record.sha256,
            isBasedOn={"@id": f"#source-{manifest.content.get('source')}"} if manifest.kind == "raw" else None,
        )

    def _store(self, manifest: Manifest, name: str) -> str:
        place = place_of(manifest.path.parent / name, self.root)
        outside = place.startswith("../")
        return self.add(
            f"#store-{sha256_json(place)[:12]}" if outside else f"{place}/",
            "Dataset",
            name=f"{manifest.kind}: {name}",
            description=f"Zarr store of kind {manifest.kind}" + (f", at {place} as seen from here" if outside else ""),
            encodingFormat="application/vnd+zarr",
            identifier=manifest.content_of(name),
        )

    def _workflow(self, files: Sequence[str]) -> None:
        """Add the workflow, its language and its parameters."""
        language = self.add(
            "https://w3id.org/workflowhub/workflow-ro-crate#snakemake",
            "ComputerLanguage",
            name="Snakemake",
            url="https://snakemake.github.io",
            version=self.snakemake,
        )
        profile = _BIOSCHEMAS.format("FormalParameter")
        parameters = {"experiment": "Text", "raw-file": "File", "report": "File", "leaderboard": "File"}
        formal = {
            name: self.add(
                f"#parameter-{name}", "FormalParameter", name=name, additionalType=kind, conformsTo={"@id": profile}
            )
            for name, kind in parameters.items()
        }
        self.add(
            files[0],
            ["File", "SoftwareSourceCode", "ComputationalWorkflow"],
            name="Gyre",
            description="Data to trained models, products, scores and report; its code is the package pipeline_lib.",
            version=__version__,
            license={"@id": _OUR_LICENCE},
            conformsTo={"@id": _BIOSCHEMAS.format("ComputationalWorkflow")},
            programmingLanguage={"@id": language},
            encodingFormat="text/plain",
            input=_ref(formal["experiment"], formal["raw-file"]),
            output=_ref(formal["report"], formal["leaderboard"]),
        )
        for file in files[1:]:
            self.add(file, "File", name=file, encodingFormat=_FORMATS[Path(file).suffix])

    def _run(
        self,
        report: Manifest,
        made: Sequence[Manifest],
        payloads: Mapping[Path, list[str]],
        workflow: str,
        experiment: str,
    ) -> str:
        """Add the execution of the workflow as a whole."""
        chosen = self.add(
            "#experiment",
            "PropertyValue",
            name="experiment",
            value=canonical_json(report.options) if report.options else experiment,
        )
        of_kind = {
            kind: [i for m in made if m.kind == kind for i in payloads[m.path]] for kind in ("raw", "leaderboard")
        }
        examples = {
            "experiment": [chosen],
            "raw-file": of_kind["raw"],
            "report": payloads[report.path],
            "leaderboard": of_kind["leaderboard"],
        }
        for name, found in examples.items():
            self.entities[f"#parameter-{name}"]["workExample"] = _ref(*found)
            for identifier in found:
                self.entities[identifier]["exampleOfWork"] = {"@id": f"#parameter-{name}"}
        return self.add(
            "#run",
            "CreateAction",
            name=f"Run of the experiment {experiment}",
            description="From the first to the last job whose results are in use; what was up to date was kept.",
            instrument={"@id": workflow},
            object=_ref(chosen, *of_kind["raw"]),
            result=_ref(*payloads[report.path], *of_kind["leaderboard"]),
            startTime=min(self._start(m) or completed(m) for m in made).isoformat(timespec="seconds"),
            endTime=max(completed(m) for m in made).isoformat(timespec="seconds"),
            actionStatus=_COMPLETED,
        )

    def _action(self, manifest: Manifest, payloads: Mapping[Path, list[str]]) -> str:
        """Add the execution of one stage: what it used, what it made, when, and with which code."""
        place = place_of(manifest.path, self.root)
        used = [manifest.path.parent / record.path for record in manifest.inputs.values()]
        by_place = {place_of(path, self.root): found for path, found in payloads.items()}
        objects = [i for path in used for i in by_place.get(place_of(path, self.root), [])]
        if manifest.options:
            objects.append(
                self.add(
                    f"#options-{sha256_json(place)[:12]}",
                    "PropertyValue",
                    name="options",
                    value=canonical_json(manifest.options),
                )
            )
        start = self._start(manifest)
        return self.add(
            f"#action-{sha256_json(place)[:12]}",
            "CreateAction",
            name=f"{_STAGES.get(manifest.kind, manifest.kind)}: {place}",
            description=f"Identity of the result: {manifest.identity}",
            instrument={"@id": self._tool(manifest)},
            object=_ref(*objects),
            result=_ref(*payloads[manifest.path]),
            startTime=start.isoformat(timespec="seconds") if start else None,
            endTime=completed(manifest).isoformat(timespec="seconds"),
            actionStatus=_COMPLETED,
        )

    def _start(self, manifest: Manifest) -> datetime | None:
        time = run_time(manifest, self.times)
        return None if time is None else completed(manifest) - timedelta(seconds=time.seconds)

    def _tool(self, manifest: Manifest) -> str:
        """Add a stage in the form in which it ran: its code and the packages it used."""
        stage = _STAGES.get(manifest.kind, manifest.kind)
        packages = self._packages(manifest.versions.items())
        key = sha256_json([stage, manifest.code, dict(manifest.versions)])[:12]
        return self.add(
            f"#{stage}-{key}",
            "SoftwareApplication",
            name=f"gyre {stage}",
            description=f"python -m pipeline_lib {stage}; fingerprint of its code: {manifest.code}",
            version=f"{__version__}+{manifest.code}",
            softwareRequirements=_ref(*packages),
        )

    def _packages(self, versions: Iterable[tuple[str, str]]) -> list[str]:
        return [
            self.add(address, "SoftwareApplication", name=name, version=version, url=address)
            for name, version in versions
            if name not in {"gyre", "platform"}
            for address in [f"pkg:{'generic' if name == 'python' else 'pypi'}/{name}@{version}"]
        ]


def _name_of(sha256: str) -> str:
    """Return the name of a file by its hash (RFC 6920), for files that lie outside the crate."""
    digest = base64.urlsafe_b64encode(bytes.fromhex(sha256)).decode().rstrip("=")
    return f"ni:///sha-256;{digest}"
