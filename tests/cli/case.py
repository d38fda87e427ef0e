"""What the tests of the program share: a folder for each test, and files in it."""
import array
import json
import os
import signal
import struct
import tempfile
import unittest

# behind nohup or & they are ignored, and then by all that is started here
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_DFL)

# What is looked at are figures, of many runs: the sanitizers' builds see the same code in the tests beside.
figures = unittest.skipIf("YOKE_TEST_SANITIZED" in os.environ, "figures, which the release build's tests look at")

NUMPY = {"<f4": "f", "<f8": "d", "<i8": "q", "|u1": "B"}  # array's codes


class Folder(unittest.TestCase):
    """A test with a folder of its own, `dir`."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = os.path.realpath(folder.name)

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def write(self, name, content):
        with open(self.path(name), "wb") as f:
            f.write(content.encode() if isinstance(content, str) else content)

    def read(self, name):
        """Text of a file, "" where there is none yet."""
        try:
            with open(self.path(name)) as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def npy(self, name, code, shape, values):
        """A version 1 .npy file of little-endian values."""
        head = f"{{'descr': '{code}', 'fortran_order': False, 'shape': ({''.join(f'{n}, ' for n in shape)}), }}"
        head += " " * (-(len(head) + 11) % 64) + "\n"
        self.write(name, b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + array.array(NUMPY[code], values).tobytes())


def write_safetensors(path, tensors, **metadata):
    """tensors: name -> (dtype, shape, bytes), in the order in which their bytes lie."""
    header, data = {"__metadata__": metadata} if metadata else {}, b""
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


def read_safetensors(path):
    """name -> (dtype, shape, bytes)"""
    with open(path, "rb") as f:
        text = f.read()
    size = struct.unpack("<Q", text[:8])[0]
    header, data = json.loads(text[8:8 + size]), text[8 + size:]
    return {name: (t["dtype"], t["shape"], data[t["data_offsets"][0]:t["data_offsets"][1]])
            for name, t in header.items() if name != "__metadata__"}
