"""The smallest edit of the user's own source that makes a gradient right.

A backward function is a short program, and a mistake is an edit of one line of it. Where its source can be read, edits are
tried in the order of how usual they are, each run on the user's own point, until the gradient agrees with the numerical one
there and at fresh points. Called by `check`, and by whatever else has a backward function and numerical gradients.
"""

from fastgrad.functions.repair.points import Call, Entries, Point, Slopes
from fastgrad.functions.repair.search import Repair, repairs
from fastgrad.functions.repair.words import finding

__all__ = ["Call", "Entries", "Point", "Repair", "Slopes", "finding", "repairs"]
