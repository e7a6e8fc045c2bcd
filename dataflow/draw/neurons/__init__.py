"""The style of neurons: a circle for each unit of a chain of dense layers, a line for each weight."""
