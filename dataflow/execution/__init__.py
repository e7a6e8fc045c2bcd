"""Inputs checked, the forward pass node by node, parameters, plans bound to shapes."""
