#!/usr/bin/env python3
"""alertmanager.py TOCSIN: an Alertmanager's state goes from Debian's to tocsin's and back.

A receiver counts what it is told.  Debian's Alertmanager tells it of two groups and holds a third back by
a silence; then, each on the files that the one before left:

  1  `tocsin alertmanager`   sees the silence and tells nothing twice
  2  `tocsin serve`          likewise, with the files in its Alertmanager's folder
  3  Debian's Alertmanager   likewise, on what `tocsin alertmanager export` wrote of 1
"""
import datetime
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "faults"))
import load

CONFIG = """
route: {receiver: hook, group_by: [alertname], group_wait: 1s, group_interval: 2s, repeat_interval: 4h}
receivers:
- name: hook
  webhook_configs: [{url: "http://127.0.0.1:%d/"}]
"""
failed = 0


def check(name, got, wanted):
    global failed
    if got == wanted:
        print(f"ok    {name}")
    else:
        failed += 1
        print(f"FAIL  {name}: expected {wanted!r}, got {got!r}")


class Sink(load.Sink):
    """Writes down what it is told: ["A firing", ...]."""

    def __init__(self):
        self.told = []
        super().__init__()

    def take(self, path, body):
        self.told.append(f"{body['groupLabels']['alertname']} {body['status']}")


class Server(load.Server):
    def __init__(self, folder, name, command):
        self.port = load.free_port()
        self.log = os.path.join(folder, name + ".log")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{self.port}"], stdout=log, stderr=log)
        self.wait_ready(20)

    def api(self, path, body=None):
        status, answer = self.call("/api/v2" + path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
        if status != 200:
            raise RuntimeError(f"{path}: HTTP {status}: {answer[:300]}")
        return json.loads(answer or "null")

    def post(self, names, lasts=3600):
        now = datetime.datetime.now(datetime.timezone.utc)
        start, end = now - datetime.timedelta(hours=1), now + datetime.timedelta(seconds=lasts)
        self.api("/alerts", [{"labels": {"alertname": n}, "startsAt": start.isoformat(), "endsAt": end.isoformat()} for n in names])

    def silences(self):
        return [(s["id"], s["comment"], s["status"]["state"]) for s in self.api("/silences")]


def take_over(name, server, sink, silences):
    """What was told stays told, what was held back is still held back; what is new or ends is told."""
    sink.told.clear()
    check(f"{name}: the silence is there", server.silences(), silences)
    server.post(["A", "B", "Silenced"])
    time.sleep(6)  # three flushes
    check(f"{name}: nothing is told twice", sink.told, [])
    server.post([f"New {name}"])
    load.wait_for(lambda: sink.told, 20)
    server.post(["B"], lasts=-1)
    load.wait_for(lambda: len(sink.told) >= 2, 20)
    check(f"{name}: what is new and what ends is told", sorted(sink.told), sorted(["B resolved", f"New {name} firing"]))


def main():
    tocsin = os.path.realpath(sys.argv[1])
    folder = tempfile.mkdtemp()
    sink = Sink()
    config = os.path.join(folder, "am.yml")
    with open(config, "w") as f:
        f.write(CONFIG % sink.port)
    prometheus = os.path.join(folder, "prometheus.yml")
    with open(prometheus, "w") as f:
        f.write("scrape_configs: []\n")
    at = lambda name: os.path.join(folder, name)
    flags = [f"--config.file={config}", "--cluster.listen-address="]

    server = Server(folder, "first", ["prometheus-alertmanager", *flags, f"--storage.path={at('first')}"])
    now = datetime.datetime.now(datetime.timezone.utc)
    server.api("/silences", {"matchers": [{"name": "alertname", "value": "Silenced|Other", "isRegex": True, "isEqual": True}],
                                     "startsAt": now.isoformat(), "endsAt": (now + datetime.timedelta(hours=2)).isoformat(),
                                     "createdBy": "interop", "comment": "being replaced: \u00e4\u00f6"})
    server.post(["A", "B", "Silenced"])
    load.wait_for(lambda: len(sink.told) == 2, 20)
    check("Debian's Alertmanager tells of two groups", sorted(sink.told), ["A firing", "B firing"])
    silences = server.silences()
    server.stop()
    shutil.copytree(at("first"), at("second"))

    server = Server(folder, "alone", [tocsin, "alertmanager", *flags, f"--storage.path={at('first')}"])
    take_over("tocsin alertmanager", server, sink, silences)
    server.stop()

    server = Server(folder, "serve", [tocsin, "serve", f"--config.file={prometheus}", f"--alertmanager.config.file={config}",
                                      f"--storage.tsdb.path={at('data')}", f"--storage.path={at('second')}"])
    take_over("tocsin serve", server, sink, silences)
    server.stop()
    server = Server(folder, "again", [tocsin, "serve", f"--config.file={prometheus}", f"--alertmanager.config.file={config}",
                                      f"--storage.tsdb.path={at('data')}", f"--storage.path={at('second')}"])
    check("tocsin serve imports once", server.silences(), silences)
    server.stop()

    exported = subprocess.run([tocsin, "alertmanager", "export", f"--storage.path={at('first')}", at("third")], capture_output=True, text=True)
    check("export", (exported.returncode, exported.stderr), (0, ""))
    server = Server(folder, "third", ["prometheus-alertmanager", *flags, f"--storage.path={at('third')}"])
    # B has ended there; only A and what was new are known as told.
    sink.told.clear()
    check("back in Debian's: the silence is there", server.silences(), silences)
    server.post(["A", "New tocsin alertmanager", "Silenced"])
    time.sleep(6)
    check("back in Debian's: nothing is told twice", sink.told, [])
    server.post(["A"], lasts=-1)
    load.wait_for(lambda: sink.told, 20)
    check("back in Debian's: an end is told", sink.told, ["A resolved"])
    server.stop()

    if failed:
        print(f"logs are kept in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
