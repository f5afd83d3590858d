# Loads the plan. A mistake in the configuration ends here, one line each.
import shlex
import sys

sys.path.insert(0, workflow.basedir)

from pipeline_lib.errors import GyreError
from pipeline_lib.plan import load_plan

try:
    PLAN = load_plan(config)
except GyreError as error:
    raise WorkflowError(*error.lines)

# The library is found in every environment of every rule through this variable.
shell.prefix(
    f"export PYTHONPATH={shlex.quote(str(workflow.basedir))}${{{{PYTHONPATH:+:$PYTHONPATH}}}}; "
)


wildcard_constraints:
    **PLAN.wildcard_constraints,
