"""Pages of --html as a reader sees them: each is opened in Chromium, narrow and wide, light and dark, and on paper; nothing lies on
another, is cut off, needs scrolling of the whole page, or is too faint to read (WCAG's 4.5), and nothing else is fetched.
test_pages_look.py YOKE [--pictures DIR]: also writes what it saw, as PNG and PDF."""
import os
import subprocess
import sys
import unittest

from browser import Browser, find
from case import Folder

YOKE = sys.argv.pop(1)
PICTURES = sys.argv[2] if sys.argv[1:2] == ["--pictures"] else None
del sys.argv[1:3 if PICTURES else 1]
LOOKS = {"400-light": (400, False, False), "400-dark": (400, True, False), "1600-light": (1600, False, False),
         "1600-dark": (1600, True, False), "paper": (718, False, True)}  # A4 at 96 dots an inch, without its margins
LONG = "a_machine_of_a_name_that_goes_on_and_on_without_a_space_as_names_of_clusters_in_a_catalogue_do_until_it_is_long"
MACHINE = """name: {name}
device: {{name: d, memory: {memory}, rates: {{f32: 10 TFLOP/s}}, bandwidth: 1000 GB/s, launch: 5 us}}
levels:
  - {{name: near, count: 8, bandwidth: 100 GB/s, latency: 3 us}}
  - {{name: far, count: 8, bandwidth: 10 GB/s, latency: 6 us}}
exceptions:
  - {{device: 3, slower: 1.7}}
"""
ROWS = """model: {family: layers, input: [8], layers: [{type: linear, out: 8}, {type: relu}, {type: linear, out: 8}, {type: linear, out: 4}]}
data: {format: random, samples: 64, holdout: 0.25}
train: {steps: 6, batch: 8, loss: mse, optimizer: {name: sgd, lr: 0.01}}
eval: {every: 2}
"""
GPT = """model: {family: gpt2, layers: 8, heads: 8, width: 64, context: 32, vocab: 128}
data: {format: random}
train: {steps: 2, batch: 64, sequence: 32, loss: cross_entropy, optimizer: {name: adamw, lr: 1e-3}}
"""
PAGES = {  # by name: the command
    "schedule": "schedule --schedule zb-h1 --stages 4 --microbatches 8",
    "schedule-large": "schedule --schedule interleaved --stages 64 --chunks 2 --microbatches 128",
    "compare": "compare rows.yaml --layouts dp=4;pp=9",
    "train": "train rows.yaml --dp 2 --profile",
    "train-one": "train rows.yaml --steps 1",
    "plan": "plan gpt.yaml --machine long.yaml",
    "plan-why": "plan gpt.yaml --machine tight.yaml --devices 8 --why",
    "plan-many": "plan gpt.yaml --machine h100-sxm:8x8 --top 48 --set train.precision=bf16",
    "plan-one": "plan gpt.yaml --machine h100-sxm:1x1 --top 1",
    "plan-tight": "plan gpt.yaml --machine tight.yaml --devices 8",
    "simulate": "simulate gpt.yaml --machine long.yaml --dp 2 --pp 4 --microbatches 8",
    "simulate-one": "simulate gpt.yaml --machine h100-sxm:1x1",
    "simulate-64": "simulate gpt.yaml --machine long.yaml --dp 2 --tp 4 --pp 8 --microbatches 32",
    "explain": "explain gpt.yaml --machine long.yaml --pp 4 --microbatches 4",
    "explain-nothing": "explain gpt.yaml --machine h100-sxm:1x1",
}
# pages that must not pass, with what is wrong of them
WRONG = {
    "on each other": "<p>one</p><p style='margin-top:-2.2em'>another</p>",
    "cut off": "<svg width='60' height='20'><text x='20' y='15'>far too long for it</text></svg>",
    "beyond the page's edge": "<p style='position:fixed;left:-20px'>left of the page</p>",
    "the page is": "<p style='width:3000px'>wide</p>",
    "scrolls, and no key reaches it": "<div style='overflow-x:auto'><p style='width:3000px'>wide</p></div>",
    "contrast": "<p style='color:#999'>faint</p>",
    "contrast 1.": "<svg width='90' height='20'><rect width='90' height='20' fill='#eee'/><text x='2' y='15' fill='#ddd'>faint</text></svg>",
}


class Look(Folder):
    @classmethod
    def setUpClass(cls):
        cls.browser = cls.enterClassContext(Browser(PROGRAM))

    def setUp(self):
        super().setUp()
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "look.js")) as f:
            self.script = f.read()

    def test_pages(self):
        for name, content in (("rows.yaml", ROWS), ("gpt.yaml", GPT), ("long.yaml", MACHINE.format(name=LONG, memory="80GB")),
                              ("tight.yaml", MACHINE.format(name="tight", memory="9MB"))):
            self.write(name, content)
        for name, command in PAGES.items():
            with self.subTest(page=name):
                path = self.path(f"{name}.html")
                done = subprocess.run([YOKE, *command.split(), "--html", path], cwd=self.dir, capture_output=True, text=True, timeout=300)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(self.browser.open(path), ["file://" + path])
                for look, how in LOOKS.items():
                    self.browser.look(*how)
                    seen = self.browser.run(self.script)
                    self.assertEqual(seen["faults"][:10], [], look)
                    self.assertGreater(seen["texts"], 20)
                    if PICTURES:
                        self.browser.picture(os.path.join(PICTURES, f"{name}-{look}.png"))
                if PICTURES:
                    self.browser.paper(os.path.join(PICTURES, f"{name}.pdf"))

    def test_what_is_wrong_is_seen(self):
        for what, body in WRONG.items():
            with self.subTest(what):
                self.write("wrong.html", f"<!DOCTYPE html><body style='background:#fff;color:#000'>{body}")
                self.browser.open(self.path("wrong.html"))
                self.browser.look(400)
                faults = self.browser.run(self.script)["faults"]
                self.assertTrue(any(f.startswith(what) for f in faults), faults)
        self.write("right.html", "<!DOCTYPE html><body style='background:#fff;color:#000'><p>one</p><p>another</p>")
        self.browser.open(self.path("right.html"))
        self.assertEqual(self.browser.run(self.script)["faults"], [])


if __name__ == "__main__":
    PROGRAM = find()
    if not PROGRAM:
        print("skipped: Chromium is not installed; scripts/install check brings it")
        sys.exit(1 if "YOKE_CHECK" in os.environ else 77)
    unittest.main()
