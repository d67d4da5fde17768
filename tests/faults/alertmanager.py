#!/usr/bin/env python3
"""Faults of `tocsin alertmanager`, with real sockets and a real disk.

    tests/faults/alertmanager.py build/tocsin --rounds 100 --seed 7

1. Kills under load: new alerts arrive all the time, each in a group of its own; SIGKILL comes at random times
   and within milliseconds of a message's arrival, between its sending and its record.  Every group arrives at
   least once.  One that arrives twice has a row in the journal that says why; all others arrive once.
2. Receivers that answer slowly, never, 500, 429, garbage, or close the socket in the middle of the answer, and
   names that do not resolve: the others are told in time, each failure is counted under its reason.
3. A full disk (a tmpfs, as root): notifications go on, silences are refused, and all is well with space again.
4. 100,000 alerts in one post, and labels of 1 MB."""
import argparse
import collections
import http.client
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

import load

CONFIG = """route:
  receiver: sink
  group_by: [alertname, n]
  group_wait: %s
  group_interval: %s
  repeat_interval: 4h
receivers:
- name: sink
  webhook_configs: [{url: 'http://127.0.0.1:%d/'}]
"""
JSON = {"Content-Type": "application/json"}


class Alertmanager(load.Server):
    def __init__(self, binary, data, log, config, flags=()):
        self.port = load.free_port()
        self.log = log
        self.process = subprocess.Popen(
            [binary, "alertmanager", "--config.file=" + config, "--storage.path=" + data,
             "--web.listen-address=127.0.0.1:%d" % self.port, "--log.level=warn", *flags],
            stdout=open(log, "ab"), stderr=subprocess.STDOUT)

    def get(self, path):
        status, body = self.call(path, timeout=60)
        if status != 200:
            raise RuntimeError("%s: HTTP %d: %s" % (path, status, body[:300]))
        return json.loads(body)

    def metric(self, name):
        """The sum of the samples whose line begins so."""
        text = self.call("/metrics", timeout=60)[1].decode()
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.split("\n") if line.startswith(name))


class Sink(load.Sink):
    """Answers 200 and counts messages by group key and status; other paths misbehave."""

    class Handler(load.Sink.Handler):
        def reply(self):
            getattr(self, self.path.strip("/") or "fine")()

        def fine(self):
            self.answer(200)

        def slow(self):
            time.sleep(2)
            self.answer(200)

        def never(self):
            time.sleep(60)

        def error(self):
            self.answer(500, body=b"sorry")

        def limit(self):
            self.answer(429, [("Retry-After", "2")])

        def garbage(self):
            self.wfile.write(bytes(range(256)) * 8)
            self.close_connection = True

        def cut(self):
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf of i")
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True

    def __init__(self):
        self.arrived = collections.defaultdict(collections.Counter)  # path: group key and status: messages
        self.on_arrival = None
        self.lock = threading.Lock()
        super().__init__()

    def take(self, path, body):
        with self.lock:
            self.arrived[path][body["groupKey"], body["status"]] += 1
            told = self.on_arrival
        if told:
            told()

    def groups(self, path="/", status="firing"):
        with self.lock:
            return {group: n for (group, s), n in self.arrived[path].items() if s == status}


def alert(n, name="Down", **more):
    return {"labels": {"alertname": name, "n": str(n), **more}, "annotations": {"summary": "it is down"}}


class Sender(threading.Thread):
    """Posts new alerts, and all others again and again, as a Prometheus does."""

    def __init__(self):
        super().__init__(daemon=True)
        self.server = None
        self.acknowledged = 0  # alerts
        self.again = 0
        self.stopping = False
        self.refused = ""

    def run(self):
        while not self.stopping:
            batch = [alert(n) for n in range(self.acknowledged, self.acknowledged + 5)]
            batch += [alert((self.again + n) % self.acknowledged) for n in range(min(45, self.acknowledged))]
            try:
                status, body = self.server.call("/api/v2/alerts", json.dumps(batch), JSON, timeout=30)
                if status == 200:
                    self.acknowledged += 5
                    self.again += 45
                else:
                    self.refused = "HTTP %d: %s" % (status, body[:200])
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(0.01)


def group_key(n, name="Down"):
    return '{}:{alertname="%s", n="%d"}' % (name, n)


def kills(binary, folder, rounds, rng):
    failures = []
    sink = Sink()
    config, log, data = (os.path.join(folder, n) for n in ("kills.yml", "kills.log", "kills"))
    open(config, "w").write(CONFIG % ("100ms", "1s", sink.port))
    sender = Sender()
    met = collections.Counter()
    for n in range(rounds + 1):
        server = Alertmanager(binary, data, log, config)
        server.wait_ready()
        sender.server = server
        if n == 0:
            sender.start()
        if n == rounds:
            break
        if rng.random() < 0.6:
            # Within moments of a message's arrival.
            hit = threading.Event()
            time.sleep(rng.uniform(0.1, 0.8))
            sink.on_arrival = hit.set
            hit.wait(5)
            time.sleep(rng.choice((0, 0, 0.001, 0.003, 0.01)))
            met["at a message"] += 1
        else:
            time.sleep(rng.uniform(0, 1.2))
            met["any time"] += 1
        server.kill()
        sink.on_arrival = None
    before = sender.acknowledged  # once more after the last kill
    load.wait_for(lambda: sender.acknowledged > before, 10)
    sender.stopping = True
    sender.join()
    wanted = {group_key(n) for n in range(sender.acknowledged)}
    server.call("/api/v2/alerts", json.dumps([alert(n) for n in range(sender.acknowledged)]), JSON)
    load.wait_for(lambda: wanted <= set(sink.groups()), 60)
    arrived = sink.groups()
    failures += ["never arrived: %s" % g for g in sorted(wanted - set(arrived))[:5]]
    twice = sorted(g for g, times in arrived.items() if times > 1)
    for g in twice:
        rows = server.get("/api/v2/journal?" + urllib.parse.urlencode({"group": g, "limit": 200}))["events"]
        causes = [r for r in rows if r["kind"] == "unanswered" or r.get("outcome") == "retry"]
        if len(causes) < arrived[g] - 1:
            failures.append("%s arrived %d times and the journal says of it: %s" % (g, arrived[g], rows))
    if sender.refused:
        failures.append("alerts were refused: " + sender.refused)
    server.stop()
    print("%d kills (%s): %d groups, each arrived, %d more than once, each with its row in the journal"
          % (rounds, ", ".join("%s %d" % x for x in sorted(met.items())), len(arrived), len(twice)), flush=True)
    return failures


RECEIVERS = {  # path, the reason under which its failures are counted ("": none)
    "fine": "", "slow": "", "never": "contextDeadlineExceeded", "error": "serverError", "limit": "rateLimited",
    "garbage": "other", "cut": "other"}


def receivers(binary, folder):
    failures = []
    sink = Sink()
    config, log, data = (os.path.join(folder, n) for n in ("receivers.yml", "receivers.log", "receivers"))
    text = CONFIG % ("100ms", "15s", sink.port)
    text = text.replace("  webhook_configs: [{url: 'http://127.0.0.1:%d/'}]\n" % sink.port, "  webhook_configs:\n" + "".join(
        "  - url: http://127.0.0.1:%d/%s\n" % (sink.port, path) for path in RECEIVERS) + "  - url: http://no-such-host.invalid/\n")
    open(config, "w").write(text)
    server = Alertmanager(binary, data, log, config)
    server.wait_ready()
    server.call("/api/v2/alerts", json.dumps([alert(n) for n in range(10)]), JSON)
    for path, seconds in (("/fine", 5), ("/slow", 8)):
        if not load.wait_for(lambda: len(sink.groups(path)) == 10, seconds):
            failures.append("%s heard of %d groups of 10 within %d s beside receivers that fail" % (path, len(sink.groups(path)), seconds))
    failed = 'alertmanager_notifications_failed_total{integration="webhook",reason="%s"}'
    for reason in sorted(set(RECEIVERS.values()) - {""}):
        if not load.wait_for(lambda: server.metric(failed % reason) > 0, 30):
            failures.append("no failure is counted under %s" % reason)
    for path in ("/fine", "/slow"):
        if max(sink.groups(path).values()) > 1:
            failures.append("%s was told again because of the others" % path)
    rows = server.get("/api/v2/journal?" + urllib.parse.urlencode({"group": group_key(0), "limit": 500}))["events"]
    texts = {r["integration"]: r.get("text", "") for r in rows if r["kind"] in ("request", "unanswered", "gave_up") and r.get("text")}
    dns = texts.get("sink/webhook/%d" % len(RECEIVERS), "")
    if "no-such-host" not in dns:
        failures.append("the journal does not name the host that does not resolve: %s" % texts)
    began = time.monotonic()
    server.stop()
    print("receivers: stopped in %.1f s with sends under way; DNS: %s" % (time.monotonic() - began, dns), flush=True)
    return failures


def full_disk(binary, folder):
    disk = os.path.join(folder, "disk")
    os.mkdir(disk)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], stderr=subprocess.DEVNULL).returncode:
        print("full disk: skipped: no tmpfs can be mounted here (run it as root)")
        return []
    failures = []
    sink = Sink()
    config, log = (os.path.join(folder, n) for n in ("full.yml", "full.log"))
    data, ballast = os.path.join(disk, "data"), os.path.join(disk, "ballast")
    open(config, "w").write(CONFIG % ("100ms", "1s", sink.port))

    def silence():
        body = {"matchers": [{"name": "n", "value": "none", "isRegex": False, "isEqual": True}], "createdBy": "t", "comment": "c",
                "startsAt": "2020-01-01T00:00:00Z", "endsAt": "2099-01-01T00:00:00Z"}
        return server.call("/api/v2/silences", json.dumps(body), JSON)

    server = Alertmanager(binary, data, log, config)
    try:
        server.wait_ready()
        sent = 0

        def tell(what):
            nonlocal sent
            first, sent = sent, sent + 200
            server.call("/api/v2/alerts", json.dumps([alert(n) for n in range(first, sent)]), JSON)
            if not load.wait_for(lambda: len(sink.groups()) >= sent, 20):
                failures.append("%s: %d of %d groups were notified" % (what, len(sink.groups()), sent))

        tell("with space")
        with open(ballast, "wb", buffering=0) as f:  # all the space that is left
            try:
                while True:
                    f.write(b"x" * 4096)
            except OSError:
                pass
        # What is free inside of the files is used up too.
        status, text = 200, b""
        for _ in range(2000):
            tell("full") if sent < 1000 else None
            status, text = silence()
            if status != 200:
                break
        if status == 200:
            failures.append("the disk was never full")
        elif status < 500 or b"full" not in text and b"space" not in text:
            failures.append("a silence on a full disk: HTTP %d: %s" % (status, text[:200]))
        print("full disk: a silence: HTTP %d: %s" % (status, text.decode(errors="replace").strip()[:150]), flush=True)
        tell("full")
        if server.call("/-/healthy")[0] != 200:
            failures.append("not healthy with a full disk")
        os.remove(ballast)
        if not load.wait_for(lambda: silence()[0] == 200, 10):
            failures.append("silences are refused with space again: %s" % (silence(),))
        tell("space again")
        time.sleep(35)  # alerts whose save failed are saved again after 30 s
        server.kill()
        server = Alertmanager(binary, data, log, config)
        server.wait_ready()
        if (kept := len(server.get("/api/v2/alerts"))) != sent:
            failures.append("%d of %d alerts are there after a restart" % (kept, sent))
        server.stop()
    except (RuntimeError, OSError) as e:
        failures.append("full disk: %s" % e)
    finally:
        if server.process.poll() is None:
            server.kill()
        subprocess.run(["umount", disk])
    return failures


def large(binary, folder):
    failures = []
    sink = Sink()
    config, log, data = (os.path.join(folder, n) for n in ("large.yml", "large.log", "large"))
    open(config, "w").write((CONFIG % ("100ms", "10s", sink.port)).replace("group_by: [alertname, n]", "group_by: [alertname, g]"))
    server = Alertmanager(binary, data, log, config)
    server.wait_ready()
    body = json.dumps([alert(n, g=str(n % 100)) for n in range(100000)])
    began = time.monotonic()
    status, text = server.call("/api/v2/alerts", body, JSON, timeout=120)
    took = time.monotonic() - began
    if status != 200:
        failures.append("100,000 alerts in one post of %d MB: HTTP %d: %s" % (len(body) >> 20, status, text[:200]))
    elif not load.wait_for(lambda: len(sink.groups()) >= 100, 60):
        failures.append("of 100,000 alerts in one post %d groups of 100 were notified" % len(sink.groups()))
    status, text = server.call("/api/v2/alerts", json.dumps([alert(1, "Large", g="large", huge="x" * (1 << 20))]), JSON, timeout=60)
    if status == 200 and not load.wait_for(lambda: any("Large" in g for g in sink.groups()), 30):
        failures.append("an alert with a label of 1 MB was taken and not notified")
    if status not in (200, 400, 413):
        failures.append("a label of 1 MB: HTTP %d: %s" % (status, text[:200]))
    print("100,000 alerts in one post: answered in %.2f s; a label of 1 MB: HTTP %d" % (took, status), flush=True)
    server.stop()
    return failures


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("binary")
    p.add_argument("--rounds", type=int, default=20, help="kills")
    p.add_argument("--seed", type=int, default=int(time.time()))
    a = p.parse_args()
    binary = os.path.abspath(a.binary)
    folder = tempfile.mkdtemp(prefix="tocsin-alertmanager-")
    print("seed %d, folder %s" % (a.seed, folder), flush=True)
    failures = kills(binary, folder, a.rounds, random.Random(a.seed))
    failures += receivers(binary, folder) + large(binary, folder) + full_disk(binary, folder)
    for f in failures[:20]:
        print("FAIL " + f)
    if not failures:
        shutil.rmtree(folder)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
