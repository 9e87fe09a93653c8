"""Lines of a backward pass as text: in the user's names and layout, as people write them with NumPy."""

from __future__ import annotations

from fastgrad.diagnosis.edits import Edit
from fastgrad.diagnosis.ground import Ground
from fastgrad.diagnosis.hand import Hand
from fastgrad.diagnosis.lines import SLIPS, Tree, activation_name
from fastgrad.diagnosis.mistakes import Cause
from fastgrad.diagnosis.names import gradient_name, weights_name
from fastgrad.report.formatting import counted

LOOSE, SUM, MATMUL, PRODUCT, TIGHT = 0, 1, 2, 3, 4
"""How strongly a sign binds; a product of matrices beside one of numbers gets its parentheses."""
_SIGNS = {"+": (" + ", SUM), "-": (" - ", SUM), "*": (" * ", PRODUCT), "/": (" / ", PRODUCT), "**": ("**", TIGHT)}


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
        self.ground, self.layer, self.hand = ground, layer, Hand(ground)
        self.rows = self.hand.rows

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
            return self._closed(self._product(tree), MATMUL, around)
        if operation == "outer":
            return self._closed(self._outer(tree), MATMUL, around)
        if operation == "sum":
            return self._sum(tree)
        if operation == "f":
            return self._function(tree)
        if operation == "unit":
            is_row = self.hand.is_turned(self.layer + 1) if tree[1][1] == "W" else not self.rows or tree[1][1] in ("b", "db")
            return f"{self._named(tree[1])}[{'' if is_row else ':, '}{tree[2]}]"
        if operation == "example":
            return f"{self._named(tree[1])}[{'' if self.rows else ':, '}{tree[2]}]"
        if operation in SLIPS:
            return self._misplaced(tree)
        if operation == "head":
            return f"the first units of {self._named(tree[1])}"
        if operation == "examples":
            return f"{self.text(tree[1], PRODUCT)} for the first {self._count(tree[2])} examples only"
        if operation == "max":
            return f"np.maximum({self.text(tree[1])}, {self.text(tree[2])})"
        if operation == "mask":
            tested, inside, outside = (self.text(part) for part in tree[2:])
            return f"np.where({tested} {tree[1]} 0, {inside}, {outside})"
        return self._operation(tree, around)

    def _misplaced(self, tree: Tree) -> str:
        slip, line, unit, axis = tree
        text, unit_or_input = self.text(line), "input" if axis else "unit"
        if slip == "first":
            return f"{text} for the first {counted(unit, unit_or_input)} only"
        if slip == "below":
            return f"{text} on one side of the diagonal only"
        what = f"those of all {unit_or_input}s" if slip == "into" else f"those of the last {unit_or_input}"
        return f"{text}, {what} in the place of {unit_or_input} {unit}"

    @staticmethod
    def _closed(text: str, binding: int, around: int) -> str:
        return f"({text})" if binding < around else text

    def _operation(self, tree: Tree, around: int) -> str:
        operation, left, right = tree
        if operation == "*" and left == ("number", -1.0):
            return self._closed(f"-{self.text(right, PRODUCT)}", SUM, around)
        sign, binding = _SIGNS[operation]
        # What is taken away, divided by or raised to a power needs its parentheses.
        before, after = binding + (operation == "**"), binding + (operation in "-/")
        return self._closed(f"{self.text(left, before)}{sign}{self.text(right, after)}", binding, around)

    def _product(self, tree: Tree) -> str:
        how, left, right = tree[1:]
        flow = self.text(left, TIGHT)
        if right[0] == "name" and right[1] in ("W", "dW"):  # W as it lies, (n_out, n_in) or turned
            text = self.hand.down(self.layer, flow, self._named(right), turned=right[3])
        else:
            other = self.text(right, TIGHT)
            text = f"{flow} @ {other}" if self.rows else f"{other} @ {flow}"
        return text if how == "*" else f"({text}, the units {self._in_words(how)})"

    def _outer(self, tree: Tree) -> str:
        how, left, right = tree[1:]
        text = self.hand.weights(self.layer, self.text(left, TIGHT), self.text(right, TIGHT))
        return text if how == "*" else f"({text}, the examples {self._in_words(how)})"

    def _sum(self, tree: Tree) -> str:
        how, text = tree[1], self.text(tree[2])
        if how not in ("first", "last"):
            return self.hand.bias(self.layer, text, how)
        place = 0 if how == "first" else -1
        return f"{self.text(tree[2], TIGHT)}[{place if self.rows else f':, {place}'}]"

    @staticmethod
    def _in_words(how: str) -> str:
        words = {"+": "with + for *", "-": "with - for *", "/": "with / for *"}
        return words.get(how) or f"reduced to the {how} one: = for +="

    def _function(self, tree: Tree) -> str:
        function, inside = tree[1], self.text(tree[2])
        own = activation_name(self.ground, self.layer)
        if function in ("abs", "exp", "cosh", "sinh", "sign", "negative"):
            return f"np.{function}({inside})"
        named = {"f": own, "slope": f"{own}′", "step": "1[>0]"}.get(function, function.replace("'", "′"))
        if function.startswith("step"):
            bounds = {"step": "> 0", "step at 0": ">= 0", "step down": "< 0", "step at 1": "> 1", "step at -1": "> -1"}
            return f"({inside} {bounds[function]})"
        return f"{named}({inside})"

    def _count(self, tree: Tree) -> str:
        if tree[1] == "squares":
            return f"np.sum({weights_name(self.ground, self.layer)}**2)"
        if tree[1] == "n":
            return f"n{self.layer + 1 + tree[2]}"
        losses = {"loss": "J", "data loss": "(J without the penalty)", "penalty": "(the penalty in J)"}
        if tree[1] in losses:
            return losses[tree[1]]
        depth = self.ground.depth
        layers = {"layer": self.layer + 1, "index": self.layer, "from the end": depth - self.layer}
        return {"m": "m", "K": "K", "layers": "L"}.get(tree[1]) or str(layers[tree[1]])

    def _name(self, tree: Tree) -> str:
        return self._named(tree) + (".T" if tree[3] else "")

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
        if kind == "share":
            return f"({self._named(('name', 'dW', *tree[2:]))} before its penalty)"
        if kind == "log":
            return f"np.log({self.hand.output})"
        if kind == "A" and k + 1 == self.ground.depth:
            return self.hand.output
        if kind in ("exp", "shifted"):
            return f"np.exp(Z{k + 1}{' - max' if kind == 'shifted' else ''})"
        if kind == "slope":
            return f"f′(Z{k + 1})"
        return f"{'D' if kind == 'mask' else kind}{k + 1}"
