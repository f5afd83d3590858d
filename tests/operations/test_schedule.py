"""The ready-made units: what they start is a command that exists, at a time that is one."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline_lib.cli.app import build_parser

FOLDER = Path(__file__).parents[2] / "workflow/schedule"
UNITS = ("gyre-update.service", "gyre-update.timer")


def lines(name: str) -> list[str]:
    return [line for line in (FOLDER / name).read_text().splitlines() if line and not line.startswith("#")]


def arguments(command: str) -> list[str]:
    """Arguments behind ``python -m pipeline_lib``, without redirections."""
    words = shlex.split(command.partition(">>")[0])
    return words[words.index("pipeline_lib") + 1 :]


@pytest.mark.parametrize("name", ["crontab", "scrontab"])
def test_the_line_of_cron(name):
    (line,) = lines(name)
    assert re.match(r"15 4 \* \* \*  cd /srv/gyre && ", line)
    assert build_parser().parse_args(arguments(line)).run.__name__ == "_update"


def test_what_slurm_is_asked_for_is_known_to_sbatch():
    asked = re.findall(r"^#SCRON --([a-z-]+)=\S+$", (FOLDER / "scrontab").read_text(), re.MULTILINE)
    assert asked == ["job-name", "time", "mem", "cpus-per-task", "open-mode", "output"]


def test_the_service_and_its_timer():
    service, timer = (configparser.ConfigParser(interpolation=None) for _ in UNITS)
    service.optionxform = timer.optionxform = str
    service.read(FOLDER / UNITS[0])
    timer.read(FOLDER / UNITS[1])
    assert build_parser().parse_args(arguments(service["Service"]["ExecStart"])).run.__name__ == "_update"
    assert service["Service"]["SuccessExitStatus"] == "75"
    assert timer["Timer"]["OnCalendar"] == "*-*-* 04:15:00 UTC"
    assert timer["Install"]["WantedBy"] == "timers.target"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_itself_takes_them(tmp_path):
    for name in UNITS:
        text = (FOLDER / name).read_text().replace("/srv/gyre/.venv/bin/python", "/bin/true").replace("/srv/gyre", "/")
        (tmp_path / name).write_text(text.replace("User=gyre", "User=root"))
    done = subprocess.run(
        ["systemd-analyze", "verify", *(tmp_path / name for name in UNITS)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
