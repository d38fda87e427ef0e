"""Opens with transformers what yoke trained and saved: check.py TEST FOLDER. TEST is the program of test_transformers.c,
which saves under several layouts and leaves its logits beside; FOLDER is this one. Exits 77 (skipped), saying so, where
Python has no transformers."""
import glob
import json
import os
import struct
import subprocess
import sys
import tempfile

try:
    import torch
    from transformers import AutoModelForCausalLM
except ImportError as error:
    print(f"skipped: {error}; it needs the packages torch and transformers")
    sys.exit(77)

SAMPLES, SEQUENCE, HEADER = 2, 12, 1024


def check(step, folder):
    """The relative difference of transformers' logits and yoke's; every tensor must be one that it expects."""
    name = os.path.basename(os.path.dirname(step)).rsplit("-", 1)[0]
    model, said = AutoModelForCausalLM.from_pretrained(step, dtype=torch.float32, output_loading_info=True)
    wrong = {k: v for k, v in said.items() if v}
    assert not wrong, f"{step}: {wrong}"
    with open(os.path.join(step, "config.json")) as f:
        assert json.load(f)["architectures"] == [type(model).__name__]
    with open(os.path.join(folder, name, "tokens.bin"), "rb") as f:
        ids = struct.unpack_from(f"<{SAMPLES * SEQUENCE}H", f.read(), HEADER)
    with open(os.path.join(os.path.dirname(step), "logits.f32"), "rb") as f:
        ours = torch.frombuffer(bytearray(f.read()), dtype=torch.float32)
    with torch.no_grad():
        logits = model(torch.tensor(ids).view(SAMPLES, SEQUENCE)).logits.flatten()
    return ((logits - ours).abs().max() / logits.abs().max()).item()


def main():
    test, folder = sys.argv[1:]
    with tempfile.TemporaryDirectory() as kept:
        subprocess.run([test], check=True, env={**os.environ, "YOKE_TEST_KEEP": kept})
        steps = sorted(glob.glob(os.path.join(kept, "*", "step-*")))
        assert len(steps) >= 56, steps
        errors = {os.path.relpath(step, kept): check(step, folder) for step in steps}
    for step, error in errors.items():
        print(f"{step}: {error:.2g}")
    return 0 if max(errors.values()) <= 1e-5 else 1


sys.exit(main())
