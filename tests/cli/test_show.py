"""``edgerun show``: a bundle as a page for people and as JSON for scripts."""

from __future__ import annotations

import json

import pytest

from edgerun import bundle
from support import models

CARDS = """\
bundle  cards          1.0.0
model   champion       1,239 bytes
model   challenger     34,019 bytes
input   amount         float32 [?, 1]
input   distance_km    float32 [?, 1]
input   hour           int64 [?, 1]
input   merchant       string [?, 1]
output  label          int64 [?]
output  probabilities  float32 [?, 2]
golden  9              examples

route
  by-card  key split on card_type
    'gold'   champion
    'black'  ab  random split by session_id, control: champion
      90 %  champion
      10 %  challenger
    else     watch  shadow deploy
      serves   champion
      watches  challenger
"""


def tree(result):
    """The lines under ``route``."""
    assert result.exit_code == 0, result.stderr
    return result.stdout.partition("route\n")[2].splitlines()


def test_a_bundle_is_shown_as_its_readme_describes_it(shell, cards):
    run = shell(f"edgerun show {cards}/bundle")
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == CARDS


def test_json_holds_the_same_and_the_exact_graph(invoke, digits):
    found = json.loads(invoke("show", digits / "bundle", "--json").stdout)
    written = json.loads((digits / "bundle" / "bundle.json").read_text())
    assert {name: found[name] for name in ("name", "version", "route", "nodes")} == {
        name: written[name] for name in ("name", "version", "route", "nodes")
    }
    assert found["inputs"] == [{"name": "image", "kind": "tensor", "dtype": "float32", "dims": ["", 64]}]
    assert [port["name"] for port in found["outputs"]] == ["label", "probabilities"]
    assert found["shares"]["split"] == pytest.approx({"control": 0.8, "challenger": 0.2}, abs=1e-9)
    assert found["golden"] == len(json.loads((digits / "bundle" / "golden.json").read_text()))
    assert found["models"]["champion"] == {"bytes": (digits / "bundle" / "models" / "champion.onnx").stat().st_size}


def test_a_bundle_of_one_model_has_it_for_a_route(invoke, toy):
    assert tree(invoke("show", toy)) == ["  double"]


def test_a_node_that_several_lead_to_is_unfolded_once(invoke, make_bundle):
    nodes = {
        "who": {"kind": "key_split", "field": "who", "cases": {"a": "ab"}, "default": "watch"},
        "watch": {"kind": "shadow_deploy", "champion": "ab", "shadows": ["two"], "sample": 0.25},
        "ab": {"kind": "random_split", "weights": {"one": 2, "two": 1}, "traffic": 0.5},
    }
    assert tree(invoke("show", make_bundle("who", nodes, one=models.steady(), two=models.steady(3)))) == [
        "  who  key split on who",
        "    'a'   ab  random split for each request, control: one, 50 % enrolled",
        "      66.67 %  one",
        "      33.33 %  two",
        "    else  watch  shadow deploy, 25 % sampled",
        "      serves   ab  (above)",
        "      watches  two",
    ]


def test_slices_and_the_holdout_are_shown(invoke, tmp_path):
    (tmp_path / "one.onnx").write_bytes(models.steady())
    paths = dict.fromkeys(("one", "two"), tmp_path / "one.onnx")
    layer = {"name": "search", "from": 0, "to": "1/4"}
    nodes = {"ab": {"kind": "random_split", "weights": {"one": 1, "two": 1}, "split_key": "user", "layer": layer}}
    holdout = {"name": "2026-h2", "share": 0.05, "split_key": "user"}
    folder = tmp_path / "bundle"
    bundle.write(folder, name="shop", version="1", models=paths, route="ab", nodes=nodes, holdout=holdout)
    assert [line for line in tree(invoke("show", folder)) if "one" not in line.split()[-1:]] == [
        "  ab  random split by user, control: one, search from 0 % to 25 %",
        "    50 %  two",
        "  held out as 2026-h2: 5 % by user",
    ]
    document = json.loads(invoke("show", folder, "--json").stdout)
    assert (document["holdout"], document["nodes"]["ab"]["layer"]["to"]) == (holdout, 0.25)


def test_forced_keys_are_counted(invoke, make_bundle):
    split = {"weights": {"one": 1, "two": 0}, "split_key": "user", "force": {"ann": "two", "bob": "two"}}
    bundle = make_bundle("ab", {"ab": {"kind": "random_split", **split}}, one=models.steady(), two=models.steady(3))
    assert tree(invoke("show", bundle))[0] == "  ab  random split by user, control: one, 2 keys forced"


def test_ports_that_are_no_plain_tensor_have_their_kind(invoke, make_bundle):
    bundle = make_bundle(words=models.strings_to_map())
    assert "output  output_probability  sequence\n" in invoke("show", bundle).stdout
    found = json.loads(invoke("show", bundle, "--json").stdout)["outputs"]
    assert found[1] == {"name": "output_probability", "kind": "sequence", "dtype": None, "dims": None}


def test_a_shape_that_is_not_declared(invoke, make_bundle):
    bundle = make_bundle(any_rank=models.unknown_rank())
    assert "input   x         float32 of any shape\n" in invoke("show", bundle).stdout
    assert json.loads(invoke("show", bundle, "--json").stdout)["inputs"][0]["dims"] is None


def test_names_cannot_steer_the_terminal(invoke, make_bundle):
    nodes = {"\x1b[2Jred\n": {"kind": "key_split", "field": "f", "cases": {}, "default": "one"}}
    result = invoke("show", make_bundle("\x1b[2Jred\n", nodes, one=models.steady()))
    assert tree(result)[0] == r"  \x1b[2Jred\n  key split on f"


def test_a_name_that_stdout_cannot_write_is_escaped(shell, make_bundle):
    nodes = {"ключ": {"kind": "key_split", "field": "f", "cases": {}, "default": "one"}}
    bundle = make_bundle("ключ", nodes, one=models.steady())
    run = shell(f"PYTHONIOENCODING=latin-1 edgerun show {bundle}")
    assert (run.returncode, run.stderr) == (0, "")
    assert r"  \u043a\u043b\u044e\u0447  key split on f" in run.stdout


def test_a_bundle_that_is_missing(invoke, tmp_path):
    result = invoke("show", tmp_path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        f"edgerun: {tmp_path}/bundle.json cannot be read: No such file or directory; is {tmp_path} a bundle folder?\n"
    )


def test_a_graph_that_is_wrong_is_told_with_its_node(invoke, broken):
    document = {
        "format": 1,
        "name": "toy",
        "version": "1",
        "models": {"double": "models/double.onnx"},
        "route": "ab",
        "nodes": {"ab": {"kind": "random_split", "weights": {"triple": 1}}},
    }
    result = invoke("show", broken("bundle.json", json.dumps(document).encode()))
    assert result.exit_code == 1
    assert "node 'ab': 'triple' is neither a node nor a model" in result.stderr
