"""docs/fine-tuning.md is true: its job is written down, its commands are run one after the other in one folder, and what stands
under a command is what it prints, but for figures. `...` there leaves lines out. The piece of Python is run where Python has
transformers. test_fine_tuning.py YOKE [PYTHON]"""
import os
import re
import shutil
import subprocess
import sys
import unittest

import case

YOKE = os.path.abspath(sys.argv[1])
PYTHON = sys.argv[2] if len(sys.argv) > 2 else sys.executable
del sys.argv[1:]
ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
PAGE = os.path.join(ROOT, "docs", "fine-tuning.md")
COMMAND = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.M)


def fenced(page, kind):
    return [text for of, text in re.findall(r"^```(\w*)\n(.*?)^```\n", page, re.M | re.S) if of == kind]


def plain(line):
    """A line without its figures, which other processors and weights change, and without what they change in width."""
    line = re.sub(r"\d[\d,.]*(?:e-?\d+)?(?: ?(?:B|bytes|[KMG]iB))?", "#", line)
    return " ".join(re.sub(r"  the best so far$", "", line).split())


class FineTuning(case.Folder):
    def run_command(self, command):
        return subprocess.run(["bash", "-o", "pipefail", "-c", command + " 2>&1"], capture_output=True, text=True, timeout=300, cwd=self.dir,
                              env={**os.environ, "PATH": os.path.dirname(YOKE) + ":" + os.environ["PATH"]})

    def check_output(self, command, shown, printed):
        """Every line that is shown was printed, in this order; without `...` between, right after the one before."""
        lines, at, gap = [plain(line) for line in printed.splitlines()], 0, False
        for line in shown.splitlines():
            if line == "...":
                gap = True
                continue
            self.assertIn(plain(line), lines[at:] if gap else lines[at:at + 1], f"{command}\n{printed}")
            at, gap = lines.index(plain(line), at) + 1, False
        if not gap:
            self.assertEqual(lines[at:], [], command)

    def test_the_page(self):
        with open(PAGE, encoding="utf-8") as f:
            page = f.read()
        base = os.path.join(ROOT, "docs", "fine-tuning", "base.yaml")
        made = self.run_command(f"yoke train {base} --set checkpoint.dir=made && mv made/step-* base")
        self.assertEqual(made.returncode, 0, made.stdout)
        shutil.copy(os.path.join(ROOT, "examples", "data", "plurals.jsonl"), self.path("rows.jsonl"))
        [job] = fenced(page, "yaml")
        self.write("tune.yaml", job)
        commands = [found for block in fenced(page, "") for found in COMMAND.findall(block)]
        self.assertGreaterEqual(len(commands), 10)
        for command, shown in commands:
            with self.subTest(command):
                done = self.run_command(command)
                self.assertEqual(done.returncode, 0, done.stdout)
                self.check_output(command, shown, done.stdout)
        self.assertIn("held-out loss", self.read("tune.html"))
        self.merged_is_the_same()
        self.in_transformers(page)

    def merged_is_the_same(self):
        """The likeliest tokens of base and adapters, of both applied, and of the merged folder."""
        asked = " --prompt 'a cat, then two' --temperature 0 --tokens 8 --json - 2>/dev/null | grep -o '\"text\": \".*\"'"
        said = {self.run_command("yoke generate " + which + asked).stdout
                for which in ("runs/plurals/best", "base --adapter runs/plurals/best", "tuned")}
        self.assertEqual(len(said), 1, said)
        self.assertIn("text", said.pop())

    def in_transformers(self, page):
        if subprocess.run([PYTHON, "-c", "import transformers, torch"], capture_output=True).returncode != 0:
            print("skipped: the page's piece of Python, which needs the packages torch and transformers", flush=True)
            return
        [program] = fenced(page, "python")
        done = subprocess.run([PYTHON, "-c", program], capture_output=True, text=True, timeout=600, cwd=self.dir)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(done.stdout.startswith("a cat, then two"), done.stdout)


if __name__ == "__main__":
    unittest.main()
