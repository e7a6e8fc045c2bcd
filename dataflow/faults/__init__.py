"""Known mistakes in back-propagation: a catalogue, and which of them gives a learner's numbers."""

from __future__ import annotations

from dataflow.faults.answers import Answer, read_answer
from dataflow.faults.catalogue import KINDS, catalogue
from dataflow.faults.diagnosis import Closest, Compared, Diagnosis, Explained, Marker, diagnose
from dataflow.faults.learner import Learner

__all__ = [
    "KINDS",
    "Answer",
    "Closest",
    "Compared",
    "Diagnosis",
    "Explained",
    "Learner",
    "Marker",
    "catalogue",
    "diagnose",
    "read_answer",
]
