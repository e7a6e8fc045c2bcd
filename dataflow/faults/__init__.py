"""The mistakes that learners of back-propagation make: a catalogue, and which of them gives a learner's numbers."""

from __future__ import annotations

from dataflow.faults.answers import Answer, read_answer
from dataflow.faults.catalogue import KINDS, catalogue
from dataflow.faults.diagnosis import Compared, Diagnosis, Explained, diagnose
from dataflow.faults.learner import Learner

__all__ = ["KINDS", "Answer", "Compared", "Diagnosis", "Explained", "Learner", "catalogue", "diagnose", "read_answer"]
