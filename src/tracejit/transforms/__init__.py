"""Differentiation and batching: functions of the IR to functions of the IR, in any order and composition."""

from tracejit.transforms import control_jvp, control_transpose
from tracejit.transforms.custom import inline_custom
from tracejit.transforms.jvp import jvp, jvp_function
from tracejit.transforms.reverse import value_and_grad, vjp_function
from tracejit.transforms.vmap import vmap, vmap_function

__all__ = ["inline_custom", "jvp", "jvp_function", "value_and_grad", "vjp_function", "vmap", "vmap_function"]

# Imported for the rules that they declare.
_RULES = (control_jvp, control_transpose)
