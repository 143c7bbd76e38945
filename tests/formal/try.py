import importlib
import sys
from pathlib import Path

from formal.proof import decide

name, cls, mode, depth = sys.argv[1:5]
proof = getattr(importlib.import_module(f"formal.{name}"), cls)()
r = decide(proof, mode, int(depth), Path(f"build/formal/{name}_{mode}"))
print(r.log[-2500:]); print(r.status, r.seconds); print("\n".join(r.failed))
