"""The graph of op nodes, and handles on its nodes."""
