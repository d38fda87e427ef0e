"""Chromium without a window, driven over a pipe by its DevTools protocol: no network, no port, Python's standard library alone."""
import base64
import fcntl
import json
import os
import shutil
import signal
import tempfile

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
# nothing that asks the network, or for a graphics processor; one process less where there is no window
ARGUMENTS = ("--headless=new", "--remote-debugging-pipe", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--mute-audio",
             "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
             "--disable-default-apps", "--no-sandbox",  # what it shows is yoke's own, and a bare system lends it none
             "--host-resolver-rules=MAP * ~NOTFOUND", "--hide-scrollbars", "--lang=en")


def find():
    """The program's path; None where there is none."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


class Browser:
    """with Browser(PATH) as b: one tab."""

    def __init__(self, program):
        self.program, self.number, self.events, self.buffer = program, 0, [], b""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        pipes = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for pair in (os.pipe(), os.pipe()) for end in pair]  # not 3, 4
        commands, self.to, self.answers, results = pipes
        arguments = [self.program, *ARGUMENTS, f"--user-data-dir={self.folder.name}"]
        nowhere = os.open(os.devnull, os.O_RDWR)
        same = [(os.POSIX_SPAWN_DUP2, a, b) for a, b in ((nowhere, 0), (nowhere, 1), (nowhere, 2), (commands, 3), (results, 4))]
        environment = dict(os.environ, HOME=self.folder.name, LC_ALL="C.UTF-8")
        self.process = os.posix_spawn(self.program, [*arguments, "about:blank"], environment, file_actions=same, setsid=True)
        for end in (commands, results, nowhere):
            os.close(end)
        self.session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(self, *_):
        os.close(self.to)
        try:
            os.killpg(self.process, signal.SIGKILL)
        except ProcessLookupError:
            pass
        os.waitpid(self.process, 0)
        os.close(self.answers)
        self.folder.cleanup()

    def receive(self):
        while b"\0" not in self.buffer:
            read = os.read(self.answers, 1 << 16)
            if not read:
                raise RuntimeError(f"{self.program} has ended")
            self.buffer += read
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **parameters):
        """What the browser answers; events that come meanwhile are kept in `events`."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.to, data):]
        while True:
            answer = self.receive()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def open(self, path):
        """Shows a file, once all of it is loaded; returns what was asked for on the way, the file first."""
        self.events.clear()
        self.call("Page.navigate", url="file://" + path)
        while not any(e.get("method") == "Page.loadEventFired" for e in self.events):
            self.events.append(self.receive())
        return [e["params"]["request"]["url"] for e in self.events if e.get("method") == "Network.requestWillBeSent"]

    def look(self, width, dark=False, printed=False):
        """As wide as that, for one who likes it dark, or on paper."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", media="print" if printed else "screen",
                  features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def run(self, script):
        """The value of a script, as JSON has it."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"]["description"])
        return answer["result"].get("value")

    def picture(self, path, height=None, scale=1):
        """A PNG of the page, or of its upper part."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(height or size["height"], size["height"]), "scale": scale}
        data = self.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)["data"]
        with open(path, "wb") as f:
            f.write(base64.b64decode(data))

    def paper(self, path):
        """A PDF of the page, on A4."""
        data = self.call("Page.printToPDF", paperWidth=8.27, paperHeight=11.69, printBackground=True)["data"]
        with open(path, "wb") as f:
            f.write(base64.b64decode(data))
