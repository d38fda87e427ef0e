"""docs/which-parallelism.md says what the program says: every command of its fenced blocks is run, and what it prints is what stands
under it. With --write the page is written anew.
test_which.py YOKE [--write]"""
import os
import re
import subprocess
import sys
import tempfile
import unittest

YOKE = os.path.abspath(sys.argv.pop(1))
WRITE = "--write" in sys.argv and not sys.argv.remove("--write")
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
PAGE = os.path.join(ROOT, "docs", "which-parallelism.md")
BLOCK = re.compile(r"^```\n(\$ .*?)^```\n", re.M | re.S)


def run(block, folder):
    """A block with its commands' output as it is now."""
    out = []
    for command in re.findall(r"^\$ (.*)$", block, re.M):
        done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, timeout=600, cwd=ROOT,
                              env={**os.environ, "PATH": os.path.dirname(YOKE) + ":" + os.environ["PATH"], "XDG_DATA_HOME": folder})
        out.append(f"$ {command}\n{done.stdout}{done.stderr}")
    return "".join(out)


class Which(unittest.TestCase):
    maxDiff = None

    def test_every_block(self):
        with open(PAGE, encoding="utf-8") as f:
            page = f.read()
        blocks = BLOCK.findall(page)
        self.assertGreaterEqual(len(blocks), 6)
        with tempfile.TemporaryDirectory() as folder:
            now = BLOCK.sub(lambda m: f"```\n{run(m.group(1), folder)}```\n", page)
        if WRITE:
            with open(PAGE, "w", encoding="utf-8") as f:
                f.write(now)
        else:
            for was, is_ in zip(blocks, BLOCK.findall(now)):
                with self.subTest(was.split("\n")[0]):
                    self.assertEqual(was, is_)

    def test_numbers_stand_in_blocks_alone(self):
        """Prose cannot be run: it has no figures of a result."""
        with open(PAGE, encoding="utf-8") as f:
            prose = BLOCK.sub("", f.read())
        self.assertEqual(re.findall(r"\d[\d.,]*\s*(?:ms|GiB|MiB|TiB|GB/s|MB/s|%)(?!\w)", prose), [])


if __name__ == "__main__":
    unittest.main()
