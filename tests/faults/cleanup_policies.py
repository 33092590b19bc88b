"""The jobs of the child processes; no other process has this package among its apps."""

from session_cleanup.policies import register
from tests.faults.shapes import SHAPES

register(*(shape.policy for shape in SHAPES if shape.policy.preset is None))
