#!/usr/bin/env python3
"""Hostile streams against a running tocsin: times far away, labels of a megabyte, duplicates, a clock that jumps.
Refusals are clear, memory stays bounded, what else is written is not disturbed.

    tests/faults/streams.py build/tocsin
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time

import churn
import kill
import load

# Moves the wall clock of a process by the seconds in the file that CLOCK_OFFSET_FILE names.
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
static long offset(void) {
  char text[32] = {0};
  const char* path = getenv("CLOCK_OFFSET_FILE");
  int fd = path ? open(path, O_RDONLY) : -1;
  if (fd < 0) return 0;
  if (read(fd, text, sizeof text - 1) < 0) text[0] = 0;
  close(fd);
  return atol(text);
}
int clock_gettime(clockid_t id, struct timespec* at) {
  static int (*real)(clockid_t, struct timespec*);
  if (!real) real = (int (*)(clockid_t, struct timespec*))dlsym(RTLD_NEXT, "clock_gettime");
  int result = real(id, at);
  if (id == CLOCK_REALTIME) at->tv_sec += offset();
  return result;
}
"""


def write(server, series):
    """series: [(labels, [(t, v)])]"""
    body = b"".join(load.field(1, load.labels(l) + b"".join(load.field(2, load.double(1, v) + load.integer(2, t)) for t, v in samples))
                    for l, samples in series)
    status, text = server.call("/api/v1/write", load.snappy(body), kill.HEADERS, timeout=120)
    return status, text.decode(errors="replace").strip()


def values(server, expr):
    return [s["value"][1] for s in server.query(expr, time.time())]


class Failures(list):
    def expect(self, so, what):
        if not so:
            self.append(what)


def odd_samples(server, bad):
    now = int(time.time() * 1000)
    bad.expect(write(server, [({"__name__": "ok"}, [(now - 1000, 1.0)])])[0] // 100 == 2, "a plain sample is refused")
    far = {"one hour ahead": now + 3600_000, "the year 2200": 7258118400_000, "the end of time": (1 << 63) - 1, "1970": 0,
           "a day ago": now - 86400_000, "before 1970": -1000, "the beginning of time": -(1 << 63)}
    for name, t in far.items():
        status, text = write(server, [({"__name__": "far"}, [(t, 1.0)])])
        bad.expect(status == 400 and any(w in text for w in ("out of bounds", "too old", "too far", "future")), "%s: HTTP %d %s" % (name, status, text[:150]))
    status, text = write(server, [({"__name__": "ok"}, [(now - 1000, 1.0)])])
    bad.expect(status // 100 == 2, "an exact repeat: HTTP %d %s" % (status, text[:150]))
    status, text = write(server, [({"__name__": "ok"}, [(now - 1000, 2.0)])])
    bad.expect(status == 400 and "duplicate" in text, "another value at one time: HTTP %d %s" % (status, text[:150]))
    status, text = write(server, [({"__name__": "ok"}, [(now, 3.0)]), ({"__name__": "far"}, [(0, 1.0)])])
    bad.expect(status == 400, "one bad of two: HTTP %d" % status)
    bad.expect(values(server, "ok") == ["3"], "the good one of two is not there: %s" % values(server, "ok"))
    # Every second sample goes back in time, for long.
    for k in range(200):
        status, text = write(server, [({"__name__": "zigzag"}, [(now - 60_000 + (k ^ 1), float(k ^ 1))])])
        bad.expect(status // 100 == 2, "zigzag %d: HTTP %d %s" % (k, status, text[:150]))
    bad.expect(values(server, "count_over_time(zigzag[10m])") == ["200"], "zigzag: %s" % values(server, "count_over_time(zigzag[10m])"))


def long_labels(server, bad):
    now = int(time.time() * 1000)
    before = churn.anonymous_mb(server)
    for i in range(8):
        status, text = write(server, [({"__name__": "long", "i": str(i), "l": chr(97 + i) * (1 << 20)}, [(now, float(i))])])
        bad.expect(status // 100 == 2 or (status == 400 and "label" in text), "a label of 1 MB: HTTP %d %s" % (status, text[:150]))
        taken = status // 100 == 2
    if taken:
        got = sorted(values(server, "long"))
        bad.expect(got == [str(i) for i in range(8)], "labels of 1 MB: found %s" % got)
        status, _ = server.call("/api/v1/label/l/values")
        bad.expect(status == 200, "label values of 1 MB: HTTP %d" % status)
    grown = churn.anonymous_mb(server) - before
    bad.expect(grown < 200, "8 labels of 1 MB cost %.0f MB" % grown)
    return grown


def clock(binary, folder, config, bad):
    shim, offset = os.path.join(folder, "shim.so"), os.path.join(folder, "offset")
    if subprocess.run(["cc", "-shared", "-fPIC", "-o", shim, "-x", "c", "-", "-ldl"], input=SHIM.encode()).returncode:
        return "skipped: no C compiler"

    def jump(seconds):
        open(offset + ".new", "w").write(str(seconds))
        os.rename(offset + ".new", offset)
        return time.time() + seconds
    jump(0)
    os.environ.update(LD_PRELOAD=shim, CLOCK_OFFSET_FILE=offset)
    server = load.Server([binary, "serve"], os.path.join(folder, "clock-data"), os.path.join(folder, "clock-log"), config, kill.FLAGS)
    for name in ("LD_PRELOAD", "CLOCK_OFFSET_FILE"):
        del os.environ[name]
    server.wait_ready()
    found = []
    for seconds in (0, 7200, 7230, 4500, 0, 7260):
        now = jump(seconds)
        time.sleep(3)
        now = time.time() + seconds
        found.append(sum(float(s["value"][1]) for s in server.query("count_over_time(scraped_count[4s])", now)))
        samples = server.query("scraped_count[3d]", now + 86400)
        problem = load.tell_order([(round(t * 1000), v) for t, v in samples[0]["values"]]) if samples else "no samples"
        bad.expect(not problem, "clock at %+d s: %s" % (seconds, problem))
        bad.expect(server.call("/-/healthy")[0] == 200, "clock at %+d s: not healthy" % seconds)
    # Forward is taken at once; back within the out-of-order window too; further back the database cannot go.
    bad.expect(found[1] > 3 and found[2] > 3, "after a jump forward nothing is scraped: %s" % found)
    bad.expect(found[3] > 3 and found[5] > 3, "after a jump back within the window nothing is scraped: %s" % found)
    server.stop()
    server = load.Server([binary, "serve"], os.path.join(folder, "clock-data"), os.path.join(folder, "clock-log"), config, kill.FLAGS)
    server.wait_ready()
    server.stop()
    return "samples scraped in 4 s after each jump: %s" % found


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("binary")
    a = p.parse_args()
    binary = os.path.abspath(a.binary)
    folder = tempfile.mkdtemp(prefix="tocsin-streams-")
    config, log = os.path.join(folder, "config.yml"), os.path.join(folder, "log")
    bad = Failures()
    exporter = load.Exporter()
    open(config, "w").write(kill.CONFIG % exporter.port)
    server = load.Server([binary, "serve"], os.path.join(folder, "data"), log, config, kill.FLAGS)
    open(config, "w").write((kill.CONFIG % exporter.port).replace('targets: ["', 'targets: ["127.0.0.1:%d", "' % server.port))
    server.wait_ready()
    os.kill(server.process.pid, 1)  # SIGHUP: its own port is known now
    odd_samples(server, bad)
    print("odd samples: %d failures" % len(bad), flush=True)
    print("labels of 1 MB: %.0f MB more" % long_labels(server, bad), flush=True)
    server.stop()
    open(config, "w").write(kill.CONFIG % exporter.port)
    print("clock: " + clock(binary, folder, config, bad), flush=True)
    for f in bad[:20]:
        print("FAIL " + f)
    if bad:
        print("kept: " + folder)
    else:
        shutil.rmtree(folder)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
