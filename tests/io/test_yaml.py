"""Strict YAML: what is refused, where the message points, and what stays out of it."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipeline_lib.errors import ConfigError
from pipeline_lib.io.yaml import load_yaml, refuse_secrets


def write(folder: Path, text: str) -> Path:
    file = folder / "config.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_reads_plain_data(tmp_path: Path) -> None:
    file = write(tmp_path, "a: 1\nb: [x, 2005-04-01]\nc: {d: true, ü: 'é'}\n")
    assert load_yaml(file) == {"a": 1, "b": ["x", date(2005, 4, 1)], "c": {"d": True, "ü": "é"}}


def test_anchors_and_merge_keys_work(tmp_path: Path) -> None:
    file = write(tmp_path, "base: &b {x: 1, y: 2}\nother:\n  <<: *b\n  y: 3\n")
    assert load_yaml(file)["other"] == {"x": 1, "y": 3}


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "key 'a' is already on line 1"),
        ("x:\n  a: 1\n  a: 2\n", 3, "key 'a' is already on line 2"),
        ("l:\n  - {a: 1, a: 2}\n", 2, "key 'a' is already on line 2"),
        ("a: [1, 2\nb: 3\n", 2, "is not valid YAML"),
        ("a: 1\n\tb: 2\n", 2, "is not valid YAML"),
        ("a: 1\nb: !!python/object/apply:os.system ['true']\n", 2, "is not valid YAML"),
        ("a: 1\n---\nb: 2\n", 2, "is not valid YAML"),
        ("a: 1\non: 2\n", 2, "key 'on' is not a text"),
        ("a:\n  2005: 2\n", 2, "key '2005' is not a text"),
        ("a: *nowhere\n", 1, "is not valid YAML"),
    ],
)
def test_mistakes_are_told_with_their_line(tmp_path: Path, text: str, line: int, what: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_yaml(file)
    assert caught.value.where == f"{file}:{line}"
    assert what in caught.value.what
    assert "\n" not in caught.value.line


@pytest.mark.parametrize(
    ("text", "what"),
    [("", "empty"), ("# nothing\n", "empty"), ("- a\n- b\n", "not a mapping"), ("just text", "not a mapping")],
)
def test_top_level_must_be_a_mapping(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        load_yaml(write(tmp_path, text))


def test_a_value_inside_itself_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="contains itself"):
        load_yaml(write(tmp_path, "a: &x\n  b: [1, *x]\n"))


def test_no_date_like_that(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_yaml(write(tmp_path, "a: 2005-13-41\n"))


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_yaml(tmp_path / "absent.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_yaml(tmp_path)
    binary = tmp_path / "latin.yaml"
    binary.write_bytes(b"a: caf\xe9\n")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_yaml(binary)


@pytest.mark.parametrize(
    "key",
    [
        "password", "Passwd", "db_password", "token", "accessToken", "hf-token", "api_key", "apikey", "API_KEY",
        "apiKey", "secret", "client_secret", "secret_key", "aws_access_key_id", "private_key", "credentials",
        "authorization",
    ],
)  # fmt: skip
def test_secrets_are_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ConfigError, match="looks like a secret") as caught:
        refuse_secrets({"fetch": [{"x": {key: "hunter2"}}]}, "catalog.yaml")
    assert "hunter2" not in caught.value.line
    assert caught.value.where == f"catalog.yaml: fetch.0.x.{key}"


@pytest.mark.parametrize(
    "address",
    [
        "https://me:hunter2@example.org/x.nc",
        "https://example.org/x.nc?token=hunter2",
        "https://example.org/x.nc?a=1&X-Amz-Signature=hunter2",
        "https://example.org/x.nc?api_key=hunter2",
    ],
)
def test_a_login_in_an_address_is_refused_and_not_shown(address: str) -> None:
    with pytest.raises(ConfigError, match="address with a login") as caught:
        refuse_secrets({"url": address}, "c")
    assert "hunter2" not in caught.value.line


@pytest.mark.parametrize(
    "harmless",
    [
        {"token_size": 4}, {"n_tokens": 8}, {"class_token": True}, {"password": None}, {"tokeniser": "x"},
        {"secretary": "x"}, {"url": "https://example.org:8080/a@b"}, {"keys": ["a"]},
        {"url": "https://example.org/x?sort=1"}, {"key": "a"},
    ],
)  # fmt: skip
def test_harmless_keys_pass(harmless: dict[str, object]) -> None:
    refuse_secrets(harmless, "c")


names = st.text(st.characters(categories=["L"]), min_size=1, max_size=8).filter(
    lambda s: not isinstance(yaml.safe_load(s), bool | None)
)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(categories=["L", "N", "Zs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(names, plain, min_size=1, max_size=4))
def test_agrees_with_the_safe_loader_on_valid_files(tmp_path_factory: pytest.TempPathFactory, value: dict) -> None:
    file = tmp_path_factory.mktemp("y") / "v.yaml"
    file.write_text(yaml.safe_dump(value, allow_unicode=True), encoding="utf-8")
    assert load_yaml(file) == value
