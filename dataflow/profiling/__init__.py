"""What a step of a model costs, before it runs and after: operations, bytes, memory, time."""

from dataflow.profiling.profiler import profile
from dataflow.profiling.result import Profile, Row

__all__ = ["Profile", "Row", "profile"]
