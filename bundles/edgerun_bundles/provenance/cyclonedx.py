"""Exports a statement as a CycloneDX 1.6 ML-BOM: models with model cards, data, and the packages that trained them.

It makes plain JSON, since the field's own library has no model cards. The same statement gives the same document. What
CycloneDX has no field for stands in properties named ``edgerun:…``.
"""

from __future__ import annotations

import json
import re
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from edgerun_bundles.provenance.canonical import canonical
from edgerun_bundles.provenance.documents import to_document
from edgerun_bundles.provenance.environment import FRAMEWORKS
from edgerun_bundles.provenance.statement import Provenance, Statement, Subject, statement_digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgerun_bundles.provenance.data import Data
    from edgerun_bundles.provenance.environment import Environment
    from edgerun_bundles.provenance.metrics import Metrics
    from edgerun_bundles.provenance.packages import Package

SPEC_VERSION = "1.6"
_URL_CHARACTERS = ":/?#@!$&'()*+,;=%-._~"
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[A-Za-z0-9.-]+(:\d+)?(/(%[0-9A-F]{2}|[^%?#])*)?(\?[^%#]*)?(#[^%#]*)?")
"""What is an address beyond doubt; the schema refuses others, which then stand in a property alone."""
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://edgerun.dev/provenance/v1")


def cyclonedx(statement: Statement) -> dict[str, Any]:
    """Return a CycloneDX document of what a statement tells.

    The bundle is the document's subject. Each model is a component of type ``machine-learning-model``; where a
    statement tells of no single model, its first subject is the one.
    """
    predicate = statement.predicate
    models = [_model(name, of) for name, of in predicate.models.items()]
    bundle = _bundle(statement, card=not models)
    components = {
        item["bom-ref"]: item
        for of in (predicate, *predicate.models.values())
        for item in (*map(_data, of.data), *_packages(of.environment))
    }
    digest = statement_digest(canonical(to_document(statement)))
    document: dict[str, Any] = {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPEC_VERSION}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, digest)}",
        "version": 1,
        "metadata": {"component": bundle, "lifecycles": [{"phase": "build"}]},
        "components": [*models, *(components[ref] for ref in sorted(components))],
        "dependencies": [*_dependencies(statement, bundle["bom-ref"])],
    }
    ended = predicate.run.ended if predicate.run else None
    if ended:
        document["metadata"]["timestamp"] = ended
    return document


def _bundle(statement: Statement, *, card: bool) -> dict[str, Any]:
    first, *others = statement.subject
    name, _, version = first.name.partition("@")
    component: dict[str, Any] = {
        "type": "machine-learning-model" if card else "application",
        "bom-ref": _reference("bundle", first.digest["sha256"]),
        "name": name or first.name,
        "hashes": _hashes(first.digest["sha256"]),
    }
    if version:
        component["version"] = version
    if card:
        component["modelCard"] = _card(statement.predicate)
    if others:
        component["components"] = [_file(subject) for subject in others]
    return _with_properties(component, _about(statement.predicate))


def _file(subject: Subject) -> dict[str, Any]:
    digest = subject.digest["sha256"]
    return {"type": "file", "bom-ref": _reference("file", digest), "name": subject.name, "hashes": _hashes(digest)}


def _model(name: str, provenance: Provenance) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "machine-learning-model",
        "bom-ref": _reference("model", name),
        "name": name,
        "modelCard": _card(provenance),
    }
    if provenance.parents:
        ancestors = [
            {"type": "machine-learning-model", "name": parent.name, "hashes": _hashes(parent.digest["sha256"])}
            for parent in provenance.parents
        ]
        component["pedigree"] = {"ancestors": ancestors}
    return _with_properties(component, _about(provenance))


def _card(provenance: Provenance) -> dict[str, Any]:
    card: dict[str, Any] = {}
    if provenance.data:
        card["modelParameters"] = {"datasets": [{"ref": _data_reference(data)} for data in provenance.data]}
    metrics = [*_performance(provenance.metrics)]
    if metrics:
        card["quantitativeAnalysis"] = {"performanceMetrics": metrics}
    parameters = [(f"edgerun:parameter:{name}", _text(value)) for name, value in sorted(provenance.parameters.items())]
    matrices = [
        (f"edgerun:confusion_matrix:{name}", _text(to_document(matrix)))
        for name, matrix in sorted(provenance.metrics.confusion_matrices.items())
    ]
    return _with_properties(card, [*parameters, *matrices])


def _performance(metrics: Metrics) -> Iterator[dict[str, str]]:
    for name, value in sorted(metrics.values.items()):
        yield {"type": name, "value": repr(value)}
    for name, numbers in sorted(metrics.per_class.items()):
        for label, value in numbers.items():
            yield {"type": name, "value": repr(value), "slice": label}
    for name, matrix in sorted(metrics.confusion_matrices.items()):
        for label, found in matrix.per_class().items():
            for kind, value in zip(found._fields, found, strict=True):
                yield {"type": f"{name}/{kind}", "value": repr(value), "slice": label}


def _about(provenance: Provenance) -> Iterator[tuple[str, str]]:
    """Yield what has no place in CycloneDX."""
    code, run, environment = provenance.code or {}, provenance.run, provenance.environment
    for name in ("commit", "branch", "tree", "is_dirty"):
        if code.get(name) is not None:
            yield f"edgerun:code:{name}", _text(code[name])
    for notebook in provenance.notebooks:
        yield f"edgerun:notebook:{notebook.path}", f"sha256:{notebook.sha256}"
    if run is not None:
        yield "edgerun:run:id", run.id
        yield "edgerun:run:started", run.started
    if environment is not None:
        yield "edgerun:python", f"{environment.python.implementation} {environment.python.version}"
        told = (environment.system.distribution or environment.system.os, environment.system.machine)
        yield "edgerun:system", " ".join(told)


def _data(data: Data) -> dict[str, Any]:
    content: dict[str, Any] = {"type": "dataset", "name": data.name}
    url = quote(data.uri or "", safe=_URL_CHARACTERS)
    if _URL.fullmatch(url):
        content["contents"] = {"url": url}
    component = {
        "type": "data",
        "bom-ref": _data_reference(data),
        "name": data.name,
        "data": [content],
    }
    if data.kind == "file":
        component["hashes"] = _hashes(data.sha256)
    facts = [("edgerun:data:kind", data.kind), ("edgerun:data:content", f"sha256:{data.sha256}")]
    facts += [("edgerun:data:size", str(data.size))]
    facts += [("edgerun:data:uri", data.uri)] if data.uri else []
    facts += [("edgerun:data:table", _text(to_document(table))) for table in data.tables]
    facts += [(f"edgerun:data:tag:{name}", value) for name, value in sorted(data.tags.items())]
    return _with_properties(component, facts)


def _packages(environment: Environment | None) -> Iterator[dict[str, Any]]:
    if environment is None:
        return
    frameworks = {distribution for name in environment.frameworks for distribution in FRAMEWORKS.get(name, ())}
    for package in environment.packages:
        component: dict[str, Any] = {
            "type": "framework" if package.name in frameworks else "library",
            "bom-ref": _package_url(package),
            "name": package.name,
            "version": package.version,
            "purl": _package_url(package),
        }
        facts = [("edgerun:package:files", f"sha256:{package.files_sha256}")] if package.files_sha256 else []
        facts += [("edgerun:package:source", package.source.url)] if package.source else []
        yield _with_properties(component, facts)


def _dependencies(statement: Statement, bundle: str) -> Iterator[dict[str, Any]]:
    predicate = statement.predicate
    models = [_reference("model", name) for name in predicate.models]
    yield {"ref": bundle, "dependsOn": sorted({*models, *_needs(predicate)})}
    for name, model in predicate.models.items():
        yield {"ref": _reference("model", name), "dependsOn": sorted(_needs(model))}


def _needs(provenance: Provenance) -> set[str]:
    packages = provenance.environment.packages if provenance.environment else ()
    return {*map(_data_reference, provenance.data), *map(_package_url, packages)}


def _package_url(package: Package) -> str:
    return f"pkg:pypi/{quote(package.name, safe='')}@{quote(package.version, safe='')}"


def _data_reference(data: Data) -> str:
    return _reference("data", f"{data.name}:{data.sha256}")


def _reference(kind: str, name: str) -> str:
    return f"{kind}:{quote(name, safe='')}"


def _hashes(sha256: str) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": sha256}]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _with_properties(component: dict[str, Any], facts: Any) -> dict[str, Any]:
    properties = [{"name": name, "value": value} for name, value in facts]
    return {**component, "properties": properties} if properties else component
