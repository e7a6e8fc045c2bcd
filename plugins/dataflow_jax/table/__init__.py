"""Which function of JAX computes each primitive op."""
