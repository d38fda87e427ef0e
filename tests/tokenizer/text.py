"""The generator of text.c, line by line."""

WORDS = """the of and to in a is that it was for on are with as his they be at one have this from or had by hot but some what
there we can out other were all your when up use word how said an each she which do their time if will way about many then
them would write like so these her long make thing see him two has look more day could go come did my sound no most number
who over know water than call first people may down side been now find internationalization straße naïve café Ω e int return
self x i http www com n't""".split()
CONTRACTIONS = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'T", "'RE", "'Ve", "'M", "'lL", "'D", "’s", "'ſ", "'",
                "''s", "'x", "'st", "'re's"]
SPACES = [" ", " ", " ", " ", "  ", "\t", "\n", "\n", "\r", "\r\n", "\v", "\f", "\u00a0", "\u2003", "\u3000", "\u0085",
          "\u2028", "\u180e", "\u200b", "\u1680"]
ODD = ["\ufffd", "\ufeff", "\ufffe", "\ufdd0", "\ue000", "\U0010ffff", "\\xff\\xfe", "Ã©â‚¬", "%C3%28", "\u202e", "\u00ad",
       "½", "²³", "Ⅷ", "①", "٣٤٥", "१२३", "ﬁ", "ß", "İ", "K", "ſ", "ǅ", "ª", "𝒳", "𝟘𝟙", "_", "__init__",
       "#version: 0.2"]
ADDED = ["<|endoftext|>", "<|endof", "<|begin_of_text|>", "<|eot_id|>", "<|eot_id|", "<tag>", "<tag>>", "<tag", "ag>",
         "<|endoftext|>>", "<<|endoftext|>", "[é]"]
LINES = ["\n", "\r\n", "\n\n", " \n", "\n "]
SCRIPTS = [(0xc0, 0x24f), (0x391, 0x3a1), (0x3b1, 0x3c9), (0x410, 0x44f), (0x5d0, 0x5ea), (0x627, 0x64a), (0x904, 0x94d),
           (0xe01, 0xe3a), (0xac00, 0xd7a3), (0x3041, 0x3096), (0x4e00, 0x9fa5), (0x4e00, 0x4eff), (0x20000, 0x2a6d6),
           (0x10a0, 0x10c5), (0x16a0, 0x16ea), (0x1d400, 0x1d454), (0x2c00, 0x2c2e)]
MARKS = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"


class Maker:
    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) & (2**64 - 1)
        return ((self.state >> 33) & 0xffffffff) % n

    def one(self, table):
        return table[self.below(len(table))]

    def word(self):
        text = " " if self.below(8) > 0 else ""
        word, kind = self.one(WORDS), self.below(6)
        for i, c in enumerate(word):
            upper = "a" <= c <= "z" and (kind == 1 or (kind == 0 and i == 0))
            text += chr(ord(c) - 32) if upper else c
        return text

    def run(self, kind):
        first, last = self.one(SCRIPTS)
        text = ""
        for _ in range(1 + self.below(6)):
            if kind == 0:
                text += chr(48 + self.below(10))
            elif kind == 1:
                text += chr(first + self.below(last - first + 1))
            elif kind == 2:
                text += self.one(SPACES)
            else:
                text += self.one(MARKS)
        return text

    def emoji(self):
        text = chr(0x1f600 + self.below(0x50))
        kind = self.below(5)
        if kind == 0:
            text += chr(0x1f3fb + self.below(5))
        if kind == 1:
            text += chr(0xfe0f)
        if kind == 2:
            text += "\u200d" + chr(0x1f400 + self.below(0x3f))
        return text

    def marked(self):
        text = chr(97 + self.below(26))
        for _ in range(1 + self.below(3)):
            text += chr(0x300 + self.below(0x70))
        return text

    def unit(self):
        kind = self.below(100)
        if kind < 40:
            return self.word()
        if kind < 50:
            return self.run(0)
        if kind < 55:
            return self.one(CONTRACTIONS)
        if kind < 67:
            return self.run(1)
        if kind < 73:
            return self.run(2)
        if kind < 81:
            return self.run(3)
        if kind < 86:
            return self.emoji()
        if kind < 89:
            return self.marked()
        if kind < 92:
            return self.one(ODD)
        if kind < 94:
            return chr(0x7f if self.below(33) == 32 else self.below(32))
        if kind < 97:
            return self.one(ADDED)
        return self.one(LINES)


def make(seed, least):
    """Units of text until there are at least `least` bytes of UTF-8."""
    maker, parts, count = Maker(seed), [], 0
    while count < least:
        part = maker.unit()
        parts.append(part)
        count += len(part.encode())
    return "".join(parts)
