"""What the fault tests write and how they check it: remote write by hand, an exporter, a server process."""
import http.client
import http.server
import json
import os
import signal
import socket
import struct
import subprocess
import threading
import time
import urllib.parse

FLOATS = 24      # in order
REORDERED = 4    # each with samples out of order
HISTOGRAMS = 2   # native
NAMES = ("f", "o", "h")


def varint(n):
    out = bytearray()
    n &= (1 << 64) - 1
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def field(number, payload):
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def double(number, v):
    return varint(number << 3 | 1) + struct.pack("<d", v)


def integer(number, v):
    return varint(number << 3) + varint(v)


def zigzag(v):
    return (v << 1) ^ (v >> 63)


def labels(pairs):
    return b"".join(field(1, field(1, k.encode()) + field(2, v.encode())) for k, v in sorted(pairs.items()))


def snappy(data):
    """Literals only: valid, not small."""
    out = [varint(len(data))]
    for at in range(0, len(data), 65536):
        part = data[at:at + 65536]
        out.append(b"\xf4" + struct.pack("<H", len(part) - 1) + part)
    return b"".join(out)


def native_histogram(t, count):
    """`count` observations in one bucket of schema 0."""
    spans = field(11, integer(1, 0) + integer(2, 1))
    return (integer(1, count) + double(3, float(count)) + integer(4, zigzag(0)) + double(5, 1e-128) +
            integer(6, 0) + spans + field(12, varint(zigzag(count))) + integer(15, t))


class Stream:
    """Step k is one batch; its values follow from k, its time is that of its first sending (pairs are 1 ms
    apart, and from the next pair by more than that).  `acknowledged` steps are due for ever."""

    def __init__(self):
        self.pairs = []
        self.acknowledged = 0

    def time(self, k):
        while len(self.pairs) <= k // 2:
            self.pairs.append(max(int(time.time() * 1000), self.pairs[-1] + 4 if self.pairs else 0))
        return self.pairs[k // 2] + k % 2

    def reordered(self, k):
        """The steps whose samples the reordered series carry in batch k: pairs arrive swapped."""
        return k ^ 1

    def batch(self, k, churn):
        t = self.time(k)
        series = []
        for i in range(FLOATS):
            series.append(labels({"__name__": "f", "i": str(i)}) + field(2, double(1, float(k * 100 + i)) + integer(2, t)))
        r = self.reordered(k)
        for i in range(REORDERED):
            series.append(labels({"__name__": "o", "i": str(i)}) + field(2, double(1, float(r * 100 + i)) + integer(2, self.time(r))))
        for i in range(HISTOGRAMS):
            series.append(labels({"__name__": "h", "i": str(i)}) + field(4, native_histogram(t, k + i + 1)))
        # Series that are born and gone, so that checkpoints have something to drop.
        series.append(labels({"__name__": "churn", "id": "%s-%d" % (churn, k // 20)}) + field(2, double(1, 1.0) + integer(2, t)))
        return snappy(b"".join(field(1, s) for s in series))

    def expected(self, name, i, steps):
        """[(ms, value)] of a series after batches 0..steps-1."""
        if name == "o":
            done = sorted(self.reordered(k) for k in range(steps))
            return [(self.time(k), float(k * 100 + i)) for k in done]
        if name == "h":
            return [(self.time(k), float(k + i + 1)) for k in range(steps)]
        return [(self.time(k), float(k * 100 + i)) for k in range(steps)]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Exporter:
    """Serves a counter that grows with each scrape."""

    def __init__(self):
        outer = self
        self.count = 0

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.count += 1
                body = ("scraped_count %d\n" % outer.count + "".join('scraped{i="%d"} %d\n' % (i, outer.count) for i in range(50))).encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *args: None  # whoever scrapes is killed, after all
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Server:
    """One tocsin or Prometheus over a data folder."""

    def __init__(self, command, data, log, config, flags=()):
        self.port = free_port()
        self.log = log
        self.process = subprocess.Popen(
            [*command, "--config.file=" + config, "--storage.tsdb.path=" + data, "--web.listen-address=127.0.0.1:%d" % self.port, *flags],
            stdout=open(log, "ab"), stderr=subprocess.STDOUT)

    def call(self, path, body=None, headers=None, timeout=30, connection=None):
        c = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        c.request("POST" if body is not None else "GET", path, body, headers or {})
        r = c.getresponse()
        return r.status, r.read()

    def wait_ready(self, seconds=120):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise RuntimeError("the server ended with %s; its log: %s" % (self.process.returncode, tail(self.log)))
            try:
                if self.call("/-/ready", timeout=5)[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.01)
        raise RuntimeError("not ready after %d s: %s" % (seconds, tail(self.log)))

    def query(self, expr, at_s):
        status, body = self.call("/api/v1/query?" + urllib.parse.urlencode({"query": expr, "time": "%.3f" % at_s}), timeout=120)
        answer = json.loads(body)
        if status != 200:
            raise RuntimeError("query %s: HTTP %d: %s" % (expr, status, answer.get("error")))
        return answer["data"]["result"]

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()
            raise RuntimeError("did not end within 60 s of SIGTERM: " + tail(self.log))


class Sink(http.server.ThreadingHTTPServer):
    """Webhooks: take() is given the path and the body of each message, which is answered 200."""
    daemon_threads = True
    request_queue_size = 1024

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            try:
                self.server.take(self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.reply()
            except OSError:
                self.close_connection = True

        def reply(self):
            self.answer(200)

        def answer(self, status, headers=(), body=b""):
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_):
        pass  # connections of a process that was killed


def wait_for(condition, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def tail(path, lines=15):
    try:
        return "\n".join(open(path, errors="replace").read().split("\n")[-lines:])
    except OSError:
        return ""


def tell_order(samples):
    for a, b in zip(samples, samples[1:]):
        if a[0] >= b[0]:
            return "sample at %d follows the one at %d" % (b[0], a[0])
    return ""


def check_recent(server, stream, steps, last, names=NAMES):
    """Every sample of the last `last` of `steps` batches is there, once, in order.  Returns complaints."""
    if steps == 0:
        return []
    first = max(0, steps - last) // 2 * 2
    # No sample is at either end, so that it does not matter to which side an end belongs.
    begin, end = stream.time(first) - 1, stream.time((steps - 1) | 1) + 1
    wrong = []
    for name in names:
        found = {int(s["metric"]["i"]): s for s in server.query('%s[%dms]' % (name, end - begin), end / 1000)}
        count = {"f": FLOATS, "o": REORDERED, "h": HISTOGRAMS}[name]
        for i in range(count):
            s = found.get(i, {})
            if name == "h":
                got = [(round(t * 1000), float(h["count"])) for t, h in s.get("histograms", [])]
            else:
                got = [(round(t * 1000), float(v)) for t, v in s.get("values", [])]
            problem = tell_order(got)
            due = [x for x in stream.expected(name, i, steps) if x[0] > begin]
            if not problem and got != due:
                missing = sorted(set(due) - set(got))[:3]
                extra = sorted(set(got) - set(due))[:3]
                problem = "%d of %d samples; missing %s, not written %s" % (len(got), len(due), missing, extra)
            if problem:
                wrong.append('%s{i="%d"}: %s' % (name, i, problem))
    return wrong


def check_all(server, stream, steps, names=("f", "o")):
    """The number and the sum of all samples ever acknowledged."""
    if steps == 0:
        return []
    wrong = []
    end_s = (stream.time((steps - 1) | 1) + 1) / 1000
    for name in names:
        for function in ("count", "sum"):
            found = {int(s["metric"]["i"]): float(s["value"][1])
                     for s in server.query("%s_over_time(%s[30h])" % (function, name), end_s)}
            for i in range(FLOATS if name == "f" else REORDERED):
                values = [v for _, v in stream.expected(name, i, steps)]
                due = len(values) if function == "count" else sum(values)
                if found.get(i) != due:
                    wrong.append('%s of %s{i="%d"}: %s, due %s' % (function, name, i, found.get(i), due))
    return wrong


def folder_size(path):
    total = 0
    for folder, _, files in os.walk(path):
        for f in files:
            try:
                total += os.stat(os.path.join(folder, f)).st_size
            except OSError:
                pass
    return total
