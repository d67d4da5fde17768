#!/usr/bin/env python3
"""Fills a small file system (tmpfs, so as root) under a running tocsin, frees it again, and checks that writes are
refused with a clear error meanwhile, taken afterwards, and that nothing acknowledged is lost, restart included.

    tests/faults/full_disk.py build/tocsin --rounds 3
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time

import kill
import load


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("binary")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--megabytes", type=int, default=6)
    a = p.parse_args()
    binary = os.path.abspath(a.binary)
    folder = tempfile.mkdtemp(prefix="tocsin-full-")
    disk = os.path.join(folder, "disk")
    os.mkdir(disk)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%dm" % a.megabytes, "tmpfs", disk], stderr=subprocess.DEVNULL).returncode:
        print("skipped: no tmpfs can be mounted here (run it as root)")
        shutil.rmtree(folder)
        return 0
    data, ballast = os.path.join(disk, "data"), os.path.join(disk, "ballast")
    config, log = os.path.join(folder, "config.yml"), os.path.join(folder, "log")
    exporter = load.Exporter()
    open(config, "w").write(kill.CONFIG % exporter.port)
    stream = load.Stream()
    failures, refused = [], set()

    def send():
        return server.call("/api/v1/write", stream.batch(stream.acknowledged, "c"), kill.HEADERS)

    def check(when):
        steps = stream.acknowledged
        wrong = load.check_recent(server, stream, steps, 400) + load.check_all(server, stream, steps)
        failures.extend("%s: %s" % (when, w) for w in wrong)

    try:
        server = load.Server([binary, "serve"], data, log, config, kill.FLAGS)
        server.wait_ready()
        for n in range(a.rounds):
            for _ in range(100):
                status, text = send()
                if status // 100 != 2:
                    failures.append("round %d: refused with space left: HTTP %d: %s" % (n, status, text[:200]))
                    break
                stream.acknowledged += 1
            with open(ballast, "wb", buffering=0) as f:  # all the space that is left
                try:
                    while True:
                        f.write(b"x" * 4096)
                except OSError:
                    pass
            end = time.monotonic() + 20
            errors = 0
            while time.monotonic() < end and errors < 20:
                status, text = send()
                if status // 100 == 2:
                    stream.acknowledged += 1
                else:
                    errors += 1
                    refused.add("HTTP %d: %s" % (status, text.decode(errors="replace").strip()[:160]))
                    time.sleep(0.1)
            if errors == 0:
                failures.append("round %d: the disk was never full" % n)
            if server.call("/-/healthy")[0] != 200:
                failures.append("round %d: not healthy with a full disk" % n)
            check("round %d, full" % n)
            os.remove(ballast)
            status, text = 0, b""
            for _ in range(50):
                status, text = send()
                if status // 100 == 2:
                    stream.acknowledged += 1
                    break
                time.sleep(0.1)
            else:
                failures.append("round %d: still refused with space again: HTTP %d: %s" % (n, status, text[:200]))
            time.sleep(2.5)  # housekeeping runs each second
            check("round %d, space again" % n)
            if n % 2:
                server.kill()
            else:
                server.stop()
            server = load.Server([binary, "serve"], data, log, config, kill.FLAGS)
            server.wait_ready()
            check("round %d, restarted" % n)
        server.stop()
    except (RuntimeError, OSError) as e:
        failures.append(str(e))
    finally:
        if server.process.poll() is None:
            server.kill()
        subprocess.run(["umount", disk])
    bad = [r for r in refused if not r.startswith("HTTP 5") or "space" not in r]
    failures += ["an answer that does not say what is wrong: " + b for b in bad]
    print("%d rounds, %d batches acknowledged, refusals: %s" % (a.rounds, stream.acknowledged, sorted(refused)))
    for f in failures[:20]:
        print("FAIL " + f)
    if failures:
        print("log: %s" % log)
    else:
        shutil.rmtree(folder)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
