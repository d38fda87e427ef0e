"""Reads TensorBoard's event files without TensorBoard: framing, checksums and the few fields of protobuf that scalars
need. Standard library only."""
import struct


def crc32c(data):
    """By the polynomial's definition, from a table of its own."""
    table = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ 0x82F63B78 * (n & 1)
        table.append(n)
    crc = 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


assert crc32c(b"123456789") == 0xE3069283  # the check value of the standard


def masked(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def records(data):
    at = 0
    while at < len(data):
        length, crc = struct.unpack_from("<QI", data, at)
        assert crc == masked(data[at:at + 8]), "the length's checksum is wrong"
        body = data[at + 12:at + 12 + length]
        assert len(body) == length, "a record is cut short"
        assert struct.unpack_from("<I", data, at + 12 + length)[0] == masked(body), "the data's checksum is wrong"
        yield body
        at += 16 + length


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            return value, at


def fields(message):
    """(number, value) of each: integers, or bytes."""
    at = 0
    while at < len(message):
        key, at = varint(message, at)
        kind = key & 7
        if kind == 0:
            value, at = varint(message, at)
        else:
            length = {1: 8, 5: 4}.get(kind)
            if kind == 2:
                length, at = varint(message, at)
            value = message[at:at + length]
            at += length
        yield key >> 3, value


def events(path):
    """Each event of a file: {wall_time, step, version, start, scalars}."""
    with open(path, "rb") as f:
        data = f.read()
    for body in records(data):
        event = {"step": 0, "version": None, "start": False, "scalars": {}}
        for number, value in fields(body):
            if number == 1:
                event["wall_time"] = struct.unpack("<d", value)[0]
            elif number == 2:
                event["step"] = value
            elif number == 3:
                event["version"] = value.decode()
            elif number == 7:
                event["start"] = dict(fields(value)) == {1: 1}
            elif number == 5:
                for _, summary in fields(value):
                    of = dict(fields(summary))
                    event["scalars"][of[1].decode()] = struct.unpack("<f", of[2])[0]
        yield event
