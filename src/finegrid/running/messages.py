"""What a worker and its parent send each other."""

from __future__ import annotations

import json
import os
from typing import Any, TextIO

Job = dict[str, Any]


class Channel:
    """Events to the parent. Owns the real stdout: whatever a library prints goes to stderr instead."""

    def __init__(self) -> None:
        self._out: TextIO = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)

    def send(self, event: str, **content: Any) -> None:
        self._out.write(json.dumps({"event": event, **content}, ensure_ascii=True) + "\n")
        self._out.flush()
