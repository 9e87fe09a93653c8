"""Lines of a backward pass as text: in the user's names and layout, with the signs that formulas have in the report."""

from __future__ import annotations

from fastgrad.diagnosis.edits import Edit
from fastgrad.diagnosis.ground import Ground
from fastgrad.diagnosis.lines import SLIPS, Tree, activation_name
from fastgrad.diagnosis.mistakes import Cause
from fastgrad.diagnosis.names import gradient_name, lies_in_rows, weights_name

LOOSE, SUM, PRODUCT, TIGHT = 0, 1, 2, 3
"""How strongly a sign binds."""
_SIGNS = {"+": (" + ", SUM), "-": (" - ", SUM), "*": (" ⊙ ", PRODUCT), "/": (" / ", PRODUCT), "**": ("^", TIGHT)}
_HOW = {"max": "max of", "min": "min of", "mean": "mean of", "first": "first of", "last": "last of", "sum": "Σ"}


def lines_of(ground: Ground, cause: Cause) -> tuple[str, str]:
    """Return the line as it should be and as the numbers say it is, of a cause that is an edit."""
    edit = cause.other
    assert isinstance(edit, Edit)
    left = gradient_name(ground, cause)
    writer = _Writer(ground, cause.layer)
    right, wrong = (f"{left} = {writer.text(tree)}" for tree in (edit.right, edit.tree))
    return right, wrong


class _Writer:
    """Writes the trees of one layer."""

    def __init__(self, ground: Ground, layer: int) -> None:
        self.ground, self.layer = ground, layer
        self.rows = lies_in_rows(ground)

    def text(self, tree: Tree, around: int = LOOSE) -> str:
        """Return a tree as text, in parentheses where what stands around it binds more strongly."""
        operation = tree[0]
        if operation == "name":
            return self._name(tree)
        if operation == "number":
            return f"{tree[1]:.6g}" if tree[1] >= 0 or around == LOOSE else f"({tree[1]:.6g})"
        if operation == "count":
            return self._count(tree)
        if operation == "@":
            return self._closed(self._product(tree), PRODUCT, around)
        if operation == "outer":
            return self._closed(self._outer(tree), PRODUCT, around)
        if operation == "sum":
            return self._closed(f"{_HOW[tree[1]]} {self.text(tree[2], TIGHT)} over the examples", SUM, around)
        if operation == "f":
            return self._function(tree)
        if operation == "unit":
            return f"{self._named(tree[1])} of unit {tree[2]}"
        if operation == "example":
            return f"{self._named(tree[1])} of {'the last example' if tree[2] < 0 else f'example {tree[2]}'}"
        if operation in SLIPS:
            return self._misplaced(tree)
        if operation == "head":
            return f"the first units of {self._named(tree[1])}"
        if operation == "examples":
            return f"{self.text(tree[1], PRODUCT)} for the first {self._count(tree[2])} examples only"
        if operation == "max":
            return f"max({self.text(tree[1])}, {self.text(tree[2])})"
        if operation == "mask":
            tested, inside, outside = (self.text(part) for part in tree[2:])
            return f"({inside} where {tested} {tree[1]} 0, else {outside})"
        return self._operation(tree, around)

    def _misplaced(self, tree: Tree) -> str:
        slip, line, unit, axis = tree
        text, unit_or_input = self.text(line), "input" if axis else "unit"
        if slip == "first":
            return f"{text} for the first {unit} {unit_or_input}s only"
        if slip == "below":
            return f"{text} on one side of the diagonal only"
        what = f"those of all {unit_or_input}s" if slip == "into" else f"those of the last {unit_or_input}"
        return f"{text}, {what} in the place of {unit_or_input} {unit}"

    @staticmethod
    def _closed(text: str, binding: int, around: int) -> str:
        return f"({text})" if binding < around else text

    def _operation(self, tree: Tree, around: int) -> str:
        operation, left, right = tree
        if operation == "**" and right == ("number", 2.0):
            return f"{self.text(left, TIGHT + 1)}²"
        if operation == "*" and left == ("number", -1.0):
            return self._closed(f"-{self.text(right, PRODUCT)}", SUM, around)
        sign, binding = _SIGNS[operation]
        if operation == "*" and (self._is_number(left) or self._is_number(right)):
            sign = "·"
        # What is taken away, or divided by, needs its parentheses.
        after = binding + (operation in "-/")
        return self._closed(f"{self.text(left, binding)}{sign}{self.text(right, after)}", binding, around)

    def _is_number(self, tree: Tree) -> bool:
        if tree[0] in ("number", "count"):
            return True
        return tree[0] in ("+", "-", "*", "/", "**") and self._is_number(tree[1]) and self._is_number(tree[2])

    def _product(self, tree: Tree) -> str:
        how, left, right = tree[1:]
        flow = self.text(left, PRODUCT)
        # W as it lies: (n_out, n_in) or turned; in rows dZ·W, in columns Wᵀ·dZ.
        weights = self._turned(right, to_columns=not self.rows)
        text = f"{flow}·{weights}" if self.rows else f"{weights}·{flow}"
        return text if how == "*" else f"{text}, the units {self._in_words(how)}"

    def _turned(self, tree: Tree, to_columns: bool) -> str:
        """Return weights as they stand in a product."""
        if tree[0] != "name" or tree[1] not in ("W", "dW"):
            return self.text(tree, PRODUCT)
        lies_turned = any(tensor.transposed for tensor in self.ground.problem.tensors if tensor.kind == "W")
        is_turned = lies_turned ^ to_columns ^ tree[3]
        return self._named(tree) + ("ᵀ" if is_turned else "")

    def _outer(self, tree: Tree) -> str:
        how, left, right = tree[1:]
        turned = any(t.transposed for t in self.ground.problem.tensors if t.kind == "W" and t.layer == self.layer)
        flow, inputs = self.text(left, TIGHT), self.text(right, TIGHT)
        if not self.rows:
            text = f"{inputs}·{flow}ᵀ" if turned else f"{flow}·{inputs}ᵀ"
        else:
            text = f"{inputs}ᵀ·{flow}" if turned else f"{flow}ᵀ·{inputs}"
        return text if how == "*" else f"({text}, the examples {self._in_words(how)})"

    @staticmethod
    def _in_words(how: str) -> str:
        words = {"+": "added with +", "-": "with - for ·", "/": "with / for ·"}
        return words.get(how) or f"reduced to the {how} one: = for +="

    def _function(self, tree: Tree) -> str:
        function, inside = tree[1], self.text(tree[2])
        own = activation_name(self.ground, self.layer)
        named = {"f": own, "slope": f"{own}′", "step": "1[>0]"}.get(function, function.replace("'", "′"))
        if function.startswith("step"):
            bounds = {"step": "> 0", "step at 0": ">= 0", "step down": "< 0", "step at 1": "> 1", "step at -1": "> -1"}
            return f"({inside} {bounds[function]})"
        return f"{named}({inside})"

    def _count(self, tree: Tree) -> str:
        if tree[1] == "squares":
            return f"Σ{weights_name(self.ground, self.layer)}²"
        if tree[1] == "n":
            return f"n{self.layer + 1 + tree[2]}"
        depth = self.ground.depth
        layers = {"layer": self.layer + 1, "index": self.layer, "from the end": depth - self.layer}
        return {"m": "m", "K": "K", "layers": "L"}.get(tree[1]) or str(layers[tree[1]])

    def _name(self, tree: Tree) -> str:
        return self._named(tree) + ("ᵀ" if tree[3] else "")

    def _named(self, tree: Tree) -> str:
        kind, k = tree[1], self.layer + tree[2]
        if kind == "Y":
            return "Y"
        if kind == "factor":
            return "s"
        if kind == "W":
            return weights_name(self.ground, k)
        if kind == "b":
            names = [t.name for t in self.ground.problem.tensors if t.layer == k and t.kind == "b"]
            return names[0] if names else f"b{k + 1}"
        if kind in ("dW", "db"):
            return gradient_name(self.ground, Cause("", k, kind[1]))
        if kind == "A" and k < 0:
            return "X"
        if kind in ("exp", "shifted"):
            return f"exp(Z{k + 1}{' - max' if kind == 'shifted' else ''})"
        if kind == "slope":
            return f"f′(Z{k + 1})"
        return f"{'D' if kind == 'mask' else kind}{k + 1}"
