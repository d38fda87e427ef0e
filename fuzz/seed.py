#!/usr/bin/env python3
"""Writes the inputs that fuzzing began from into FOLDER/TARGET/: fuzz/seed.py FOLDER. One or a few of every kind that a
parser reads, small, made by hand here; `fuzz/run --merge TARGET FOLDER` takes into the corpus what it lacks of them."""
import json
import os
import struct
import sys

MARK = b"\n==NEXT==\n"
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")


def npy(descr, shape, data, version=1, order="False"):
    header = f"{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 16) + b"\n"
    length = struct.pack("<H", len(header)) if version == 1 else struct.pack("<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header + data


def seeds_npy():
    for name, code, values in [("f4", "f", [1, 2.5, -3]), ("f8", "d", [1, 2, 3e-5]), ("f2", "e", [1, 2, 6e-8]), ("i1", "b", [1, 2, -3]),
                               ("i2", "h", [1, 2, 3]), ("i4", "i", [1, 2, 3]), ("i8", "q", [1, 2, 3]), ("u1", "B", [1, 2, 3]),
                               ("u2", "H", [1, 2, 3]), ("u4", "I", [1, 2, 3]), ("u8", "Q", [1, 2, 3]), ("b1", "?", [1, 0, 1])]:
        one = "|" if name in ("b1", "i1", "u1") else "<"
        yield npy(one + name, "(3,)", struct.pack(f"<3{code}", *values))
        yield npy(one + name, "(1, 3)", struct.pack(f"<3{code}", *values), 2)
    yield npy("<f4", "(2, 1, 2)", struct.pack("<4f", 1, 2, 3, 4), 3) + MARK + npy("<i8", "(2,)", struct.pack("<2q", 0, 1))
    yield npy("<f4", "(1,)", struct.pack("<f", float("nan")))
    yield npy("<f8", "(1,)", struct.pack("<d", float("-inf")))
    yield npy(">f4", "(1,)", bytes(4))
    yield npy("<f4", "()", bytes(4))
    yield npy("<f4", "(0,)", b"")
    yield npy("<f4", "(4294967296, 4294967296, 4)", bytes(4))
    yield npy("<f4", "(1,)", bytes(4), order="True")
    yield npy("<U3", "(1,)", bytes(12))
    yield npy("<f4", "(1, 1, 1, 1, 1, 1, 1, 1)", bytes(4))
    yield b"PK\x03\x04 a zip archive"


def idx(magic, *dims, data=b""):
    return struct.pack(f">I{len(dims)}I", magic, *dims) + data


def seeds_idx():
    images, labels = idx(0x803, 2, 2, 3, data=bytes(range(12))), idx(0x801, 2, data=b"\x01\x09")
    yield images + MARK + labels
    yield b"gzip:" + images + MARK + b"gzip:" + labels
    yield images + MARK + b"gzip:" + labels
    yield labels + MARK + images
    yield idx(0x803, 1, 1, 1, data=b"\xff") + MARK + labels
    yield idx(0x803, 0, 2, 3) + MARK + labels
    yield b"gzip:" + idx(0x803, 0xffffffff, 0xffff, 0xffff) + MARK + labels
    yield b"\x1f\x8b\x08\x00" + bytes(6) + b"\x03\x00" + bytes(8) + MARK + labels
    yield b"<html>no images</html>"


def llmc(magic, version, width, ids):
    head = struct.pack("<3i", magic, version, len(ids))
    return head + bytes(1024 - len(head)) + b"".join(i.to_bytes(width, "little") for i in ids)


def seeds_tokens():
    yield llmc(20240520, 1, 2, [1, 2, 3, 4, 50256])
    yield llmc(20240801, 7, 4, [1, 2, 3, 128000])
    yield llmc(20240801, 7, 4, [1, 0xffffffff])
    yield llmc(20240520, 2, 2, [1])
    yield llmc(20240520, 1, 2, [1, 2])[:-1]
    for magic in (20240522, 20240326, 20240327, 20240527):
        yield llmc(magic, 1, 2, [])[:16]
    yield struct.pack("<9H", *range(9))
    yield struct.pack("<3H", 1, 2, 65535)
    yield struct.pack("<9I", *range(1, 10))
    yield struct.pack("<9q", *range(1, 10))
    yield struct.pack("<4I", 1, 70000, 3, 128255)
    yield b"odd"
    yield b"version https://git-lfs.github.com/spec/v1\n"


def seeds_csv():
    yield b"a,b,y\n1,2.5,0\n-3e-2,4,1\n"
    yield b"a,z,y\r\n1,2,0.5\r\n\r\n3,4,-1\r\n"
    yield b'\xef\xbb\xbf"a ""quoted""","b,c",y\n 1 ,\t2,3\n'
    yield b"y\n1\n"
    yield b"a,y\n1,nan\n"
    yield b"a,y\n1,\n"
    yield b"a,y\n1\n"
    yield b"a,y\n1,2,3\n"
    yield b"a,a,y\n1,2,3\n"
    yield b'a,y\n"1\n",2\n'
    yield b"a,yy\n1,2\n"
    yield b"a,y\n1e39,0x2\n"
    yield b"x,y\n1,2147483648\n2,3\n"
    yield "ä,y\n1,١\n".encode()
    yield from csv_of_words()


def csv_of_words():
    """Targets that are words, and what spreadsheets write."""
    yield b"a,y,b\n1,mid,2\n3,high,4\n5,low,6\n7,mid,8\n"
    yield "a,y\n1,ä\n2,\"b,c\"\n3,ä\n".encode()
    yield b"a,y\n1,2\n2,word\n"
    yield b"a,y\n1,word\n2,2\n"
    yield b"a,y\n1,\xff\n"
    yield b"a,y,z\n1,word,2\n"
    yield b"a;y\n1,5;2\n"
    yield b"a\ty\n1\t2\n"
    yield b',a,y\n0,"1,5",2\n'


def seeds_schedule():
    yield b"F0 F1 BW0 BW1\n"
    yield b"F0 BW0 F1 BW1 # one stage\n"
    yield b"F0 F1 B0 F2 W0 B1 B2 W1 W2\nF0 B0 W0 F1 B1 W1 F2 B2 W2\n"
    yield b"# there and back\nF0 F0.1 BW0.1 BW0 F1 F1.1 BW1.1 BW1\n\nF0 F0.1 BW0.1 BW0 F1 F1.1 BW1.1 BW1\n"
    yield b"F0 BW0\nBW0 F0\nF69999\n"
    yield b"F0.9\n"
    yield b"Q1 F B-1 F99999999999 F0.x\r\n"
    yield b"F0\0\n"


def tensors(entries, metadata=None):
    header, data = {}, b""
    if metadata is not None:
        header["__metadata__"] = metadata
    for name, dtype, shape, raw in entries:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    return json.dumps(header, separators=(",", ":")).encode() + b"\n@\n" + data


def whole(text):
    header, data = text.split(b"\n@\n", 1)
    return struct.pack("<Q", len(header)) + header + data


def seeds_safetensors():
    a = ("a", "F32", [2, 2], struct.pack("<4f", 1, 2, 3, 4))
    b = ("b", "BF16", [3], struct.pack("<3H", 0x3f80, 0x4000, 0x7f80))
    yield whole(tensors([a, b], {"format": "pt"}))
    yield tensors([a, b], {"format": "pt"})
    yield tensors([("h", "F16", [4], struct.pack("<4H", 0x3c00, 0x0001, 0x7c01, 0x8000)), ("d", "F64", [1], struct.pack("<d", 1e300))])
    for dtype, bits in [("BOOL", 8), ("U8", 8), ("I16", 16), ("U16", 16), ("I32", 32), ("I64", 64), ("U64", 64), ("C64", 64), ("F8_E4M3", 8),
                        ("F8_E5M2FNUZ", 8), ("F4", 4), ("F6_E2M3", 6)]:
        yield tensors([("t", dtype, [4, 1], bytes(4 * bits // 8))])
    yield tensors([("scalar", "F32", [], bytes(4)), ("none", "F32", [0, 7], b"")])
    yield tensors([])
    yield tensors([("t", "F4", [1], b"")])
    yield tensors([("t", "X9", [1], b"1")])
    yield tensors([("t", "F32", [1] * 9, bytes(4))])
    yield tensors([("t", "F32", [4294967296, 4294967296, 4], b"")])
    yield tensors([("t", "F32", [-1], b"")])
    yield tensors([a]) + b"more"
    yield tensors([a])[:-1]
    yield b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}\n@\n12345678'
    yield b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}}\n@\n123456'
    yield b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}\n@\n'
    yield b'{"a":7}\n@\n'
    yield b'{"__metadata__":{"k":1}}\n@\n'
    yield b'{"__metadata__":[]}\n@\n'
    yield struct.pack("<Q", 1 << 40) + b"{}"
    yield struct.pack("<Q", 20) + b"{}"
    yield struct.pack("<Q", 2) + b"[]"
    yield b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"
    index = {"metadata": {"total_size": 22}, "weight_map": {"a": "a.safetensors", "b": "b.safetensors"}}
    yield json.dumps(index).encode() + MARK + tensors([a], {"format": "pt"}) + MARK + tensors([b])
    index["weight_map"]["c"] = "c.safetensors"
    yield json.dumps(index).encode() + MARK + tensors([a, b]) + MARK + tensors([b, a]) + MARK + tensors([("c", "I8", [1], b"1")])
    yield b'{"weight_map":{"a":"../a.safetensors"}}' + MARK
    yield b'{"weight_map":{"a":1}}' + MARK
    yield b'{"weight_map":[]}' + MARK
    buffers = [("h.0.attn.bias", "F32", [1], bytes(4)), ("h.0.attn.masked_bias", "F32", [1], bytes(4)), ("m.rotary_emb.inv_freq", "F32", [1], bytes(4))]
    for end in (b"", b" "):
        yield json.dumps({"weight_map": {b[0]: "a.safetensors" for b in buffers}}).encode() + end + MARK + tensors(buffers)
    yield b'{"weight_map":{"a":".hidden"}}' + MARK
    yield b'{"weight_map":{"x":"a.safetensors"}}' + MARK + tensors([a])


def seeds_config():
    yield (b'{"model_type": "yoke-layers", "yoke": {}, "columns": ["a", "b"], "targets": ["y"], "classes": ["high", "low"], "shape": [1, 2],'
           b' "scale": {"kind": "standard", "shift": [0.5, -1e-3], "factor": [2.0, 1e30]}}')
    yield b'{"model_type": "yoke-layers", "scale": {"kind": "minmax", "shift": [1], "factor": []}}'
    yield b'{"model_type": "yoke-layers", "columns": ["a", 1]}'
    gpt2 = {"model_type": "gpt2", "n_layer": 2, "n_head": 2, "n_embd": 8, "n_positions": 16, "n_ctx": 16, "vocab_size": 50, "n_inner": None,
            "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5, "scale_attn_weights": True, "tie_word_embeddings": True}
    llama = {"model_type": "llama", "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "hidden_size": 16, "head_dim": 4,
             "intermediate_size": 24, "max_position_embeddings": 64, "vocab_size": 96, "rms_norm_eps": 1e-6, "rope_theta": 500000.0,
             "tie_word_embeddings": False, "hidden_act": "silu", "attention_bias": False, "mlp_bias": False}
    rope = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
    yield gpt2
    yield {**gpt2, "n_inner": 32, "quantization_config": None}
    yield {**gpt2, "n_ctx": 17}
    yield {**gpt2, "activation_function": "relu"}
    yield {**gpt2, "n_embd": 9}
    yield {**gpt2, "n_layer": "2"}
    yield llama
    yield {**llama, "rope_scaling": rope}
    yield {**llama, "rope_scaling": rope, "rope_parameters": {**rope, "rope_theta": 500000.0}}
    yield {**llama, "rope_scaling": rope, "rope_parameters": {**rope, "factor": 4}}
    yield {**llama, "rope_scaling": {"type": "default"}}
    yield {**llama, "rope_scaling": {"type": "yarn", "factor": 2}}
    yield {**llama, "rope_scaling": {"factor": 2}}
    yield {**llama, "rope_scaling": {**rope, "high_freq_factor": 1, "factor": 0.5}}
    yield {**llama, "tie_word_embeddings": 1, "num_key_value_heads": 3}
    yield {**llama, "head_dim": 5}
    yield {**llama, "head_dim": 6, "attention_bias": True, "mlp_bias": True, "rope_scaling": {"type": "linear", "factor": 2.0}}
    yield {**llama, "model_type": "mistral", "head_dim": 10, "sliding_window": 6}
    yield {**llama, "model_type": "qwen2", "use_sliding_window": False, "sliding_window": None, "layer_types": ["full_attention"] * 2}
    yield {**llama, "model_type": "qwen3", "attention_bias": True}
    yield {**llama, "model_type": "yoke-llama", "qk_norm": True, "qkv_bias": True, "o_bias": True, "sliding_window": 3}
    yield {**llama, "rms_norm_eps": "small"}
    yield {"model_type": "yoke-layers", "yoke": {"job": "model: {family: layers}\n"}}
    yield {"model_type": "bert"}
    yield {"model_type": 7}
    yield b"[]"
    yield b"{\n\"a\": }"


def seeds_state():
    state = {"version": 1, "step": 100, "seed": 1, "batch": 8, "last_loss": 2.5, "layout": "dp=2", "optimizer": "adamw", "precision": "f32"}
    yield state
    yield {**state, "seed": "18446744073709551615", "last_loss": None}
    yield {**state, "version": 2}
    yield {**state, "step": -1}
    yield {**state, "batch": 0}
    yield {**state, "last_loss": "low"}
    yield {**state, "layout": "x" * 256}
    yield {**state, "seed": "-1"}
    yield {**state, "layout": "ä\u0007", "optimizer": 7}
    yield {}
    yield json.dumps(state).encode() + MARK + b"step-1\nstep-2\n.step-2.old-7\n.step-3.old-7\nstep-4\nstep-0005\nstep-5\nother\n"
    yield json.dumps(state).encode() + MARK + b"x\nstep-1\nx\nstep-2\nx\nstep-3"
    yield json.dumps(state).encode() + MARK + b"other"
    yield b"{" + MARK + b"step-1\nstep-2\nstep-3\n" + b"\n".join(b"step-1%d" % i for i in range(15))
    yield json.dumps(state).encode() + MARK + b"step-00000100\n.step-7.tmp-12\n.step-7.old-12\n.step-7.gone-1\nstep-99999999999999999999\nstep-x\n.step-\n"


# One change each of a machine that is good: what a value may be, and what it may not.
OVER_MACHINE = """
memory: 80GB => memory: [80GB] | memory: 80GB => memory: 80G | memory: 80GB => memory: much | memory: 80GB => memory: 0 | memory: 80GB => memory: 99999TiB | memory: 80GB =>
memory: 80GB => memory: 9999999999 TB | memory: 80GB => memory: 1.5 kB | reserve: 2GiB => reserve: 80GB | reserve: => resevre: | latency: 3 us => lat: 3 us | name: two =>
contention: 0.1 => adapters: 8 | contention: 0.1 => contention: 1 | contention: 0.1 => contention: -0.1 | contention: 0.1 => contention: | contention: => contenton:
two racks of A100 => "" | two racks of A100 => [a] | two racks of A100 => "a\\tb" | two racks of A100 => "\\u0085" | A100-SXM4-80GB => 0123456789012345678901234567890123456789012345678901234567890123
2026-01-31 => yesterday | 2026-01-31 => 2026-13-31 | 2026-01-31 => 2026-00-31 | 2026-01-31 => 2026-01-00 | 2026-01-31 => 2026-01-32 | 2026-01-31 => [2026] | 2026-01-31 => 2026/01/31
2039 GB/s => 2039 | 2039 GB/s => 2039 GB | 2039 GB/s => 400 Gb/s | 2039 GB/s => fast | 2039 GB/s => [1] | 2039 GB/s => 0 GB/s | 2039 GB/s => 1e-400 GB/s | 2039 GB/s => 1e300 GB/s
2039 GB/s => 0.333333333333333333 Tib/s | 2039 GB/s => 1e999 Gb/s | 5 us => 5 TFLOP/s | 5 us => -5 us | 5 us => 1.1 ms | 5 us => 0 s | 312 TFLOP/s => 1 PFLOP/s | 312 TFLOP/s => 0 TFLOP/s
{bf16: 312 TFLOP/s, tf32: 156 TFLOP/s, f32: 19.5 TFLOP/s} => {} | {bf16: 312 TFLOP/s, tf32: 156 TFLOP/s, f32: 19.5 TFLOP/s} => 3 | tf32: 156 => tf33: 156 | by: yoke 0.3 => bye: x | on: 2026-01-31, =>
share: 0.35 => share: 0 | share: 0.35 => share: 1.01 | share: 0.35 => share: 35 % | share: 0.35 => share: "0.35" | share: 0.35 => share: {a: 1} | share: 0.35 => share: 1e999
work: 1e9 => work: 0 | work: 1e9 => work: 1e999 | work: 1e9 => work: 100e9 | work: 1e9 => work: 1e12 | {work: 1e9, share: 0.35} => 3 | slower: 1.3 => slower: 0.9 | slower: 1.3 => bandwidth: 1 GB/s
oversubscription: 1 => oversubscription: 2.5 | oversubscription: 1 => oversubscription: 0.5 | adapters: 8 => adapters: 0 | name: infiniband => name: nvlink | count: 8 => count: 0 | count: 8, =>
count: 8 => count: 1.5 | count: 8 => count: "8" | count: 8 => count: [8] | count: 8 => count: 99999999999999999999 | count: 8 => count: 16777217 | count: 8 => count: 1048577
efficiency: => cores: 0\\n  efficiency: | efficiency: => shared_rate: {2: 0.5}\\n  efficiency: | efficiency: => cores: 2\\n  shared_rate: 0.5\\n  efficiency: | efficiency: => cores: 2\\n  shared_rate: {1: 0.5}\\n  efficiency:
efficiency: => cores: 2\\n  shared_rate: {65537: 0.5}\\n  efficiency: | efficiency: => cores: 2\\n  shared_rate: {two: 0.5}\\n  efficiency: | efficiency: => cores: 2\\n  shared_rate: {2: 0.5, 02: 0.6}\\n  efficiency:
device: 7, => device: 128, | device: 7, => device: -1, | {level: infiniband, group: 3, bandwidth: 12 GB/s} => {device: 7, slower: 2} | {device: 7, slower: 1.3} => {level: infiniband, group: 3, bandwidth: 1 GB/s}
{device: 7, slower: 1.3} => {level: infiniband, group: 2, bandwidth: 1 GB/s} | {device: 7, slower: 1.3} => {level: nvlink, group: 127, bandwidth: 1 GB/s} | level: infiniband, group: 3 => level: x, group: 3
level: infiniband, group: 3 => level: [a], group: 3 | group: 3 => group: 16 | group: 3, => | {device: 7, slower: 1.3} => {slower: 1.3} | {device: 7, slower: 1.3} => 7 | {device: 7, slower: 1.3} => {device: 7, level: nvlink}
"""


def seeds_machine():
    folder = f"{ROOT}/src/predict/machine/presets"
    for name in sorted(os.listdir(folder)):
        text = "".join(line for line in open(f"{folder}/{name}") if not line.lstrip().startswith("#"))
        yield text
        yield text.replace(" 8,", " 4,").encode() + MARK + name[:-5].encode() + b":8x1280"
    racks = open(f"{ROOT}/tests/machine/racks.yaml").read()
    yield racks
    yield racks.replace("  efficiency", "  cores: 4\n  shared_rate: {4: 0.3, 2: 0.7}\n  efficiency")
    yield racks.replace("two racks of A100", '"a: \\"b\\" #c \\u00e4, {x}"')
    good = "name: m\ndevice: {name: d, memory: 1GB, bandwidth: 1 GB/s, rates: {f32: 1 TFLOP/s}}\n"
    for change in OVER_MACHINE.replace("\n", "|").split("|"):
        if "=>" in change:
            before, after = change.split("=>")
            yield racks.replace(before.strip(), after.strip().replace("\\n", "\n"), 1)
    for more in ("levels: 8", "levels: []", "exceptions: []", "exceptions: none", "exceptions: [{level: x, group: 0, bandwidth: 1 B/s}]", "contention: ~", "levels: [1]",
                 "levels: [{name: a, count: 3, bandwidth: 1 Tib/s, latency: 1 s}]\nexceptions: [{device: 2, slower: 2}, {device: 0, slower: 1}, {level: a, group: 2, bandwidth: 1 kb/s}]"):
        yield good + more + "\n"
    for said in ("h100-sxm", "h100-sxm:", "h100-sxm:8", "h100-sxm:8x", "v100-32gb-dgx2:4x25", "h100-sxm:99999999x1", "h100-sxm:8x2097153", "h10-sxm", "none", "", "a\7"):
        yield good.encode() + MARK + said.encode()


def seeds_hashes():
    small, block = "c4998f9169c2a4f0", "918780b90550bf34"  # of 12 zeros, and of 1 MiB of them
    head = {"version": 1, "algorithm": "xxh3-64", "block_bytes": 1 << 20}
    full = {**head, "model.safetensors": {"w": small, "b": block, "c": block + block}, "optimizer.safetensors": {"m.w": small, "none": ""}}
    asked = "1048576 a/b/model.safetensors b\n2097152 model.safetensors c\n12 optimizer.safetensors m.w\n0 optimizer.safetensors none\n"
    yield full
    yield json.dumps(full).encode() + MARK + asked.encode()
    yield json.dumps(full).encode() + MARK + "12 model.safetensors c\n1 model.safetensors none\n1 version w\nx\n9999999 a b\n1 m\xc4\x07 \xff".encode("latin-1")
    for key, value in [("version", 2), ("version", "1"), ("version", None), ("algorithm", "md5"), ("algorithm", 1), ("block_bytes", 4096), ("block_bytes", "1048576"),
                       ("block_bytes", 1048576.0)]:
        yield {**head, key: value}
    for key in head:
        yield {k: v for k, v in head.items() if k != key}
    for digits in (small.upper(), "0" * 16, "g" * 16, "/" * 16, ":" * 16, "`" * 16, small[1:], small + "0", "", "\u00e4" * 8, 7, None, [small], {"w": small}):
        yield {**head, "model.safetensors": {"w": digits}}
    for file in (7, [], "w", {}):
        yield {**head, "model.safetensors": file}
    yield "[]"
    yield json.dumps(full)[:-1]


def tokenizers_of_characters():
    """Of characters, with normalizers, and what stands behind: small vocabularies, written out."""
    def sequence(name, *parts):
        return {"type": "Sequence", name: list(parts)}

    def replace(kind, one, other):
        return {"type": "Replace", "pattern": {kind: one}, "content": other}

    def file(norm=None, pre=None, dec=None, post=None, added=(), **model):
        words = ["<unk>", "<s>", "</s>", "\u2581", "a", "b", "e", "\u00e9", "1", "\u2581a", "ab", "\u2581ab", "<0x0A>", "<0xE2>", "<0x82>", "<0xAC>"]
        vocab = {word: i + (i > 8) * 3 for i, word in enumerate(words)}
        rows = [{"id": vocab.get(a["content"], 0), "special": True, **a} for a in added]
        model = {"type": "BPE", "unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True, "ignore_merges": False, **model,
                 "vocab": vocab, "merges": [["\u2581", "a"], ["a", "b"], ["\u2581a", "b"]]}
        return json.dumps({"version": "1.0", "added_tokens": rows, "normalizer": norm, "pre_tokenizer": pre, "post_processor": post,
                           "decoder": dec, "model": model}, ensure_ascii=False).encode()

    space = "\u2581"
    text = MARK + " ab  <s> a\u20ac\n \xffe\u0301 b1 <t>  x".encode()
    llama = dict(norm=sequence("normalizers", {"type": "Prepend", "prepend": space}, replace("String", " ", space)),
                 dec=sequence("decoders", replace("String", space, " "), {"type": "ByteFallback"}, {"type": "Fuse"},
                              {"type": "Strip", "content": " ", "start": 1, "stop": 0}),
                 post={"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                       "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}})
    yield file(**llama, added=[{"content": "<s>"}, {"content": "</s>", "lstrip": True, "rstrip": True}]) + text
    yield file(**llama, added=[{"content": "<s>", "normalized": True, "single_word": True}], byte_fallback=False) + text
    yield file(**{**llama, "norm": sequence("normalizers", {"type": "NFC"}, replace("Regex", "b+|\\s{2}", "a"))}, fuse_unk=False, unk_token=None) + text
    for scheme in ("always", "first", "never"):
        meta = {"type": "Metaspace", "replacement": space, "prepend_scheme": scheme, "split": scheme != "first"}
        yield file(pre=meta, dec=meta, ignore_merges=True, post={"type": "BertProcessing", "sep": ["</s>", 2], "cls": ["<s>", 1]}) + text
    for form in ("NFD", "NFKC", "NFKD"):
        yield file(norm={"type": form}, added=[{"content": "<t>", "id": 16}]) + text + "\u1100\u1161\u11a8\ufb01".encode() + "\u0301\u0323".encode() * 20
    for behavior in ("Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous", "Isolated"):
        pre = {"type": "Split", "pattern": {"String": " "}, "behavior": behavior, "invert": behavior == "Contiguous"}
        yield file(pre=sequence("pretokenizers", pre, {"type": "Digits", "individual_digits": True}),
                   dec={"type": "Strip", "content": space, "start": 1, "stop": 1}) + text
    yield file(pre={"type": "ByteLevel", "add_prefix_space": True, "use_regex": True}, unk_token="none") + text


def seeds_tokenizer():
    def file(vocab=',"ab":256,"abc":257', merges='["a b",["ab","c"]]', added='[{"id":258,"content":"<s>","special":true}]', pre=None, more=""):
        pre = pre or '{"type":"ByteLevel","add_prefix_space":false,"use_regex":true}'
        return (f'{{"version":"1.0","added_tokens":{added},"normalizer":null,"pre_tokenizer":{pre},"decoder":{{"type":"ByteLevel"}},'
                f'"model":{{"type":"BPE"{more},"vocab":{{@256@{vocab}}},"merges":{merges}}}}}').encode()

    def split(*patterns):
        parts = [{"type": "Split", "pattern": {"Regex": p}, "behavior": "Isolated", "invert": False} for p in patterns]
        return json.dumps({"type": "Sequence", "pretokenizers": parts + [{"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}]})

    yield file()
    yield file() + MARK + b"abcabc ab <s>\xff\xc3\xa9"
    yield file(more=',"ignore_merges":true,"dropout":null,"byte_fallback":false')
    yield file(pre=split(r"(?i:'s|'t|'re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"))
    yield file(pre=split(r"\p{N}{1,3}", r"[a-z\s]+|(?<=b)c(?=d)|(?>x)", r"^a$|\S\D\d\t")) + MARK + b"b c 12345\nabc\n"
    yield file(pre=split(r"(a|b)+c{2,}"), added="[]")
    yield file(pre=split(r"(a+)+$")) + MARK + b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"
    yield file(pre=split(r"(?:(?:a|aa)+b|[^q])")) + MARK + (b"a" * 31 + b"!b") * 100  # nearly the bound of one match, again and again
    yield file(vocab=',"b":256', merges="[]")
    yield file(vocab=',"ab":256,"abc":257,"ababab":259', merges='["a b"]',
               added='[{"id":258,"content":"<s>","normalized":true},{"id":256,"content":"ab"},{"id":260,"content":"<s","normalized":false}]')
    yield file(added='[{"id":258,"content":"<s>","lstrip":true}]')
    yield file(merges='["a  b"]')
    yield file(merges='[["a","zz"]]')
    yield file(pre='{"type":"Metaspace"}')
    yield file(vocab=',"\u0080":256,"\u00ad":257,"\u007f ":258,"\u4e00":259', merges="[]", added="[]")
    yield file(vocab=',"ab":256,"a\u00e9":257', merges='["a b","a \u00e9"]', added='[{"id":257,"content":"a\u00e9"}]')
    yield file(more=',"unk_token":null,"continuing_subword_prefix":"##"')
    yield b'{"model":{"type":"WordPiece"}}'
    yield from tokenizers_of_characters()
    yield b'{"version":"1.0"}'
    for name in ("gpt2.json", "mixed.json"):  # trained ones, cut to their alphabet and a few merges
        root = json.load(open(f"{ROOT}/tests/tokenizer/{name}", encoding="utf-8"))
        root["post_processor"] = root["truncation"] = root["padding"] = None
        vocab = {text: i for text, i in root["model"]["vocab"].items() if i >= 256 and len(root["model"]["vocab"]) > i}
        keep = dict(sorted(vocab.items(), key=lambda item: item[1])[:12])
        base = json.loads(json.dumps(root))
        merges = [m for m in root["model"]["merges"] if "".join(m if isinstance(m, list) else m.split(" ")) in keep][:12]
        base["model"]["vocab"], base["model"]["merges"] = {"@256@": 0}, []
        text = json.dumps(base, ensure_ascii=False).replace('"@256@": 0', "@256@" + "".join(
            f',{json.dumps(text, ensure_ascii=False)}:{256 + i}' for i, text in enumerate(keep)))
        added = [{**a, "id": 256 + len(keep) + i} for i, a in enumerate(root["added_tokens"]) if a["content"] not in keep]
        text = text.replace(json.dumps(root["added_tokens"], ensure_ascii=False), json.dumps(added, ensure_ascii=False))
        halves = [m if isinstance(m, list) else m.split(" ") for m in merges]
        ok = [h for h in halves if all(len(x) == 1 or x in keep for x in h)]
        yield text.replace('"merges": []', '"merges": ' + json.dumps(ok, ensure_ascii=False)).encode()


JOBS = [
    """model: {family: layers, input: [4], layers: [{type: linear, out: 3}, {type: relu}, {type: linear, out: 2, bias: false}]}
data: {format: random, samples: 32}
train: {steps: 2, batch: 4, loss: cross_entropy, optimizer: {name: sgd, lr: 0.1, momentum: 0.9, nesterov: true}}
""", """model:
  family: layers
  input: [3, 8, 8]
  layers:
    - {type: conv2d, out: 4, kernel: 3, stride: 1, padding: 1, device: 0}
    - {type: batchnorm, eps: 1e-3, momentum: 0.2, affine: true, statistics: local}
    - {type: groupnorm, groups: 2, affine: false}
    - {type: residual, layers: [{type: conv2d, out: 4, kernel: 3, padding: 1}, {type: gelu, approximate: tanh}]}
    - {type: maxpool2d, kernel: 2}
    - {type: avgpool2d, kernel: 2, stride: 2}
    - {type: flatten, device: 1}
    - {type: dropout, p: 0.5}
    - {type: layernorm}
    - {type: linear, out: 10}
data: {format: npy, inputs: x.npy, targets: y.npy, shuffle: false, drop_last: true, holdout: 0.25}
train: {epochs: 1.5, batch: 8, loss: mse, optimizer: {name: adam, lr: 1e-3, betas: [0.9, 0.99], eps: 1e-7}, clip: 1, precision: bf16, seed: 7}
layout: {microbatches: 2, schedule: 1f1b}
""", """model: {family: layers, input: [8], layers: [{type: embedding, rows: 16, out: 4}, {type: rmsnorm}, {type: softmax}, {type: silu}, {type: sigmoid}, {type: tanh}]}
data: {format: text, path: input.txt}
train: {steps: 0, batch: 2, loss: cross_entropy, optimizer: sgd, schedule: linear}
""", """model: {family: gpt2, layers: 2, heads: 2, width: 8, context: 16, vocab: 50, dropout: 0.1, norm_eps: 1e-5}
data: {format: tokens, path: /tmp/tokens.bin}
train:
  steps: 20
  batch: 8
  sequence: 8
  loss: cross_entropy
  optimizer: {name: adamw, lr: 3e-4, betas: [0.9, 0.95], weight_decay: 0.1, decay: matrices}
  schedule: {name: cosine, warmup: 2, final_lr: 3e-5}
layout: {devices: 4, dp: 2, tp: 1, pp: 2, microbatches: 4, schedule: interleaved, chunks: 1, zero: 1, recompute: [full, none], device_memory: 512MiB}
checkpoint: {dir: runs/gpt, every: 100, keep: 3}
""", """model: {family: llama, layers: 2, heads: 4, kv_heads: 2, width: 16, hidden: 24, context: 32, vocab: 96, rope_theta: 10000.0, norm_eps: 1e-6, tied: false}
data: {format: random, samples: 8}
train: {steps: 1, batch: 4, loss: cross_entropy, optimizer: {name: adamw, lr: 1e-3}}
layout: {devices: [cpu:0, cpu:2, "cpu:4", cpu:6], tp: 2, cp: 2, cp_kind: ulysses, sp: true, zero: 3, dp_shard: 1, dp_replicate: 1, bucket: 1.5 MiB, threads: 1}
""", """#--set train.steps=5
#--dp 2
#--layout tp=2,zero=1,devices=[cpu:0,cpu:1,cpu:2,cpu:3]
#--set train.optimizer.name=adam
#--set layout.dp=
model: {family: gpt2, layers: 1, heads: 2, width: 8, context: 16}
data: {format: text, path: "a b\\u00e4.txt", tokenizer: ./tokenizer.json}
train: {epochs: 2, batch: 8, loss: cross_entropy, optimizer: {name: sgd, lr: 0.1, weight_decay: 0.01}}
layout: {pp: 2, schedule: zb-h1, microbatches: 2}
""", """model: {family: llama, from: ./llama, layers: null}
data: {format: csv, path: x.csv, targets: [y, "z z"]}
train: {steps: 1, batch: 1, loss: mse, optimizer: {name: sgd, lr: 1}}
""", "model: {familly: gpt2}\n", "a: &x 1\nb: *x\n", "- a\n- b\n", "a: |\n  text\n", "---\na: 1\n---\nb: 2\n", "? [a]\n: b\n", "a: !tag b\n", "a: 'b\n",
    "{a: {b: [c, {d: \"\\x41\\u00e9\"}]}, a: 2}\n", "<<: {a: 1}\n",
]


LAYERS = """model: {family: layers, input: [4], layers: [{type: linear, out: 3}]}
data: {format: random}
train: {steps: 1, batch: 4, loss: cross_entropy, optimizer: {name: sgd, lr: 0.1}}
"""
GPT = """model: {family: gpt2, layers: 1, heads: 2, width: 8, context: 16, vocab: 9}
data: {format: random}
train: {steps: 1, batch: 4, loss: cross_entropy, optimizer: {name: adam, lr: 0.1}}
"""
# One override each over a job that is good: what a value may be, and what it may not.
OVER_LAYERS = """
train.steps=[1] | train.steps="1" | train.steps=+5 | train.steps=1.5 | train.steps=1e3 | train.steps=99999999999999999999 | train.steps={a: 1}
train.seed=[1] | train.seed="1" | train.seed=-1 | train.seed=1.0 | train.seed=99999999999999999999999 | train.seed=18446744073709551615
train.optimizer.lr="0.1" | train.optimizer.lr=[1] | train.optimizer.lr=.5 | train.optimizer.lr=5. | train.optimizer.lr=1e | train.optimizer.lr=1e999
train.optimizer.lr=0 | train.optimizer.lr=+1E-2 | train.optimizer.momentum=1 | train.optimizer.momentum=-0.1 | train.optimizer.lr=0.1000000000000000055511151231257827
data.shuffle=[a] | data.shuffle="true" | data.shuffle=True | data.shuffle=TRUE | data.shuffle=False | data.shuffle=FALSE | data.shuffle=yes
train.loss=[mse] | train.loss=mae | train.loss=~ | train.nosuch=1 | nosuch=1 | train.batch.more=1 | model.layers.0.out=5 | model.layers.9.out=5
model.layers.0.type=conv2d | model.layers.0.tipe=x | model.layers.0=7 | model.layers={a: b} | model.layers=3 | model.layers=[] | model.layers.0.out.x=1
model.from=./a//b/./c | model.from=/ | model.from="" | model.from=[a] | model.from='a b' | model.from="\u0007\u00e9" | model.from= | model.input={a: 1}
model.input=[] | model.input=[1,1,1,1,1,1,1] | model.input=[x] | model.input=[2147483647,2147483647,2147483647] | model.input=3
layout.device_memory=[1] | layout.device_memory=5K | layout.device_memory=5k | layout.device_memory=-5MB | layout.device_memory=+5 | layout.device_memory=abc
layout.device_memory=1e300GB | layout.device_memory=9999999999999GB | layout.device_memory=1.5 | layout.device_memory=1.5kB | layout.device_memory=1.5 GiB
layout.device_memory=5 parsecs | layout.device_memory=5b | layout.device_memory=99999999999999999999 | layout.device_memory=3TiB | layout.device_memory=4096KiB
layout.device_memory=1.000000000000000000000000000000000000000000000000000000000000000000001
layout.schedule=[a] | layout.schedule= | layout.schedule='' | layout.schedule=/tmp | layout.schedule=/no/such/file | layout.schedule=/etc/passwd | layout.schedule="1f1b"
layout.devices=[] | layout.devices=0 | layout.devices=2000 | layout.devices=1.5 | layout.devices={a: 1} | layout.devices=[[a]] | layout.devices=cpu:70000
layout.devices=cpu:0,cpu:0 | layout.devices=cuda:0 | layout.devices=cpu:x | layout.devices=cpu: | layout.devices=gpu | layout.devices=[cpu:1] | layout.devices=cpu:0, cpu:1
layout.recompute={a: 1} | layout.recompute=[] | layout.recompute=full,none | layout.recompute=[full,[none]] | layout.recompute=[fool] | layout.recompute=full , x
layout.recompute=full,abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz | layout.tp=3 | layout.dp=5 | layout={dp: 2, cp: 2} | layout= | layout=dp | layout=dp=2,=3
layout=dp=2 ,tp=1 , devices=[cpu:0, cpu:1] | layout={a | layout=dp="2\"",zero='1' | layout=zero=4 | layout.dp_shard=2 | layout.microbatches=5 | layout.cp=9999
checkpoint.every=5 | checkpoint.keep=5 | checkpoint={dir: a, every: 1, keep: 1} | train.epochs=2 | train.epochs=0 | train.steps= | train.optimizer=adamw | train.optimizer=x
train.schedule=cosine | train.schedule.final_lr=1 | train.schedule={name: linear, warmup: 3, final_lr: 0.01} | train.optimizer.nesterov=true | train.optimizer.betas=[1,2]
train.precision=bf16 | train.sequence=4 | train.clip=-1 | data.samples=0 | data.samples=1e3 | data.holdout=1 | .=1 | a..b=1 | a b=1 | =1 | train.steps | --dp=2 | --dp=
--nosuch=1 | --layout=dp=2 | --devices=2 | --recompute=full | --device-memory=1GiB | --schedule=gpipe | --precision=bf16 | --steps=3 | --pp=0 | data.format=text
data={format: text, path: x} | data={format: csv, path: x, targets: a} | data={format: csv, path: x, targets: {a: b}} | data={format: csv, path: x, targets: []}
data={format: csv, path: x, targets: [a, [b]]} | data={format: csv, path: x, targets: ['']} | data={format: csv, path: x, targets: [a, a]} | data.path=x
data={format: csv, path: x, targets: [A, Z, _, /, "[", "\u0007", "\u007f", yes, "\"q\\"]} | data={format: idx, inputs: x.gz, targets: y} | data={format: npy, inputs: x}
"""
OVER_GPT = """
train.optimizer.betas=[0.5] | train.optimizer.betas=x | train.optimizer.betas=[x, y] | train.optimizer.betas=[0.5, x] | train.optimizer.betas=[0.5, 0.6] | model.heads=3
train.sequence=17 | train.sequence=8 | model.vocab= | model.context= | model.from=x | model.layers=[{type: relu}] | model.layers=0 | model.layers=99999 | model.dropout=1
model={family: gpt2, from: x} | model={family: gpt2, from: x, width: 8} | model={family: llama, from: x, heads: 4, kv_heads: 3} | model={family: llama, from: x, kv_heads: 3}
model={family: llama, layers: 1, heads: 2, width: 8, context: 16, vocab: 9} | data={format: text, path: x} | data={format: tokens, path: x, tokenizer: y} | train.loss=mse
data={format: npy, inputs: x, targets: y} | data={format: tokens, path: x} | layout={tp: 2, sp: true} | layout={pp: 3} | layout={cp: 2, cp_kind: ulysses} | layout={zero: 3, dp: 2}
launch.fallbacks=dp=2; tp=2,zero=1 ; dp=1 | launch={fallbacks: [dp=2, "tp=2"]} | launch.fallbacks={a: 1} | launch.fallbacks=[[a]] | launch.fallbacks=; | launch.fallbacks=dp=x
launch={fallbacks: ["", " \t"]} | launch.fallbacks=dp=2;nosuch=1 | launch.fallbacks="schedule=/etc/passwd;dp=2" | launch={fallbacks: ["devices=[cpu:0,cpu:1]", "x\u0007=\u00e9"]}
layout={dp: 4, zero: 1, dp_shard: 2, dp_replicate: 2, bucket: 1MiB} | model.tied=true | model.kv_heads=1 | train.epochs=1 | layout={pp: 2, chunks: 2, schedule: interleaved}
"""
WHOLE = ["model: {family: layers, input: [2, 3], layers: [{type: flatten}]}\ndata: {format: text, path: x}\ntrain: {steps: 1, batch: 1, loss: mse, optimizer: {name: sgd, lr: 1}}\n",
         "model: {family: layers, input: [3], layers: [{type: embedding, rows: 9, out: 2}]}\ndata: {format: tokens, path: x}\ntrain: {steps: 1, batch: 1, sequence: 4, loss: cross_entropy, optimizer: {name: sgd, lr: 1}}\n",
         "model: {family: layers, input: [3], layers: [{type: linear, out: 2, device: 0}, {type: relu, device: 2}]}\ndata: {format: random}\ntrain: {steps: 1, batch: 1, loss: mse, optimizer: {name: sgd, lr: 1}}\n"]
WHOLE += [WHOLE[2].replace("device: 2", "device: 1") + f"layout: {{{layout}}}\n" for layout in ("tp: 2", "pp: 2", "cp: 2", "devices: 3", "devices: 4", "dp: 2")]
WHOLE += ["a: [" * 40, "{" * 20 + "}" * 20, "{[a]: b}", '"\\x00": 1', '"\\uD800": 1', '{"": 1}', "~", "null", "\xff", "\xc2\x9b: 1", "a: [1, 2", "x: \"\\q\"", "a:\n\t- b",
          "%YAML 1.1\n---\na: b", "a: b\n...\nc", "# nothing\n", ""]


def seeds_job():
    yield from JOBS
    for base, over in ((LAYERS, OVER_LAYERS), (GPT, OVER_GPT)):
        for item in over.replace("\n", "|").split("|"):
            item = item.strip()
            if item:
                yield (f"#{item.replace('=', ' ', 1)}\n" if item.startswith("--") else f"#--set {item}\n") + base
    yield from WHOLE


def seeds_jsonl():
    """Rows of every kind, and templates behind the mark."""
    user, ends = {"role": "user", "content": "\\n\\nu"}, {"role": "assistant", "content": "\\nab\u00a0"}
    yield '{"text":"abab a"}\n{"text":"b\\u0000<s>c"}\n'
    yield b'\xef\xbb\xbf{"prompt":"ab","completion":"ba"}\r\n{"prompt":"","completion":"","id":12345678901234567890123}\n\n'
    yield '{"prompt":"aaaaaaaaaaaaaaaaaaaaaaaa","completion":"b"}\n{"text":"a"}\n{"text":""}'
    for turns in ([{"role": "system", "content": " s "}, user, ends, user, {"role": "assistant", "content": ""}], [ends], [user], [], [{"role": "tool", "content": "a"}],
                  [dict(ends, tool_calls=[1])], [{"role": "assistant", "content": None}], [1]):
        yield {"messages": turns}
    for bad in ('{"text":"a"}\n \n{"text":"b"}\n', '{"text":3}', '{"text": "a', "\n", '{"text":"a","messages":[]}', '{"txet":"a"}', "[1]", "3", '{"prompt":"a"}', '{"text":"\xff"}'):
        yield bad
    body = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}{{ message['content'] + '<|im_end|>' }}{{ '\\n' }}{% endfor %}"
    for template in (body + "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}", "{% if", "{% for m in messages %}{% for n in messages %}{{ m }}",
                     "{%- set x = messages[1:] -%}{# c #}{% if messages[0].role is defined and not (x == 1) or x[0]['content'] | trim ~ 'a' %}{% elif loop.first %}{% else %}{% endif %}"
                     "{{ bos_token if true else '' }}", "{{ ((((1" + "+ 'a'" * 40):
        yield b'{"text":"a"}' + MARK + template.encode()


def write(folder, name, seeds):
    os.makedirs(f"{folder}/{name}", exist_ok=True)
    for i, seed in enumerate(seeds):
        data = seed if isinstance(seed, bytes) else (seed if isinstance(seed, str) else json.dumps(seed)).encode()
        with open(f"{folder}/{name}/seed-{i:02}", "wb") as out:
            out.write(data)


for name, make in list(globals().items()):
    if name.startswith("seeds_"):
        write(sys.argv[1], name[6:], make())
