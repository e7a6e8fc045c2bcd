"""What a step of a model costs, before it runs and after: operations, bytes, memory, time."""

from dataflow.profiling.profiler import profile
from dataflow.profiling.result import Profile
from dataflow.profiling.step_costs import Row

__all__ = ["Profile", "Row", "profile"]
