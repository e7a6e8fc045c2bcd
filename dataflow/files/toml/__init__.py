"""Models in TOML: read with the place of every key, and written to be read by people."""
