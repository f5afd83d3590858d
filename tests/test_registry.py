"""Registries: found by reading, imported on demand, one broken file does not break the others."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pipeline_lib.errors import ConfigError
from pipeline_lib.registry import Registry

GOOD = "from registry_of import THINGS\n\n@THINGS.register('{name}')\nclass Thing:\n    value = 1\n"


@pytest.fixture
def things(tmp_path, monkeypatch):
    (tmp_path / "things").mkdir()
    (tmp_path / "things/__init__.py").touch()
    (tmp_path / "registry_of.py").write_text(
        "from pipeline_lib.registry import Registry\nTHINGS = Registry('thing', 'THINGS', 'things')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for name in [n for n in sys.modules if n in {"registry_of"} or n.split(".")[0] == "things"]:
        monkeypatch.delitem(sys.modules, name)
    return tmp_path / "things"


def registry() -> Registry:
    from registry_of import THINGS

    return THINGS


def test_names_are_found_without_importing(things):
    (things / "a.py").write_text(GOOD.format(name="alpha"))
    (things / "b.py").write_text("raise ImportError('broken plug-in')\n" + GOOD.format(name="beta"))
    assert registry().names() == ["alpha", "beta"]
    assert "things.a" not in sys.modules


def test_a_broken_plug_in_leaves_the_others(things):
    (things / "a.py").write_text(GOOD.format(name="alpha"))
    (things / "b.py").write_text("raise ImportError('broken plug-in')\n" + GOOD.format(name="beta"))
    assert registry().get("alpha").value == 1
    with pytest.raises(ConfigError, match=r"thing 'beta' cannot be loaded: ImportError: broken plug-in"):
        registry().get("beta")


@pytest.mark.parametrize("text", ["raise RuntimeError('no')\n", "def (\n", "import a_package_that_nobody_has\n"])
def test_whatever_breaks_a_plug_in_is_told_when_it_is_asked_for(things, text):
    (things / "bad.py").write_text(text + GOOD.format(name="bad"))
    (things / "good.py").write_text(GOOD.format(name="good"))
    assert registry().get("good").value == 1
    assert registry().names() == ["bad", "good"]
    with pytest.raises(ConfigError, match=r"thing 'bad' cannot be loaded: \w+Error: "):
        registry().get("bad")


def test_unknown_name_gets_the_closest(things):
    (things / "a.py").write_text(GOOD.format(name="alpha"))
    with pytest.raises(ConfigError, match="did you mean 'alpha'"):
        registry().get("alpa")


def test_a_name_is_taken_once(things):
    (things / "a.py").write_text(GOOD.format(name="alpha"))
    (things / "b.py").write_text(GOOD.format(name="alpha"))
    with pytest.raises(ConfigError, match=r"things\.a, things\.b: two things are called 'alpha'"):
        registry().names()


def test_planning_imports_no_torch():
    code = (
        "import sys; from pipeline_lib.plan import load_plan; import yaml;"
        "plan = load_plan(yaml.safe_load(open('config/config.yaml')));"
        "plan.targets('all'); [plan.key('train', experiment=e, model=m, seed=str(s))"
        " for e in plan.experiments for m, s in plan.runs(e)];"
        "heavy = {'torch', 'pytorch_lightning', 'intake', 'matplotlib', 'numba'} & set(sys.modules);"
        "sys.exit(f'planning imports {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


FAMILY = """
from pipeline_lib.errors import ConfigError
from registry_of import THINGS

@THINGS.register('by_*')
class Multiple:
    factor = 0

    @classmethod
    def member(cls, argument):
        if not argument.isdigit():
            raise ConfigError(f'{argument!r} is no number')
        return type('Made', (cls,), {'factor': int(argument)})

@THINGS.register('by_name')
class Named:
    factor = -1

@THINGS.register('by_the_*')
class Many(Multiple):
    pass
"""


def test_a_family_makes_the_member_that_is_asked_for(things):
    (things / "a.py").write_text(FAMILY)
    assert registry().names() == ["by_*", "by_name", "by_the_*"]
    assert registry().module("by_12") == "things.a"
    assert registry().get("by_12").factor == 12
    assert registry().get("by_12") is registry().get("by_12")
    assert registry().get("by_name").factor == -1
    assert registry().get("by_the_3").__mro__[1].__name__ == "Many"
    for wrong in ("by_x", "by_*", "by", "by_"):
        with pytest.raises(ConfigError, match="unknown thing"):
            registry().get(wrong)
    with pytest.raises(ConfigError, match="'x' is no number"):
        registry().get("by_x")
