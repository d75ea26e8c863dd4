"""Statements that put the values of a call in their places: attributes, names, variables, entries of lists and dicts.

They are lines of the function that is generated for a version's result (``result_tree.py``), and do what
``trace.outside.Place.put`` does for any place.
"""

from __future__ import annotations

from collections.abc import Callable
from keyword import iskeyword
from typing import Any

from tracejit.trace.outside import Place, replace_contents
from tracejit.trace.pytree import LEAF, Tree

__all__ = ["PlaceWriter"]


class PlaceWriter:
    """Appends one statement for each place.

    name, owner: give expressions for any object, and for what a getter finds.
    """

    def __init__(self, lines: list[str], name: Callable[[Any], str], owner: Callable[[Any], str]) -> None:
        self._lines = lines
        self._name = name
        self._owner = owner

    def write(self, place: Place, tree: Tree, taken: Callable[[Tree], str]) -> None:
        """Put a value there. taken: gives the expression for the next leaves, which have this structure."""
        owner, key = self._owner(place.find), place.key
        if place.kind == "tail" and tree.kind == "list" and len(tree.children) == 1:
            self._lines.append(f"{owner}.append({taken(tree.children[0])})")
            return
        value = taken(tree)
        missing = tree is LEAF and not value
        if place.kind == "tail":
            text = f"{owner}.extend({value})"
        elif place.kind == "contents":
            text = f"{self._name(replace_contents)}({owner}, {value})"
        elif place.kind == "entry":
            text = f"{owner}[{repr(key) if type(key) in (str, int) else self._name(key)}] = {value}"
        elif place.kind == "name":
            text = f"{owner}.pop({key!r}, None)" if missing else f"{owner}[{key!r}] = {value}"
        else:
            target = f"{owner}.{key if place.kind == 'attribute' else 'cell_contents'}"
            if not target.split(".")[-1].isidentifier() or iskeyword(key):
                text = f"delattr({owner}, {key!r})" if missing else f"setattr({owner}, {key!r}, {value})"
            else:
                text = f"del {target}" if missing else f"{target} = {value}"
        self._lines.append(text)
