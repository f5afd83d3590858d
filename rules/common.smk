# Loads the plan. A mistake in the configuration ends here, one line each.
import os
import shlex
import sys

sys.path.insert(0, workflow.basedir)

from pathlib import Path

from pipeline_lib.cluster.needs import memory_mb, minutes
from snakemake import __version__ as SNAKEMAKE_VERSION

from pipeline_lib.errors import GyreError
from pipeline_lib.io.yaml import load_yaml
from pipeline_lib.plan import load_plan

try:
    for file in workflow.configfiles:
        load_yaml(
            Path(file)
        )  # stricter than Snakemake's own reader: a key given twice is an error
    PLAN = load_plan(config)
except GyreError as error:
    raise WorkflowError(*error.lines)

# What every job needs to know, but what is no reason to run it again, reaches it through the environment.
SURROUNDINGS = {
    "GYRE_CATALOG": PLAN.config.catalog,
    "GYRE_EXPERIMENTS": PLAN.config.experiments_dir,
    "GYRE_DEVICE": PLAN.config.device,
    "GYRE_DEVICES": PLAN.config.devices,
    "GYRE_MIRROR_FOLDER": PLAN.config.mirror or "",
    "GYRE_DASK": PLAN.dask,
    "GYRE_WORKFLOW": workflow.basedir,
    "GYRE_SNAKEMAKE": SNAKEMAKE_VERSION,
}
EXPORTS = " ".join(
    f"{name}={shlex.quote(str(value))}" for name, value in SURROUNDINGS.items()
)
EXPORTS += (
    f" PYTHONPATH={shlex.quote(str(workflow.basedir))}${{PYTHONPATH:+:$PYTHONPATH}}"
)
if not workflow.deployment_settings.deployment_method:
    # Without conda the jobs run with the Python that runs Snakemake, be its environment activated or not.
    EXPORTS += f' PATH={shlex.quote(os.path.dirname(sys.executable))}:"$PATH"'
shell.prefix(f"export {EXPORTS}; ".replace("{", "{{").replace("}", "}}"))


def needs(stage, datasets=None):
    """Memory and time that a rule asks for; `datasets` names the input that holds the dataset periods it reads."""

    def memory(wildcards, input, attempt):
        paths = getattr(input, datasets) if datasets else ()
        return memory_mb(stage, [paths] if isinstance(paths, str) else paths, attempt)

    return {
        "mem_mb": memory,
        "runtime": lambda wildcards, attempt: minutes(stage, attempt),
    }


wildcard_constraints:
    **PLAN.wildcard_constraints,
