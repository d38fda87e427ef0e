"""Every function of the public headers is in the shared library: test_exports.py LIBRARY INCLUDE."""
import ctypes
import glob
import re
import sys

library = ctypes.CDLL(sys.argv[1])
names = set()
for path in glob.glob(sys.argv[2] + "/yoke/*.h"):
    with open(path, encoding="utf-8") as f:
        text = re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S)
    names.update(re.findall(r"\bYOKE_API\b[^;(]*?\b(yoke_\w+)\s*\(", text))
missing = [name for name in sorted(names) if not hasattr(library, name)]
if missing or len(names) < 100:
    sys.exit(f"of {len(names)} public functions the library has not: {', '.join(missing)}")
