"""The lecture style: the forward pass in a row, the backward pass on the same nodes, the products below."""
