"""Generated files are up to date, and the command line explains itself."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from pipeline_lib import errors
from tests.workflow.project import gyre

ROOT = Path(__file__).parents[1]
COMMANDS = ("fetch", "preprocess", "statistics", "label", "train", "predict", "score", "leaderboard", "report")


def test_generated_pages_and_schemas_do_not_drift():
    done = gyre("reference", "--check", "--root", ROOT)
    assert done.returncode == 0, done.stderr


def test_shipped_configuration_keeps_its_own_schema():
    schema = json.loads((ROOT / "config/schema.json").read_text())
    jsonschema.validate(yaml.safe_load((ROOT / "config/config.yaml").read_text()), schema)


EXPERIMENTS = ROOT / "config/experiments"


@pytest.mark.parametrize("path", sorted(EXPERIMENTS.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_experiments_keep_their_own_schema(path):
    schema = json.loads((EXPERIMENTS / "schema.json").read_text())
    # A date of YAML is a string of JSON.
    plain = json.loads(json.dumps(yaml.safe_load(path.read_text()), default=str))
    jsonschema.validate(plain, schema)
    with pytest.raises(jsonschema.ValidationError, match="'sead' was unexpected"):
        jsonschema.validate({**plain, "sead": 0}, schema)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command):
    done = gyre(command, "--help")
    assert done.returncode == 0
    assert "--output" in done.stdout


def test_the_page_of_commands_tells_every_exit_code():
    page = (ROOT / "docs/reference/commands.md").read_text()
    table = page[page.index("## Exit codes") : page.index("\n## fetch")]
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}
    codes = {e.exit_code for e in vars(errors).values() if isinstance(e, type) and issubclass(e, errors.GyreError)}
    assert told == codes | {0, 2, 70, 130}
    assert "| 7 | The competitors cannot be compared fairly. |" in table


def test_decision_records_are_listed_with_their_titles():
    listed = re.findall(r"^\| \[(\d{4})\]\((.*)\) \| (.*) \|$", (ROOT / "docs/adr/README.md").read_text(), re.MULTILINE)
    there = sorted((ROOT / "docs/adr").glob("0*.md"))
    titles = [file.read_text().splitlines()[0].removeprefix("# ") for file in there]
    assert listed == [(file.name[:4], file.name, title) for file, title in zip(there, titles, strict=True)]


def test_list_names_what_is_registered():
    done = gyre("list")
    assert re.search("model: .*eddynet, eddynet_s, .*okubo_weiss, .*unet", done.stdout)
    assert "labeller: okubo_weiss, pet14" in done.stdout
    assert re.search("simulation: .*lorenz63, ", done.stdout)
    assert gyre("list", "readers").stdout.startswith("reader: ")


def test_unknown_kind_gets_advice():
    done = gyre("list", "modle")
    assert done.returncode == 2
    assert "did you mean 'model'" in done.stderr
