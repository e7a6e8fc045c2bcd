"""What ``tools/bench.py`` is made of: workloads, the peers that do them, and what is measured of them."""
