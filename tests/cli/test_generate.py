"""yoke generate from outside: test_generate.py YOKE [test ...]. Standard library only. What transformers makes of the models
of tests/generate/golden is in their expected.json (tests/generate/make.py)."""
import json
import os
import shutil
import sys
import unittest

from test_cli import Case, Run

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "generate", "golden")
MODELS = sorted(os.listdir(GOLDEN))
LAYOUTS = ([], ["--tp", 2], ["--pp", 3], ["--dp", 2], ["--tp", 4, "--pp", 2], ["--layout", "dp=2,tp=2,threads=1"])
BYTES = """model: {family: gpt2, layers: 1, heads: 2, width: 32, context: 32, vocab: 256}
data: {format: text, path: text.txt}
train: {steps: 60, batch: 8, sequence: 16, loss: cross_entropy, optimizer: {name: adamw, lr: 1e-2}}
checkpoint: {dir: bytes}
"""


class Generate(Case):
    def take(self, name):
        """A copy of a golden model, and what is expected of it."""
        shutil.copytree(os.path.join(GOLDEN, name), self.path(name), dirs_exist_ok=True)
        with open(self.path(name, "expected.json"), encoding="utf-8") as f:
            return json.load(f)

    def tokens(self, tokens):
        self.write("t.json", json.dumps(tokens))
        return ["--tokens-file", "t.json"]

    def likeliest(self, name, prompt, *how, **environment):
        out = self.path("out.json")
        r = Run("generate", name, *self.tokens(prompt), "--temperature", 0, "--tokens", 100, *how, "--json", out, cwd=self.dir, env=environment)
        self.assertEqual(r.code, 0, r.err)
        with open(out, encoding="utf-8") as f:
            said = json.load(f)
        self.assertEqual(said["predicted_peak_bytes"], said["measured_peak_bytes"], how)
        self.assertGreater(said["cache_bytes"], 0)
        self.assertGreater(said["prefill_ms"], 0)
        self.assertGreater(said["tokens_per_s"], 0)
        self.assertEqual(said["prompt_tokens"], prompt)
        return said

    def test_the_likeliest_tokens_are_transformers(self):
        for name in MODELS:
            want = self.take(name)
            for i, row in enumerate(want["rows"]):
                for layout in LAYOUTS[i::3]:
                    said = self.likeliest(name, row["prompt"], "--ignore-eos", *layout)
                    self.assertEqual((said["tokens"], said["stopped"]), (row["free"], "context"), (name, layout))
                    self.assertEqual(len(row["prompt"]) + len(said["tokens"]), want["context"])
                said = self.likeliest(name, row["prompt"], "--ignore-eos", *LAYOUTS[i + 1], YOKE_BACKEND="far")
                self.assertEqual(said["tokens"], row["free"], name)
                self.assertEqual(self.likeliest(name, row["prompt"], "--ignore-eos", "--repeat-penalty", 1.3)["tokens"], row["penalty"])
                n = len(row["free"]) // 2
                said = self.likeliest(name, row["prompt"], "--ignore-eos", "--tokens", n)
                self.assertEqual((said["tokens"], said["stopped"]), (row["free"][:n], "length"))

    def test_tokens_that_end_a_text(self):
        for name in MODELS:
            for row in self.take(name)["rows"]:
                self.write(f"{name}/generation_config.json", json.dumps(dict(eos_token_id=[2, row["end"]])))
                said = self.likeliest(name, row["prompt"])
                self.assertEqual((said["tokens"], said["stopped"]), (row["ended"], "eos"))

    def test_two_bytes_a_number(self):
        for name in MODELS:
            row = self.take(name)["rows"][0]
            f32 = self.likeliest(name, row["prompt"], "--ignore-eos")
            for layout in LAYOUTS[:3]:
                bf16 = self.likeliest(name, row["prompt"], "--ignore-eos", "--precision", "bf16", *layout)
                self.assertEqual(bf16["tokens"][0], row["free"][0])
                if not layout:
                    self.assertEqual(bf16["cache_bytes"] * 2, f32["cache_bytes"])

    def test_a_seed_is_one_text_under_every_layout(self):
        row = self.take("llama")["rows"][0]
        how = ["--ignore-eos", "--top-k", 20, "--top-p", 0.9, "--seed"]
        drawn = [self.likeliest("llama", row["prompt"], *how, 7, *layout, "--temperature", 0.8)["tokens"] for layout in LAYOUTS]
        self.assertEqual(drawn, drawn[:1] * len(LAYOUTS))
        self.assertNotEqual(drawn[0], self.likeliest("llama", row["prompt"], *how, 8, "--temperature", 0.8)["tokens"])
        for one in (["--top-p", 1e-9], ["--top-k", 1]):
            self.assertEqual(self.likeliest("llama", row["prompt"], "--ignore-eos", "--temperature", 2, *one)["tokens"], row["free"])
        all_of_them = self.likeliest("llama", row["prompt"], "--ignore-eos", "--temperature", 2)["tokens"]
        self.assertEqual(self.likeliest("llama", row["prompt"], "--ignore-eos", "--temperature", 2, "--top-p", 1, "--top-k", 96)["tokens"], all_of_them)

    def test_ends(self):
        row = self.take("gpt2")["rows"][0]
        said = self.run_json("generate", "gpt2", *self.tokens(row["prompt"]), "--tokens", 0).json
        self.assertEqual((said["tokens"], said["text"], said["prompt_tokens"], said["stopped"]), ([], "", row["prompt"], "length"))
        full = (row["prompt"] * 12)[:48]
        said = self.run_json("generate", "gpt2", *self.tokens(full), "--tokens", 5)
        self.assertEqual((said.json["tokens"], said.json["stopped"]), ([], "context"))
        self.assertRegex(said.err, "fill the model's context of 48 tokens")
        self.wrong("generate", "gpt2", *self.tokens(full + [1]), says="prompt has 49 tokens, and the model's context is 48")
        self.assertEqual(self.run_json("generate", "gpt2", "--prompt", "5 17 60 3", "--tokens", 0).json["prompt_tokens"], row["prompt"])

    def test_wrong_use(self):
        self.take("gpt2")
        self.write("bad.json", "[1, 2")
        self.write("no.json", '{"a": 1}')
        self.write("far.json", "[1, 99999]")
        self.write("none.json", "[]")
        self.write("text.json", '[1, "a"]')
        for flags, says in ((["--tokens-file", "bad.json"], r"bad\.json"), (["--tokens-file", "no.json"], r"no\.json.*list"),
                            (["--tokens-file", "far.json"], r"far\.json.*99999"), (["--tokens-file", "none.json"], r"none\.json.*no tokens"),
                            (["--tokens-file", "text.json"], r"text\.json.*number 1"), (["--prompt-file", "nowhere"], "nowhere"),
                            (["--prompt", "1", "--prompt-file", "bad.json"], "--prompt, --prompt-file and --tokens-file"),
                            (["--top-p", 0], "top-p is 0"), (["--top-p", 1.5], "top-p"), (["--repeat-penalty", 0], "repeat-penalty"),
                            (["--precision", "f16"], "--precision: 'f16'"), (["--layout", "cp=2"], "cp 2"), (["--tp", 3], "3 devices"),
                            (["--pp", 9], "pp 9"), (["--stop", ""], "empty text"), (["--chat", "--prompt", "a"], r"tokenizer\.json"),
                            (["--chat", "--tokens-file", "none.json"], "choose one"), (["--prompt", "96"], "'96' is none")):
            self.wrong("generate", "gpt2", *flags, says=says)
        self.wrong("generate", "gpt2", "--prompt", "1", "--device-memory", "20KiB", says="keys and values", code=3)

    def test_text(self):
        self.write("text.txt", "ab\0c\n" * 3200)
        self.write("job.yaml", BYTES)
        self.run_json("train", "job.yaml")
        ask = ["generate", "bytes", "--prompt", "ab", "--temperature", 0, "--tokens"]
        r = self.run_json(*ask, 12)
        self.assertEqual(r.json["text"], "\0c\nab\0c\nab\0c")
        self.assertEqual(r.json["text"], "".join(map(chr, r.json["tokens"])))
        self.assertEqual(r.out.decode(), "ab\\x00c\nab\\x00c\nab\\x00c\n")
        r = self.run_json(*ask, 12, "--stop", "nowhere", "--stop", "\nab")
        self.assertEqual((r.json["text"], r.json["stopped"], r.json["tokens"]), ("\0c", "stop", [0, 99, 10, 97, 98]))
        self.write("prompt.txt", "ab")
        self.assertEqual(self.run_json("generate", "bytes", "--prompt-file", "prompt.txt", "--temperature", 0, "--tokens", 3).json["text"], "\0c\n")
        many = self.run_json(*ask, 5, "--temperature", 100)
        valid = bytes(many.json["tokens"]).decode("utf-8", "replace")
        self.assertEqual(many.json["text"], valid)


if __name__ == "__main__":
    unittest.main(argv=["test_generate.py", *sys.argv[2:]])
