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


class Compare(Pages):
    def test_it_carries_the_json_and_shows_every_strategy(self):
        self.write("job.yaml", JOB)
        page, result = self.page("compare", "job.yaml", "--layouts", "dp=4; pp=9; pp=2,microbatches=4", "--device-memory", "1MiB")
        self.assertEqual(page.data, result)
        self.assertEqual(page.data["rows"][7]["status"], "refused")
        for row in result["rows"]:
            self.assertIn(row["strategy"], page.text)
            self.assertIn(row["limit"] or row["reason"], page.text)
            if row["status"] != "ok":
                self.assertNotIn("timeline", row)
                continue
            if row in result["rows"][:6]:  # a layout's text says itself what its devices may take
                self.assertEqual(row["limit_bytes"], 1 << 20)
            self.assertEqual(sum(row["bytes"].values()), row["predicted_peak_bytes"])
            self.assertEqual(len(row["losses"]), result["steps"])
            self.assertAlmostEqual(row["losses"][0], result["rows"][0]["losses"][0], 4)
        self.assertIn(result["verdict"] or "", page.text)
        self.assertIn(result["job"], page.text)
        self.assertIn("yoke compare job.yaml", page.text)

    def test_time_lines_are_what_ran(self):
        self.write("job.yaml", JOB)
        _, result = self.page("compare", "job.yaml")
        rows = {row["strategy"]: row for row in result["rows"]}
        self.assertEqual({e["device"] for e in rows["single"]["timeline"]}, {"cpu:0"})
        self.assertEqual([e["kind"] for e in rows["single"]["timeline"] if e["kind"] != "move"], ["F", "BW", "reduce", "update"])
        for name, row in rows.items():
            events = row["timeline"]
            self.assertEqual(events, sorted(events, key=lambda e: e["start_ms"]), name)
            for device in {e["device"] for e in events}:
                own = sorted((e for e in events if e["device"] == device and e["kind"] != "move"), key=lambda e: e["start_ms"])
                for a, b in zip(own, own[1:]):
                    self.assertLessEqual(a["end_ms"], b["start_ms"] + 1e-6, (name, a, b))  # one after the other
                self.assertEqual([e["kind"] for e in own[-2:]], ["reduce", "update"], name)
                for move in (e for e in events if e["device"] == device and e["kind"] == "move"):
                    self.assertTrue(any(e["start_ms"] - 1e-6 <= move["start_ms"] and move["end_ms"] <= e["end_ms"] + 1e-6 for e in own), (name, move))
        microbatches = rows["pipeline"]["microbatches"]
        self.assertGreater(microbatches, 1)
        for device in ("cpu:0", "cpu:1"):
            for kind in ("F", "BW"):
                ran = [e["microbatch"] for e in rows["pipeline"]["timeline"] if (e["device"], e["kind"]) == (device, kind)]
                self.assertEqual(ran, list(range(microbatches)))


class Train(Pages):
    def test_it_carries_the_json_and_the_course(self):
        self.write("job.yaml", JOB + "eval: {every: 2}\n")
        page, result = self.page("train", "job.yaml", "--dp", 2, "--set", "data.holdout=0.25", "--set", "train.optimizer.lr=0.02")
        self.assertEqual(page.data, result)
        self.assertEqual([s["step"] for s in result["course"]], [0, 1, 2, 3, 4])
        for step in result["course"]:
            self.assertEqual(step["lr"], 0.02)
            self.assertGreater(step["gradient_norm"], 0)
            self.assertGreater(step["step_ms"], 0)
        self.assertEqual({e["device"] for e in result["timeline"]}, {"cpu:0", "cpu:1"})
        self.assertGreater(result["limit_bytes"], result["devices"][0]["predicted_peak_bytes"])
        for word in ("cpu:0", "cpu:1", "held-out loss", "Learning rate", "Gradient norm", "Where the last step's time went", result["job"]):
            self.assertIn(word, page.text)

    def test_the_profile_stands_on_it(self):
        self.write("job.yaml", JOB)
        page, result = self.page("train", "job.yaml", "--profile")
        self.assertGreater(len(result["profile"]), 1)
        for kernel in result["profile"]:
            self.assertIn(kernel["kernel"], page.text)
        self.assertIn(f"{100 * result['roofline_share']:.1f}\u00a0% of its time", page.text)

    def test_a_long_run_keeps_steps_that_are_even(self):
        self.write("job.yaml", JOB)
        page, result = self.page("train", "job.yaml", "--steps", 4100)
        steps = [s["step"] for s in result["course"]]
        self.assertEqual(steps, list(range(0, 4100, steps[1])))
        self.assertGreaterEqual(len(steps), 1000)
        self.assertLessEqual(len(steps), 2000)
        self.assertEqual(page.data["steps"], result["steps"])

    def test_a_run_that_ends_early_says_why(self):
        self.write("job.yaml", JOB)
        page, result = self.page("train", "job.yaml", "--set", "train.optimizer.lr=1e30", code=5)
        self.assertEqual(page.data, result)
        self.assertIn(result["error"]["message"], page.text)

    def test_what_begins_nothing_has_no_page(self):
        self.write("job.yaml", JOB)
        self.assertIn("--dry-run", self.yoke("train", "job.yaml", "--dry-run", "--html", "page.html", code=2).stderr)
        self.yoke("train", "job.yaml", "--set", "train.batch=0", "--html", "page.html", code=2)
        self.yoke("train", "job.yaml", "--html", "none/page.html", code=2)
        self.assertEqual(os.listdir(self.dir), ["job.yaml"])


MACHINE = """name: {name}
device: {{name: d, memory: 80GB, rates: {{f32: 10 TFLOP/s}}, bandwidth: 1000 GB/s, launch: 5 us}}
levels:
  - {{name: near, count: 8, bandwidth: 100 GB/s, latency: 3 us}}
"""
GPT = """model: {family: gpt2, layers: 4, heads: 4, width: 32, context: 16, vocab: 64}
data: {format: random}
train: {steps: 2, batch: 16, sequence: 16, loss: cross_entropy, optimizer: {name: adamw, lr: 1e-3}}
"""


class Predicted(Pages):
    """Pages of what was simulated."""

    def setUp(self):
        super().setUp()
        self.write("job.yaml", GPT)
        self.write("m.yaml", MACHINE.format(name="'</script><b>&'"))

    def shown(self, command, *args):
        page, result = self.page(command, "job.yaml", "--machine", "m.yaml", *args)
        self.assertEqual(page.data, result)
        for text in (result["job"], result["machine_file"], result["about"]["command"], "</script><b>&"):
            self.assertIn(text, page.text)
        self.assertNotIn("b", page.counts)
        return page, result

    def test_simulate_says_where_a_step_goes_and_who_does_what(self):
        page, result = self.shown("simulate", "--dp", 2, "--pp", 2, "--microbatches", 4)
        for word in ("stage 0", "stage 1", "device 0", "device 2", "pipeline fills and drains", "forward (F)", "backward (BW)"):
            self.assertIn(word, page.text)
        self.assertEqual(result["limit_bytes"], 80e9)
        self.assertEqual([(a["device"], a["stage"], a["devices"]) for a in result["alike"]], [("device 0", 0, 2), ("device 2", 1, 2)])
        events = result["timeline"]
        self.assertEqual(events, sorted(events, key=lambda e: e["start_ms"]))
        self.assertAlmostEqual(max(e["end_ms"] for e in events), result["step_ms"], 9)
        for device in ("device 0", "device 2"):
            own = [e for e in events if e["device"] == device and e["kind"] != "move"]
            for a, b in zip(own, own[1:]):
                self.assertLessEqual(a["end_ms"], b["start_ms"] + 1e-9)  # one after the other
            self.assertEqual([e["kind"] for e in own[-2:]], ["reduce", "update"])
            for kind in ("F", "BW"):
                self.assertEqual([e["microbatch"] for e in own if e["kind"] == kind], [0, 1, 2, 3])
            waits = [e for e in events if e["device"] == device and e["kind"] == "move"]
            for move in waits:
                self.assertTrue(any(e["start_ms"] <= move["start_ms"] and move["end_ms"] <= e["end_ms"] for e in own), move)
            # what is left of the step is not computing
            computes = sum(e["end_ms"] - e["start_ms"] for e in own) - sum(e["end_ms"] - e["start_ms"] for e in waits)
            self.assertLess(computes, result["step_ms"])
            self.assertGreater(computes, (1 - result["idle_fraction"]) * result["step_ms"] * 0.8)

    def test_stages_hand_on(self):
        """A stage waits for the one before it, as in a run."""
        _, result = self.shown("simulate", "--pp", 2, "--microbatches", 4)
        at = {(e["device"], e["kind"], e["microbatch"]): e for e in result["timeline"] if e["kind"] in ("F", "BW")}
        for m in range(4):
            self.assertLess(at["device 0", "F", m]["end_ms"], at["device 1", "F", m]["end_ms"])
            self.assertLess(at["device 1", "BW", m]["end_ms"], at["device 0", "BW", m]["end_ms"])
        first = next(e for e in result["timeline"] if (e["device"], e["kind"]) == ("device 1", "move"))
        self.assertGreaterEqual(first["end_ms"], at["device 0", "F", 0]["end_ms"])

    def test_many_devices_are_one_row_each_stage(self):
        self.write("m.yaml", MACHINE.format(name="'</script><b>&'").replace("count: 8", "count: 1024") + "exceptions:\n"
                   + "".join(f"  - {{device: {d}, slower: {1 + d / 1000}}}\n" for d in range(1, 100)))
        _, result = self.shown("simulate", "--dp", 16, "--tp", 4, "--pp", 4, "--set", "train.batch=64")
        self.assertGreater(result["classes"], 16)
        shown = {e["device"] for e in result["timeline"]}
        self.assertEqual(len(shown), 4)
        self.assertEqual(shown, {a["device"] for a in result["alike"]})
        self.assertIn(1.099, [a["slower"] for a in result["alike"]])  # the slowest of all

    def test_the_timeline_is_of_pages_alone(self):
        done = json.loads(self.yoke("simulate", "job.yaml", "--machine", "m.yaml", "--json", "-").stdout)
        self.assertNotIn("timeline", done)
        self.assertNotIn("machine_file", done)

    def test_plan_shows_every_candidate_and_marks_the_chosen_one(self):
        page, result = self.shown("plan")
        self.assertGreater(len(result["candidates"]), 1)
        for number, row in enumerate(result["candidates"], 1):
            self.assertIn(row["layout"], page.text)
            self.assertIn(row["limit"], page.text)
            self.assertRegex(page.source, rf">{number}</text>")
        self.assertIn(f"Take {result['chosen']['layout']}:", page.text)
        self.assertEqual(page.source.count('class="mk m0" d'), 1)
        self.assertEqual(page.source.count('class="mk m1" d'), len(result["candidates"]) - 1)
        self.assertIn("The limit is beyond the picture", page.text)

    def test_plan_says_why(self):
        self.assertNotIn("Each strategy by itself", self.shown("plan")[0].text)
        page, result = self.shown("plan", "--why")
        self.assertGreater(len(result["why"]), 4)
        said = result["why"] + [s["limit"] for s in result["strategies"]] + [p["sentence"] for p in result["break_even"]]
        for sentence in said + [s["strategy"] for s in result["strategies"]]:
            self.assertIn(sentence, page.text)

    def test_plan_draws_a_limit_that_is_near(self):
        held = max(row["peak_bytes"] for row in self.shown("plan")[1]["candidates"])
        page, result = self.shown("plan", "--device-memory", f"{held + 1000}")
        self.assertEqual(result["limit_bytes"], held + 1000)
        self.assertRegex(page.source, r'<svg class="points" role[^>]*>(?s:.)*?<line class="limit"')

    def test_what_nothing_fits_has_no_page(self):
        self.yoke("plan", "job.yaml", "--machine", "m.yaml", "--device-memory", "1KiB", "--html", "page.html", code=3)
        self.assertEqual(sorted(os.listdir(self.dir)), ["job.yaml", "m.yaml"])

    def test_explain_shows_findings_and_changes(self):
        page, result = self.shown("explain", "--pp", 4, "--microbatches", 4)
        self.assertGreater(len(result["changes"]), 0)
        for said in result["findings"] + result["changes"]:
            self.assertIn(said["sentence"], page.text)

    def test_explain_says_that_there_is_nothing_to_change(self):
        page, result = self.shown("explain")
        self.assertEqual(result["changes"], [])
        self.assertIn("Nothing: ", page.text)


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
