"""Models in msgpack: every bit kept, checked before anything is used."""
