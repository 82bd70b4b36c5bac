"""A statement is exported as an ML-BOM that the field's own schema takes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerun_bundles.provenance.cyclonedx import cyclonedx
from edgerun_bundles.provenance.data import Data
from edgerun_bundles.provenance.environment import describe_environment
from edgerun_bundles.provenance.metrics import ConfusionMatrix, Metrics
from edgerun_bundles.provenance.notebooks import Notebook
from edgerun_bundles.provenance.packages import Package, Source
from edgerun_bundles.provenance.statement import Provenance, Run, Statement, Subject, build_statement, parse_statement
from edgerun_bundles.provenance.tables import Column, Table

ONE, TWO = "1" * 64, "2" * 64
DATA = Data(
    "train",
    "file",
    ONE,
    10,
    uri="s3://b/train set.csv",
    tables=(Table("csv", 1, 5, (Column("a", "int64"),)),),
    tags={"split": "a"},
)
MODEL = Provenance(
    code={"commit": "abc", "is_dirty": True, "tree": "def"},
    notebooks=(Notebook("n.ipynb", TWO, 3, ONE, 1, (1,), top_to_bottom=True),),
    data=(DATA,),
    parameters={"lr": 0.1, "layers": [8, 8]},
    metrics=Metrics(
        {"accuracy": 0.75}, {}, {"auc": {"gold": 0.9}}, {"test": ConfusionMatrix(("a", "b"), ((3, 1), (0, 0)))}
    ),
    run=Run("id", "2026-01-01T00:00:00Z", ended="2026-01-01T00:01:00Z"),
    parents=(Subject("digits@0.9", {"sha256": TWO}),),
)


@pytest.fixture(scope="module")
def environment():
    return describe_environment()


def wrong_with(document):
    """What the schema of CycloneDX 1.6 finds."""
    from cyclonedx.schema import SchemaVersion  # noqa: PLC0415 - whoever only collects the tests need not wait for it
    from cyclonedx.validation.json import JsonStrictValidator  # noqa: PLC0415 - likewise

    return JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(document))


def exported(provenance, name="digits@1.2.0"):
    content = build_statement({name: ONE, "champion.onnx": TWO}, provenance)
    document = cyclonedx(parse_statement(content))
    assert wrong_with(document) is None
    return document


def components(document, kind):
    return [component for component in document["components"] if component["type"] == kind]


def test_a_bundle_with_models_is_an_application_that_depends_on_them(environment):
    document = exported(Provenance(environment=environment, models={"champion": MODEL, "challenger": MODEL}))
    assert document["metadata"]["component"]["type"] == "application"
    assert (document["metadata"]["component"]["name"], document["metadata"]["component"]["version"]) == (
        "digits",
        "1.2.0",
    )
    assert [model["name"] for model in components(document, "machine-learning-model")] == ["challenger", "champion"]
    assert {"model:champion", "model:challenger"} <= {*document["dependencies"][0]["dependsOn"]}


def test_a_statement_without_models_tells_of_one_model(environment):
    document = exported(MODEL._replace(environment=environment))
    assert document["metadata"]["component"]["type"] == "machine-learning-model"
    assert document["metadata"]["timestamp"] == "2026-01-01T00:01:00Z"


def test_the_model_card_holds_parameters_data_and_metrics():
    (model,) = components(exported(Provenance(models={"champion": MODEL})), "machine-learning-model")
    card = model["modelCard"]
    (data,) = card["modelParameters"]["datasets"]
    metrics = {(m["type"], m.get("slice")): m["value"] for m in card["quantitativeAnalysis"]["performanceMetrics"]}
    assert data["ref"].startswith("data:")
    assert metrics["accuracy", None] == "0.75"
    assert metrics["auc", "gold"] == "0.9"
    assert metrics["test/recall", "a"] == "0.75"
    assert metrics["test/recall", "b"] == "nan"
    properties = {item["name"]: item["value"] for item in card["properties"]}
    assert properties["edgerun:parameter:layers"] == "[8, 8]"
    assert json.loads(properties["edgerun:confusion_matrix:test"])["counts"] == [[3, 1], [0, 0]]
    assert model["pedigree"]["ancestors"][0]["name"] == "digits@0.9"


def test_data_is_a_component_with_its_hash():
    (data,) = components(exported(MODEL), "data")
    assert data["hashes"] == [{"alg": "SHA-256", "content": ONE}]
    assert data["data"][0]["contents"]["url"] == "s3://b/train%20set.csv"


def test_every_package_is_a_library_or_a_framework_with_its_address(environment):
    document = exported(Provenance(environment=environment))
    found = components(document, "library") + components(document, "framework")
    assert len(found) == len(environment.packages)
    assert all(package["purl"].startswith("pkg:pypi/") for package in found)
    assert {"numpy", "scikit-learn"} <= {package["name"] for package in components(document, "framework")}


def test_every_reference_names_a_component_and_none_is_there_twice(environment):
    document = exported(Provenance(environment=environment, models={"a": MODEL, "b": MODEL}))
    references = [component["bom-ref"] for component in document["components"]]
    assert len({*references}) == len(references)
    needed = {ref for dependency in document["dependencies"] for ref in dependency["dependsOn"]}
    assert needed <= {*references}


def test_the_same_statement_gives_the_same_document():
    assert exported(MODEL) == exported(MODEL)
    assert exported(MODEL)["serialNumber"] != exported(MODEL, "digits@1.2.1")["serialNumber"]


ODD = ["http://[", "http://h:x/", "http://h/%zz", "http://h/#a#b", "http://h/é"]
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@settings(max_examples=15)  # the schema's grammar of addresses takes its time
@given(
    name=texts,
    uri=texts | st.sampled_from(ODD),
    parameter=texts,
    metric=st.floats(),
    version=st.sampled_from(["1!2.0+cu118", "1"]),
)
def test_any_names_give_a_valid_document(environment, name, uri, parameter, metric, version):
    package = Package("x", version, source=Source(uri))
    provenance = Provenance(
        data=(DATA._replace(name=name, uri=uri, tags={name: uri}),),
        environment=environment._replace(packages=(package,)),
        parameters={parameter: name},
        metrics=Metrics({name: metric}),
        models={name: Provenance()},
    )
    document = cyclonedx(Statement((Subject(name, {"sha256": ONE}),), provenance))
    assert wrong_with(document) is None
