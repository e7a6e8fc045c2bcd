"""ONNX names as names of nodes. Any text is a name in ONNX; here it is an identifier."""

from __future__ import annotations

import re
from collections.abc import MutableMapping

from dataflow.graph.node_names import RESERVED

_LONGEST = 200


class Names:
    """Gives each ONNX name an identifier of its own, and knows the way back."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self.originals: MutableMapping[str, str] = {}
        """The ONNX name of each identifier."""

    def identifier(self, name: str) -> str:
        """``/fc1/Gemm_output_0`` becomes ``fc1_Gemm_output_0``; where that is taken, a number is put behind it."""
        if name not in self._known:
            plain = re.sub(r"[^0-9A-Za-z_]+", "_", name).strip("_")[:_LONGEST] or "value"
            if not plain.isidentifier() or plain in RESERVED:
                plain = f"n_{plain}"
            chosen, count = plain, 1
            while chosen in self.originals:
                count += 1
                chosen = f"{plain}_{count}"
            self._known[name] = chosen
            self.originals[chosen] = name
        return self._known[name]
