"""Weights go by name, shape and type: test_weights.py YOKE [test ...]. What a file has that the model has no place for is
named; a file, a folder and a DIR of steps are the same weights. Standard library only."""
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import unittest

import case

YOKE = os.path.abspath(sys.argv[1])
GPT = """model: {family: gpt2, layers: 2, heads: 2, width: 16, context: 8, vocab: 256}
data: {format: text, path: t.txt}
train: {steps: 3, batch: 4, sequence: 8, optimizer: {name: adamw, lr: 1e-3}}
"""
LLAMA = GPT.replace("gpt2", "llama").replace("vocab: 256", "hidden: 24, vocab: 256, tied: true")
MLP = """model: {family: layers, input: [4], layers: [{type: linear, out: 5}, {type: relu}, {type: linear, out: 3}]}
data: {format: random, samples: 40}
train: {steps: 3, batch: 5, loss: cross_entropy, optimizer: {name: sgd, lr: 0.05}}
"""
WIDTHS = {"F32": 4, "I64": 8, "F64": 8}


def write(path, tensors):
    """With those of the widest elements first, as other tools do."""
    case.write_safetensors(path, dict(sorted(tensors.items(), key=lambda t: -WIDTHS[t[1][0]])), format="pt")


def floats(*values):
    return struct.pack(f"<{len(values)}f", *values)


class Case(case.Folder):
    def setUp(self):
        super().setUp()
        draw = random.Random(5)
        self.write("t.txt", " ".join(draw.choice("the yoke pulls a cart over hills".split()) for _ in range(400)))
        for name, job in (("gpt2", GPT), ("llama", LLAMA), ("layers", MLP)):
            self.write(name + ".yaml", job)

    def yoke(self, *arguments, code=0, says=None):
        p = subprocess.run([YOKE, *map(str, arguments), "--json", self.path("out.json")], cwd=self.dir, timeout=300,
                           capture_output=True, text=True)
        self.assertEqual(p.returncode, code, f"{arguments}: {p.stderr}")
        if says is not None:
            self.assertRegex(p.stderr, says)
        with open(self.path("out.json")) as f:
            p.json = json.load(f)
        return p

    def trained(self, name):
        """A folder of weights without a state, as other tools leave it."""
        self.yoke("train", name + ".yaml", "--set", f"checkpoint.dir={name}-ck")
        shutil.copytree(self.path(f"{name}-ck", "step-00000003"), self.path(name))
        for file in ("state.json", "hashes.json", "optimizer.safetensors", "job.yaml"):
            os.remove(self.path(name, file))
        return self.path(name, "model.safetensors")


class Leftovers(Case):
    def check(self, name, extra, says=None, code=2):
        path = self.path(name, "model.safetensors")
        tensors = case.read_safetensors(path)
        write(path, {**tensors, **extra})
        for arguments in (["train", name + ".yaml", "--set", f"model.from={name}"],
                          ["eval", name + ".yaml", "--set", f"model.from={name}"]):
            self.yoke(*arguments, code=code, says=says)
        write(path, tensors)

    def test_gpt2(self):
        tensors = case.read_safetensors(self.trained("gpt2"))
        table = tensors["wte.weight"]
        other = table[0], table[1], floats(*[0.5] * (16 * 256))
        self.check("gpt2", {"lm_head.weight": other}, "'lm_head.weight' with other values than the embedding")
        self.check("gpt2", {"lm_head.weight": table}, code=0)
        deeper = {k.replace("h.1.", "h.2."): v for k, v in tensors.items() if k.startswith("h.1.")}
        self.check("gpt2", deeper, r"'h\.2\.attn\.c_attn\.bias', for which the model has no place \(nor for others\)")
        self.check("gpt2", {"h.0.attn.q_norm.weight": ("F32", [8], floats(*[1] * 8))}, r"'h\.0\.attn\.q_norm\.weight'")
        self.check("gpt2", {"h.0.attn.bias": ("F32", [1, 1, 8, 8], floats(*[1] * 64)),
                            "h.0.attn.masked_bias": ("F32", [], floats(-1e4))}, code=0)
        self.check("gpt2", {"h.0.attn.c_attn.bias": ("I64", [48], b"\0" * 8 * 48)}, "dtype I64")
        self.check("gpt2", {"h.0.attn.c_attn.bias": ("F32", [1, 48], floats(*[0] * 48))}, r"has shape \[1, 48\]")

    def test_llama(self):
        tensors = case.read_safetensors(self.trained("llama"))
        table = tensors["model.embed_tokens.weight"]
        self.check("llama", {"lm_head.weight": (table[0], table[1], table[2][4:] + table[2][:4])}, "'lm_head.weight'")
        self.check("llama", {"lm_head.weight": table}, code=0)
        self.check("llama", {"model.layers.0.self_attn.q_proj.bias": ("F32", [16], floats(*[1] * 16))}, r"q_proj\.bias'")
        self.check("llama", {"model.layers.2.mlp.up_proj.weight": tensors["model.layers.1.mlp.up_proj.weight"]},
                   r"'model\.layers\.2\.mlp\.up_proj\.weight'")
        self.check("llama", {"model.layers.0.self_attn.rotary_emb.inv_freq": ("F32", [4], floats(1, 2, 3, 4))}, code=0)

    def test_layers(self):
        self.trained("layers")
        self.check("layers", {"4.weight": ("F32", [3, 3], floats(*[1] * 9)), "4.bias": ("F32", [3], floats(1, 1, 1))},
                   r"'4\.bias', for which the model has no place \(nor for others\)")

    def test_saved_steps_too(self):
        """Weights that are put into a step's folder are held to the same, for every command that reads it."""
        self.trained("gpt2")
        step = self.path("gpt2-ck", "step-00000003")
        tensors = case.read_safetensors(step + "/model.safetensors")
        write(step + "/model.safetensors", {**tensors, "h.7.ln_1.weight": tensors["h.1.ln_1.weight"]})
        for arguments in (["eval", "gpt2-ck"], ["generate", "gpt2-ck", "--prompt", "the"],
                          ["train", "gpt2.yaml", "--steps", 5, "--resume", "gpt2-ck"]):
            self.yoke(*arguments, code=2, says=r"'h\.7\.ln_1\.weight'")

    def test_prefixes(self):
        path = self.trained("gpt2")
        tensors = case.read_safetensors(path)
        for prefix in ("module.", "_orig_mod.", "model.transformer."):
            write(path, {prefix + k: v for k, v in tensors.items()})
            self.yoke("eval", "gpt2.yaml", "--set", "model.from=gpt2", code=2, says=f"take '{prefix}' away".replace(".", r"\."))
        write(path, {"transformer." + k: v for k, v in tensors.items()})  # Hugging Face's own
        self.yoke("eval", "gpt2.yaml", "--set", "model.from=gpt2")


class From(Case):
    def test_a_file_a_folder_and_steps(self):
        for name in ("gpt2", "llama", "layers"):
            path = self.trained(name)
            def loss(origin, code=0, says=None):
                return self.yoke("eval", name + ".yaml", "--set", f"model.from={origin}", code=code, says=says).json.get("loss")
            whole = loss(name)
            self.assertNotEqual(whole, self.yoke("eval", name + ".yaml").json["loss"])
            self.assertEqual(loss(path), whole)
            self.assertEqual(loss(f"{name}-ck"), whole)
            shutil.copy(path, self.path("alone.safetensors"))  # no config.json beside it: the job says all
            self.assertEqual(loss("alone.safetensors"), whole)

    def test_a_file_without_a_config(self):
        shutil.move(self.trained("gpt2"), self.path("alone.safetensors"))
        self.write("short.yaml", GPT.replace("layers: 2, ", "from: alone.safetensors, "))
        self.yoke("eval", "short.yaml", code=2, says=r"short\.yaml: model\.layers: is missing, and no config\.json lies beside")

    def test_a_config_that_says_otherwise(self):
        path = self.trained("gpt2")
        self.write("other.yaml", GPT.replace("layers: 2", "layers: 1"))
        for origin in ("gpt2", path):
            self.yoke("eval", "other.yaml", "--set", f"model.from={origin}", code=2,
                      says=r"config\.json: n_layer: is 2, but the job's model\.layers is 1")
        os.remove(self.path("gpt2", "config.json"))
        self.yoke("eval", "other.yaml", "--set", f"model.from={path}", code=2, says=r"'h\.1\.attn\.c_attn\.bias'")

    def test_two_models_in_one_folder(self):
        path = self.trained("gpt2")
        with open(self.path("gpt2", "model.safetensors.index.json"), "w") as f:
            json.dump({"weight_map": {name: "model.safetensors" for name in case.read_safetensors(path)}}, f)
        self.yoke("eval", "gpt2.yaml", "--set", "model.from=gpt2", code=2,
                  says="has both model.safetensors and model.safetensors.index.json")

    def test_shards_and_their_index_agree(self):
        """A tensor that an index does not name, or that is in two shards, is of another model; nobody could say which one is meant."""
        path = self.trained("gpt2")
        tensors = case.read_safetensors(path)
        names = sorted(tensors)
        shards = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
        parts = [{name: tensors[name] for name in names[i::2]} for i in range(2)]
        os.remove(path)
        with open(self.path("gpt2", "model.safetensors.index.json"), "w") as f:
            json.dump({"weight_map": {name: shards[i] for i in range(2) for name in parts[i]}}, f)
        def check(second, code=0, says=None):
            write(self.path("gpt2", shards[0]), parts[0])
            write(self.path("gpt2", shards[1]), second)
            self.yoke("eval", "gpt2.yaml", "--set", "model.from=gpt2", code=code, says=says)
        check(parts[1])
        check({**parts[1], "h.7.ln_1.weight": tensors["h.1.ln_1.weight"]}, 2, rf"{shards[1]}: has tensor 'h\.7\.ln_1\.weight', which .* does not name")
        check({**parts[1], names[0]: tensors[names[0]]}, 2, rf"{shards[1]}: has tensor '{names[0]}', which .* places in '{shards[0]}'")

    def test_counts_of_any_type(self):
        """How many batches a batch norm has tracked, as PyTorch and others write it."""
        layers = "[{type: linear, out: 5}, {type: batchnorm}, {type: linear, out: 3}]"
        norm = ["--set", f"model.layers={layers}", "--set", "train.steps=3"]
        self.yoke("train", "layers.yaml", *norm, "--set", "checkpoint.dir=first")
        tensors = case.read_safetensors(self.path("first", "step-00000003", "model.safetensors"))
        count, = (name for name in tensors if name.endswith("num_batches_tracked"))
        for i, (kind, code) in enumerate((("I64", "q"), ("F32", "f"), ("F64", "d"))):
            case.write_safetensors(self.path("given.safetensors"), {**tensors, count: (kind, [], struct.pack("<" + code, 7))})
            self.yoke("train", "layers.yaml", *norm, "--set", "model.from=given.safetensors", "--set", f"checkpoint.dir=ck{i}")
            saved = case.read_safetensors(self.path(f"ck{i}", "step-00000003", "model.safetensors"))[count]
            self.assertEqual(struct.unpack("<q", saved[2]), (10,), kind)

    def test_two_tensors_for_one_place(self):
        path = self.trained("gpt2")
        tensors = case.read_safetensors(path)
        write(path, {**tensors, "transformer.wte.weight": tensors["wte.weight"]})
        self.yoke("eval", "gpt2.yaml", "--set", "model.from=gpt2", code=2, says=r"two tensors for one place in the model, 'wte\.weight' and 'transformer\.wte\.weight'")

    def test_a_pickle_beside_is_said(self):
        self.trained("gpt2")
        self.write("gpt2/pytorch_model.bin", "x")
        self.yoke("train", "gpt2.yaml", "--set", "model.from=gpt2", says=r"pytorch_model\.bin.*is not read")

    def test_weights_where_a_job_is_wanted(self):
        path = self.trained("gpt2")
        for command in ("eval", "train"):
            self.yoke(command, path, code=2, says=r"model\.safetensors: holds weights, and is no job")

    def test_dropout_that_becomes_none(self):
        self.trained("gpt2")
        with open(self.path("gpt2", "config.json")) as f:
            config = json.load(f)
        config.update(attn_pdrop=0.1, resid_pdrop=0.1, embd_pdrop=0.1)
        self.write("gpt2/config.json", json.dumps(config))
        self.yoke("train", "gpt2.yaml", "--set", "model.from=gpt2", says=r"dropout of 0\.1.*model\.dropout.*0")
        p = self.yoke("train", "gpt2.yaml", "--set", "model.from=gpt2", "--set", "model.dropout=0.1")
        self.assertNotIn("dropout", p.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[2:])
