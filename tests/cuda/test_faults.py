"""Devices that are not there, are lost, or have no room: one sentence and its exit code, of the program on fakes of the driver."""
import os
import re
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
from case import Folder  # noqa: E402

YOKE, FAKES = sys.argv.pop(1), sys.argv.pop(1)
JOB = """model: {family: layers, input: [6], layers: [{type: linear, out: 5}, {type: relu}, {type: linear, out: 3}]}
data: {format: npy, inputs: x.npy, targets: y.npy}
train: {steps: 3, batch: 4, loss: mse, optimizer: {name: adamw, lr: 1e-2}}
"""


class Faults(Folder):
    def setUp(self):
        super().setUp()
        self.npy("x.npy", "<f4", (8, 6), [i % 7 / 7 for i in range(48)])
        self.npy("y.npy", "<f4", (8, 3), [i % 5 / 5 for i in range(24)])
        self.write("job.yaml", JOB)

    def train(self, *more, **fake):
        env = {**os.environ, "YOKE_CUDA_LIBS": FAKES, **{"FAKE_CUDA_" + k: str(v) for k, v in fake.items()}}
        return subprocess.run([YOKE, "train", "job.yaml", *more], cwd=self.dir, env=env, capture_output=True, text=True, timeout=120)

    def expect(self, code, pattern, *more, **fake):
        ran = self.train(*(more or ("--devices", "cuda:0")), **fake)
        self.assertEqual(ran.returncode, code, ran.stderr)
        self.assertRegex(ran.stderr, pattern)
        self.assertLessEqual(len(ran.stderr.strip().splitlines()), 4)
        self.assertNotIn("fake CUDA:", ran.stderr)

    def test_works(self):
        self.expect(0, "step 3/3")

    def test_what_is_not_there(self):
        self.expect(2, "serves CUDA 11.0, and this build needs", DRIVER=11000)
        self.expect(2, "finds no device", DEVICES=0)
        self.expect(2, "there is no cuda:1: the driver finds 1 device,", "--devices", "cuda:1")
        self.expect(2, "kernels are for sm_.* takes no image of them: CUDA_ERROR_NO_BINARY_FOR_GPU", FAIL="load:1:209")
        self.expect(2, "names cuda:0 beside cpu:0", "--devices", "cpu:0,cuda:0")

    def test_what_has_no_room(self):
        self.expect(3, "cuda:0 holds layers .* may use 1.00 KiB", MEMORY=1024)
        self.expect(3, "cuda:0 gives no [0-9]+ bytes", FAIL="alloc:1:2")

    def test_what_is_lost(self):
        for error in (700, 719, 214):
            self.expect(4, "cuda:0 \\(Fake GPU 0\\) was lost at .*the kernel put in last was yki_gpu_", FAIL=f"launch:9:{error}")
        self.expect(4, "cuda:0 .*CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", FAIL="launch:9:701")
        self.expect(4, "cuda:0 .* was lost", "--devices", "cuda:0,cuda:0", FAIL="launch:30:719")

    def test_every_call(self):
        """The n-th call of the driver fails: never a crash, never a hang, and an error is never taken for success."""
        ended, n = {}, 1
        while n < 100000:
            ran = self.train("--devices", "cuda:0", FAIL=f"call:{n}:719")
            said = ran.stderr.strip().splitlines()
            self.assertIn(ran.returncode, (0, 1, 2, 3, 4), f"call {n}: {ran.stderr}")
            self.assertTrue(ran.returncode == 0 or (said and len(said) <= 4), f"call {n}: {ran.stderr}")
            ended[ran.returncode] = n
            if ran.returncode == 0 and n > ended.get(4, n):
                break  # past the last call, but for those that give back
            n += max(1, n // 12)
        self.assertGreater(n, 200)
        self.assertEqual(self.train("--devices", "cuda:0", FAIL=f"call:{2 * n}:719").returncode, 0)
        self.assertIn(2, ended)
        self.assertIn(4, ended)


unittest.main()
