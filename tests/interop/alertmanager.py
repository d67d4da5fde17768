#!/usr/bin/env python3
"""alertmanager.py TOCSIN: an Alertmanager's state goes from Debian's to tocsin's and back.

A receiver counts what it is told.  Debian's Alertmanager tells it of two groups and holds a third back by
a silence; then, each on the files that the one before left:

  1  `tocsin alertmanager`   sees the silence and tells nothing twice
  2  `tocsin serve`          likewise, with the files in its Alertmanager's folder
  3  Debian's Alertmanager   likewise, on what `tocsin alertmanager export` wrote of 1
"""
import datetime
import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

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


class Sink(http.server.ThreadingHTTPServer):
    """Writes down what it is told: ["A firing", ...]."""

    def __init__(self):
        self.told = []
        sink = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                sink.told.append(f"{body['groupLabels']['alertname']} {body['status']}")
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(what, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if got := what():
                return got
        except OSError:
            pass
        time.sleep(0.1)
    return None


class Server:
    def __init__(self, folder, name, command):
        self.url = f"http://127.0.0.1:{free_port()}"
        self.log = open(os.path.join(folder, name + ".log"), "wb")
        self.process = subprocess.Popen([*command, f"--web.listen-address={self.url[7:]}"], stdout=self.log, stderr=self.log)
        if not wait_for(lambda: self.call("/-/ready") is not None):
            sys.exit(f"FAIL  {name} is not ready: {open(self.log.name).read()[-2000:]}")

    def call(self, path, body=None):
        request = urllib.request.Request(self.url + path, None if body is None else json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.read().decode()

    def post(self, names, lasts=3600):
        now = datetime.datetime.now(datetime.timezone.utc)
        start, end = now - datetime.timedelta(hours=1), now + datetime.timedelta(seconds=lasts)
        self.call("/api/v2/alerts", [{"labels": {"alertname": n}, "startsAt": start.isoformat(), "endsAt": end.isoformat()} for n in names])

    def silences(self):
        return [(s["id"], s["comment"], s["status"]["state"]) for s in json.loads(self.call("/api/v2/silences"))]

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        self.log.close()


def take_over(name, server, sink, silences):
    """What was told stays told, what was held back is still held back; what is new or ends is told."""
    sink.told.clear()
    check(f"{name}: the silence is there", server.silences(), silences)
    server.post(["A", "B", "Silenced"])
    time.sleep(6)  # three flushes
    check(f"{name}: nothing is told twice", sink.told, [])
    server.post([f"New {name}"])
    wait_for(lambda: sink.told)
    server.post(["B"], lasts=-1)
    wait_for(lambda: len(sink.told) >= 2)
    check(f"{name}: what is new and what ends is told", sorted(sink.told), sorted(["B resolved", f"New {name} firing"]))


def main():
    tocsin = os.path.realpath(sys.argv[1])
    folder = tempfile.mkdtemp()
    sink = Sink()
    config = os.path.join(folder, "am.yml")
    with open(config, "w") as f:
        f.write(CONFIG % sink.server_port)
    prometheus = os.path.join(folder, "prometheus.yml")
    with open(prometheus, "w") as f:
        f.write("scrape_configs: []\n")
    at = lambda name: os.path.join(folder, name)
    flags = [f"--config.file={config}", "--cluster.listen-address="]

    server = Server(folder, "first", ["prometheus-alertmanager", *flags, f"--storage.path={at('first')}"])
    now = datetime.datetime.now(datetime.timezone.utc)
    server.call("/api/v2/silences", {"matchers": [{"name": "alertname", "value": "Silenced|Other", "isRegex": True, "isEqual": True}],
                                     "startsAt": now.isoformat(), "endsAt": (now + datetime.timedelta(hours=2)).isoformat(),
                                     "createdBy": "interop", "comment": "being replaced: \u00e4\u00f6"})
    server.post(["A", "B", "Silenced"])
    wait_for(lambda: len(sink.told) == 2)
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
    wait_for(lambda: sink.told)
    check("back in Debian's: an end is told", sink.told, ["A resolved"])
    server.stop()

    if failed:
        print(f"logs are kept in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
