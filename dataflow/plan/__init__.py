"""The plan: a graph compiled, once for each set of concrete shapes, into instructions over the slots of one arena.

Nothing that runs per step looks at networkx, at names or at Python signatures. ``lower`` makes instructions of a graph,
passes make the plan better one after the other, and a backend runs it.
"""

from dataflow.plan.make_plan import PASSES, make_plan, stages
from dataflow.plan.structure import Instruction, Plan, Region, View, concrete

__all__ = ["PASSES", "Instruction", "Plan", "Region", "View", "concrete", "make_plan", "stages"]
