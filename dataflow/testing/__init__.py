"""Check an op. One line in a plugin's tests checks everything that holds for every op::

    import dataflow
    import pytest
    from dataflow_mine import ops

    @pytest.mark.parametrize("op", dataflow.ops_in(ops), ids=repr)
    def test_op(op):
        dataflow.testing.assert_op(op)

The op is run on its own samples (``@op.samples``); one that is elementwise, or composite and happy with normal
numbers of shape (3, 4), needs none. ``assert_schedule`` checks a schedule of the learning rate, ``assert_optimizer`` an
optimizer, and ``check_part`` whatever else plugins register.
"""

from __future__ import annotations

from dataflow.testing.op_checks import CHECKS, Finding, assert_op, check_op
from dataflow.testing.part_checks import PARTS, assert_optimizer, check_part
from dataflow.testing.schedule_checks import assert_schedule

__all__ = ["CHECKS", "PARTS", "Finding", "assert_op", "assert_optimizer", "assert_schedule", "check_op", "check_part"]
