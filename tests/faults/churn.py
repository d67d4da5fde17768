#!/usr/bin/env python3
"""Series that are born and gone leave no memory behind: some go on for ever while many others get one sample each
and are collected once a block has been cut.  Fails where more anonymous memory stays than 1.2 times what there
was before.

    tests/faults/churn.py build/tocsin --series 1000000
"""
import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time

import kill
import load

FLAGS = ["--storage.tsdb.min-block-duration=5s", "--storage.tsdb.max-block-duration=45s", "--storage.tsdb.block-reload-interval=1s",
         "--web.enable-remote-write-receiver", "--log.level=warn"]
REQUEST = 5000  # series


def anonymous_mb(server):
    for line in open("/proc/%d/status" % server.process.pid):
        if line.startswith("RssAnon"):  # not what is mapped of blocks
            return int(line.split()[1]) / 1024
    raise RuntimeError("no RssAnon in /proc")


def head_series(server):
    for line in server.call("/metrics")[1].decode().splitlines():
        if line.startswith("prometheus_tsdb_head_series "):
            return float(line.split()[1])
    raise RuntimeError("no prometheus_tsdb_head_series in /metrics")


def encode(name, first, count):
    return [load.labels({"__name__": "%s_%d_total" % (name, i % 40), "pod": "%s-%d" % (name, i // 40), "node": "n%d" % (i % 100),
                         "namespace": "team-%d" % (i // 4000), "job": "kubelet"}) for i in range(first, first + count)]


def send(server, series):
    """One sample of each, now."""
    sample = load.field(2, load.double(1, time.time()) + load.integer(2, int(time.time() * 1000)))
    for at in range(0, len(series), REQUEST):
        body = load.snappy(b"".join(load.field(1, s + sample) for s in series[at:at + REQUEST]))
        status, text = server.call("/api/v1/write", body, kill.HEADERS, timeout=120)
        if status // 100 != 2:
            raise RuntimeError("remote write: HTTP %d: %s" % (status, text[:300]))


def steady(server, base, seconds, until=lambda: False):
    """Lets the base go on.  Returns the median of the memory over the last third of the time."""
    seen, begin = [], time.monotonic()
    while time.monotonic() < begin + seconds and not until():
        round_begin = time.monotonic()
        send(server, base)
        seen.append(anonymous_mb(server))
        time.sleep(max(0.0, round_begin + 1 - time.monotonic()))
    return statistics.median(seen[-max(1, len(seen) // 3):])


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("binary")
    p.add_argument("--series", type=int, default=100_000, help="series that are born and gone (%(default)s)")
    p.add_argument("--base", type=int, default=20_000, help="series that go on (%(default)s)")
    p.add_argument("--most", type=float, default=1.2, help="the memory that may stay, of that before (%(default)s)")
    a = p.parse_args()
    folder = tempfile.mkdtemp(prefix="tocsin-churn-")
    config = os.path.join(folder, "config.yml")
    open(config, "w").write("global: {}\n")
    server = load.Server([os.path.abspath(a.binary), "serve"], os.path.join(folder, "data"), os.path.join(folder, "log"), config, FLAGS)
    try:
        server.wait_ready()
        base = encode("base", 0, a.base)
        before = steady(server, base, 30)
        begin = time.monotonic()
        for at in range(0, a.series, 50_000):
            send(server, encode("born", at, min(50_000, a.series - at)))
            send(server, base)
        took = time.monotonic() - begin
        peak = anonymous_mb(server)
        begin = time.monotonic()
        steady(server, base, 120, lambda: head_series(server) < 1.5 * a.base)
        gone = time.monotonic() - begin
        left = head_series(server)
        after = steady(server, base, 30)
    finally:
        server.stop()
    print("%d series born in %.0f s, gone %.0f s later, beside %d that go on: %.1f MB before, %.1f with them, %.1f after (%.2fx)"
          % (a.series, took, gone, a.base, before, peak, after, after / before))
    if left >= 1.5 * a.base:
        print("FAIL %d series are still in the head" % left)
    elif after > a.most * before:
        print("FAIL %.2f times the memory of before stay, %.2f may" % (after / before, a.most))
    else:
        shutil.rmtree(folder)
        return 0
    print("kept: " + folder)
    return 1


if __name__ == "__main__":
    sys.exit(main())
