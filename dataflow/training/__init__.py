"""Training: minibatches, the gradient of one, the update, the loop over epochs, checkpoints."""

from dataflow.training.history import History, Progress, StopTraining
from dataflow.training.loop import train
from dataflow.training.minibatches.batches import ArrayMinibatches, Minibatches
from dataflow.training.settings import Settings
from dataflow.training.trainer import Trainer

__all__ = ["ArrayMinibatches", "History", "Minibatches", "Progress", "Settings", "StopTraining", "Trainer", "train"]
