"""Pages of --html: what they carry, what they show, and what happens where one cannot be written."""
import json
import os
import stat
import subprocess
import sys
import unittest

from case import Folder
from page import check

YOKE = sys.argv.pop(1)
JOB = """model: {family: layers, input: [8], layers: [{type: linear, out: 8}, {type: relu}, {type: linear, out: 8}, {type: linear, out: 4}]}
data: {format: random, samples: 64}
train: {steps: 5, batch: 8, loss: mse, optimizer: {name: sgd, lr: 0.01}}
"""


class Pages(Folder):
    def yoke(self, *args, code=0):
        done = subprocess.run([YOKE, *map(str, args)], cwd=self.dir, capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def page(self, command, *args, code=0):
        """The page, and the JSON of the same run."""
        self.yoke(command, *args, "--html", "page.html", "--json", "page.json", code=code)
        page = check(self, self.read("page.html"), command)
        return page, json.loads(self.read("page.json"))


class Schedule(Pages):
    def test_it_carries_the_json_and_draws_every_action(self):
        page, result = self.page("schedule", "--schedule", "zb-h1", "--stages", 3, "--microbatches", 5)
        self.assertEqual(page.data, result)
        self.assertEqual(page.source.count("<title>") - 1, len(result["actions"]))
        for word in ("stage 0", "stage 2", "forward (F)", "gradient of weights (W)", f"{100 * result['bubble_rate']:.1f}\u00a0%"):
            self.assertIn(word, page.text)
        self.assertNotIn("backward (BW)", page.text)  # it has none

    def test_it_says_what_repeats_it_and_where_it_ran(self):
        page, result = self.page("schedule", "--stages", 2, "--microbatches=2", "--times", "1,1,1,0.5")
        self.assertEqual(result["about"]["command"], "yoke schedule --stages 2 --microbatches=2 --times 1,1,1,0.5")
        self.assertIn(result["about"]["command"], page.text)
        self.assertIn(result["about"]["machine"]["model"], page.text)
        self.assertGreaterEqual(result["about"]["machine"]["cores"], 1)

    def test_the_page_is_the_same_without_json(self):
        self.page("schedule", "--stages", 2, "--microbatches", 2)
        self.yoke("schedule", "--stages", 2, "--microbatches", 2, "--html", "alone.html")
        alone = check(self, self.read("alone.html"), "schedule")
        self.assertEqual(alone.data["actions"], json.loads(self.read("page.json"))["actions"])

    def test_standard_output_stays_free_for_json(self):
        done = self.yoke("schedule", "--stages", 2, "--microbatches", 2, "--json", "-", "--html", "page.html")
        self.assertEqual(json.loads(done.stdout), check(self, self.read("page.html"), "schedule").data)
        self.yoke("schedule", "--stages", 2, "--microbatches", 2, "--svg", "-", "--html", "page.html")

    def test_a_job_stands_on_it_and_cannot_break_it(self):
        self.write("a<b>.yaml", JOB + "# </script><script>\n")
        page, result = self.page("schedule", "a<b>.yaml", "--stages", 2, "--microbatches", 2, "--set", "checkpoint.dir='</script><!--<b>'")
        self.assertEqual(page.data, result)
        self.assertIn("</script><!--<b>", result["job"])
        self.assertIn("</script><!--<b>", page.text)
        self.assertNotIn("b", page.counts)

    def test_a_large_one_stays_small_and_says_so(self):
        page, result = self.page("schedule", "--stages", 32, "--microbatches", 2000)
        self.assertGreater(len(result["actions"]), 100000)
        kept = page.data["actions"]
        self.assertEqual(kept, result["actions"][:len(kept)])
        self.assertEqual(page.data["left_out"]["actions"], f"the first {len(kept)} of {len(result['actions'])}")
        self.assertIn("--json has all", page.text)
        self.assertIn("the rest has no room on a page", page.text)

    def test_a_schedule_that_cannot_run_leaves_an_older_page(self):
        self.write("page.html", "older")
        self.write("wrong.txt", "F0 F1\n")
        self.yoke("schedule", "--schedule", "wrong.txt", "--html", "page.html", code=2)
        self.assertEqual(self.read("page.html"), "older")
        self.assertEqual(sorted(os.listdir(self.dir)), ["page.html", "wrong.txt"])


class Files(Pages):
    ARGS = ("schedule", "--stages", 2, "--microbatches", 2, "--html")

    def test_a_folder_that_is_not_there_is_found_before_the_work(self):
        for path, why in (("none/page.html", "No such file"), (self.dir, "it is a folder"), ("-", "file's name")):
            done = self.yoke(*self.ARGS, path, code=2)
            self.assertEqual(done.stdout, "")
            self.assertEqual(done.stderr.count("\n"), 1)
            self.assertIn(why, done.stderr)
        self.assertEqual(os.listdir(self.dir), [])

    def test_a_full_disk_is_exit_1(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("no /dev/full")
        done = self.yoke(*self.ARGS, "/dev/full", code=1)
        self.assertEqual(done.stderr, "yoke: cannot write the page to /dev/full: No space left on device\n")
        self.assertIn("stage 0", done.stdout)

    def test_it_replaces_whole_files_only(self):
        self.write("real.html", "older")
        os.chmod(self.path("real.html"), 0o444)
        os.symlink("real.html", self.path("page.html"))
        self.yoke(*self.ARGS, "page.html")
        self.assertTrue(os.path.islink(self.path("page.html")))
        check(self, self.read("real.html"), "schedule")
        mask = os.umask(0)
        os.umask(mask)
        self.assertEqual(stat.S_IMODE(os.stat(self.path("real.html")).st_mode), 0o666 & ~mask)
        self.assertEqual(sorted(os.listdir(self.dir)), ["page.html", "real.html"])


if __name__ == "__main__":
    unittest.main()
