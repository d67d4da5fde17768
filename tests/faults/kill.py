#!/usr/bin/env python3
"""Kills tocsin with SIGKILL at random points under load, again and again, and checks after each restart that
every acknowledged sample is there, once, in order; Debian's Prometheus opens copies of the folder too.

    tests/faults/kill.py build/tocsin --rounds 200 --seed 7

Load: one remote write stream (floats, native histograms, series whose samples arrive out of order, series
that are born and gone), a scrape, snapshots.  Small log segments and blocks, so that compaction,
checkpoints and truncation are always under way.  Kills come at a random time, when a temporary file or a
checkpoint or a new block appears, during a snapshot, and during start-up."""
import argparse
import collections
import http.client
import os
import random
import shutil
import sys
import tempfile
import threading
import time

import load

CONFIG = """global: {scrape_interval: 200ms, scrape_timeout: 200ms}
storage: {tsdb: {out_of_order_time_window: 1h}}
scrape_configs:
- job_name: own
  static_configs: [{targets: ["127.0.0.1:%d"]}]
"""
FLAGS = ["--storage.tsdb.min-block-duration=5s", "--storage.tsdb.max-block-duration=5m", "--storage.tsdb.wal-segment-size=64KB",
         "--storage.tsdb.block-reload-interval=1s", "--storage.tsdb.retention.time=100d", "--web.enable-remote-write-receiver",
         "--web.enable-admin-api", "--log.level=warn"]
HEADERS = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf", "X-Prometheus-Remote-Write-Version": "0.1.0"}
MODES = ("time", "time", "snapshot", "small file", "temporary", "temporary", "block", "block", "checkpoint", "checkpoint", "segment",
         "truncation", "removal")
RECENT = 300  # batches whose samples are compared one by one; of all, numbers and sums


class Writer(threading.Thread):
    """Sends batch after batch until the server is gone."""

    def __init__(self, server, stream):
        super().__init__(daemon=True)
        self.server, self.stream = server, stream
        self.in_flight = False
        self.stopping = False
        self.error = ""

    def run(self):
        c = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        try:
            while not self.stopping:
                body = self.stream.batch(self.stream.acknowledged, "c")
                self.in_flight = True
                status, text = self.server.call("/api/v1/write", body, HEADERS, connection=c)
                if status // 100 != 2:
                    self.error = "remote write: HTTP %d: %s" % (status, text[:300])
                    return
                self.stream.acknowledged += 1
                self.in_flight = False
        except (OSError, http.client.HTTPException):
            pass


def names_below(data):
    found = set()
    for folder in (data, os.path.join(data, "wal"), os.path.join(data, "wbl"), os.path.join(data, "chunks_head"), os.path.join(data, "snapshots")):
        try:
            found.update(os.path.join(folder, n) for n in os.listdir(folder))
        except OSError:
            pass
    return found


def kinds(new, gone):
    """What the names that have come and gone mean."""
    out = set()
    for n in new:
        base = os.path.basename(n)
        if base.startswith("checkpoint"):
            out.add("checkpoint")
        elif "tmp" in base:
            out.add("small file" if base.startswith("series_refs") else "temporary")
        elif len(base) == 26:
            out.add("block")
        elif base.isdigit():
            out.add("segment")
    for n in gone:
        base = os.path.basename(n)
        if len(base) == 26 or base.startswith("checkpoint."):
            out.add("removal")
        elif base.isdigit():
            out.add("truncation")
    return out


def run_until_kill(mode, server, data, rng, seconds):
    """Returns what the kill met."""
    if mode == "time":
        time.sleep(rng.uniform(0.02, seconds))
        server.kill()
        return "time"
    if mode == "snapshot":
        time.sleep(rng.uniform(0, 0.3))

        def ask():
            try:
                server.call("/api/v1/admin/tsdb/snapshot", b"")
            except (OSError, http.client.HTTPException):
                pass
        threading.Thread(target=ask, daemon=True).start()
        time.sleep(rng.uniform(0, 0.1))
        server.kill()
        return "snapshot"
    before = names_below(data)
    end = time.monotonic() + 4 * seconds
    while time.monotonic() < end:
        now = names_below(data)
        met = mode in kinds(now - before, before - now)
        before = now
        if met:
            time.sleep(rng.choice((0, 0, 0.001, 0.005, 0.02)))
            server.kill()
            return mode
        time.sleep(0.0005)
    server.kill()
    return "time"


def scraped(server, now):
    out = {}
    for s in server.query("scraped[20h]", now):
        out[s["metric"]["i"]] = [tuple(v) for v in s["values"]]
    return out


def check_scraped(server, seen, now):
    wrong = []
    have = scraped(server, now)
    for i, samples in seen.items():
        got = have.get(i, [])
        problem = load.tell_order(got)
        lost = sorted(set(samples) - set(got))
        if lost:
            problem = "%d samples that were visible before the kill are gone, such as %s" % (len(lost), lost[0])
        if problem:
            wrong.append('scraped{i="%s"}: %s' % (i, problem))
    return wrong


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("binary")
    p.add_argument("--rounds", type=int, default=8)
    p.add_argument("--seed", type=int, default=int(time.time()))
    p.add_argument("--peer-every", type=int, default=20, help="rounds between openings of a copy by Prometheus; 0: never")
    p.add_argument("--seconds", type=float, default=1.5, help="load of a round at most")
    p.add_argument("--keep", action="store_true", help="keep the folder also when all is well")
    a = p.parse_args()
    binary = os.path.abspath(a.binary)
    rng = random.Random(a.seed)
    folder = tempfile.mkdtemp(prefix="tocsin-kill-")
    data, log, config = (os.path.join(folder, n) for n in ("data", "log", "config.yml"))
    exporter = load.Exporter()
    open(config, "w").write(CONFIG % exporter.port)
    stream = load.Stream()
    met = collections.Counter()
    peers = 0
    in_flight = False
    seen = {}
    failures = []

    def check(server, full):
        nonlocal in_flight
        steps = stream.acknowledged
        wrong = load.check_recent(server, stream, steps, RECENT)
        if wrong and in_flight and not load.check_recent(server, stream, steps + 1, RECENT):
            stream.acknowledged, wrong = steps + 1, []  # it arrived, the answer did not
        in_flight = False
        wrong += check_scraped(server, seen, time.time())
        if full:
            wrong += load.check_all(server, stream, stream.acknowledged)
        return wrong

    print("seed %d, folder %s" % (a.seed, folder), flush=True)
    for n in range(a.rounds + 1):
        last = n == a.rounds
        if rng.random() < 0.15:  # killed while it starts
            server = load.Server([binary, "serve"], data, log, config, FLAGS)
            time.sleep(rng.uniform(0, 0.3))
            server.kill()
            met["start"] += 1
        if a.peer_every and n and (n % a.peer_every == 0 or last) and shutil.which("prometheus"):
            copy = os.path.join(folder, "copy")
            shutil.copytree(data, copy)
            peer = load.Server(["prometheus"], copy, os.path.join(folder, "peer.log"), config, FLAGS[:2] + FLAGS[4:5] + ["--enable-feature=native-histograms"])
            try:
                peer.wait_ready()
                steps = stream.acknowledged
                wrong = load.check_recent(peer, stream, steps, RECENT, ("f", "o"))
                if wrong and in_flight:
                    wrong = load.check_recent(peer, stream, steps + 1, RECENT, ("f", "o")) and wrong
                    steps += not wrong
                wrong += load.check_all(peer, stream, steps)
                failures += ["round %d, Prometheus on a copy: %s" % (n, w) for w in wrong]
                peers += 1
            except RuntimeError as e:
                failures.append("round %d, Prometheus on a copy: %s" % (n, e))
            peer.kill()
            shutil.rmtree(copy)
        server = load.Server([binary, "serve"], data, log, config, FLAGS)
        try:
            server.wait_ready()
            failures += ["round %d: %s" % (n, w) for w in check(server, last or n % 10 == 0)]
        except (RuntimeError, OSError) as e:
            failures.append("round %d: %s" % (n, e))
        if failures or last:
            if last and not failures:
                server.stop()
            else:
                server.kill()
            break
        writer = Writer(server, stream)
        writer.start()
        mode = rng.choice(MODES)
        if rng.random() < 0.5:
            time.sleep(0.1)
            seen = scraped(server, time.time())
        met[run_until_kill(mode, server, data, rng, a.seconds)] += 1
        writer.join(60)
        in_flight = writer.in_flight
        shutil.rmtree(os.path.join(data, "snapshots"), ignore_errors=True)
        if writer.error:
            failures.append("round %d: %s" % (n, writer.error))
            break
        if n % 10 == 9:
            print("round %d: %d batches, %.1f MB, kills %s" % (n + 1, stream.acknowledged, load.folder_size(data) / 1e6, dict(met)), flush=True)
    samples = stream.acknowledged * (load.FLOATS + load.REORDERED + load.HISTOGRAMS)
    print("%d kills (%s), %d samples acknowledged, %d openings by Prometheus, %d failures"
          % (sum(met.values()), ", ".join("%s %d" % x for x in sorted(met.items())), samples, peers, len(failures)))
    for f in failures[:20]:
        print("FAIL " + f)
    if failures or a.keep:
        print("kept: %s (seed %d)" % (folder, a.seed))
    else:
        shutil.rmtree(folder)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
