"""A peer in Python: the text protocol of NATS over a socket, nothing but the standard library.

It serves `python.tax` and calls the TypeScript service `service.shop.example.prices.quote`.
"""

import json
import socket
import sys


class Peer:
    def __init__(self, host, port):
        self.socket = socket.create_connection((host, port), timeout=10)
        self.stream = self.socket.makefile("rb")
        self.handlers = {}
        self.answers = {}
        self.calls = 0
        self.stream.readline()  # INFO
        options = {"verbose": False, "headers": True, "no_responders": True, "lang": "python-example"}
        self.send(f"CONNECT {json.dumps(options)}\r\nSUB _INBOX.python.* 1\r\n".encode())

    def send(self, data):
        self.socket.sendall(data)

    def serve(self, subject, handler):
        """Calls to `subject` are shared among the peers of the queue `python`."""
        number = len(self.handlers) + 2
        self.handlers[number] = handler
        self.send(f"SUB {subject} python {number}\r\n".encode())
        self.sync()

    def sync(self):
        """Returns when the server has everything that was sent."""
        self.send(b"PING\r\n")
        while self.step() != "PONG":
            pass

    def call(self, subject, body, timeout_ms=5_000):
        """Calls a service; what comes meanwhile is served."""
        self.calls += 1
        inbox = f"_INBOX.python.{self.calls}"
        payload = json.dumps(body).encode()
        headers = f"NATS/1.0\r\naaas-timeout: {timeout_ms}\r\n\r\n".encode()
        sizes = f"{len(headers)} {len(headers) + len(payload)}"
        self.send(f"HPUB {subject} {inbox} {sizes}\r\n".encode() + headers + payload + b"\r\n")
        while inbox not in self.answers:
            self.step()
        headers, payload = self.answers.pop(inbox)
        if " 503" in headers.get("", ""):
            raise RuntimeError("nobody serves it")
        if "nats-service-error-code" in headers:
            raise RuntimeError(f"{headers['nats-service-error-code']}: {headers['nats-service-error']}")
        return json.loads(payload)

    def step(self):
        """Takes one thing the server says."""
        words = self.stream.readline().decode().split()
        if not words:
            raise RuntimeError("the server is gone")
        verb = words[0]
        if verb == "PING":
            self.send(b"PONG\r\n")
        elif verb in ("MSG", "HMSG"):
            self.message(verb, words)
        elif verb == "-ERR":
            raise RuntimeError(" ".join(words))
        return verb

    def message(self, verb, words):
        total = int(words[-1])
        cut = int(words[-2]) if verb == "HMSG" else 0
        data = self.stream.read(total + 2)[:-2]
        reply = words[3] if len(words) == (6 if verb == "HMSG" else 5) else None
        headers = parse(data[:cut])
        subject, number = words[1], int(words[2])
        if number == 1:
            self.answers[subject] = (headers, data[cut:])
        elif reply is not None:
            answer = json.dumps(self.handlers[number](json.loads(data[cut:]))).encode()
            self.send(f"PUB {reply} {len(answer)}\r\n".encode() + answer + b"\r\n")


def parse(block):
    """Headers by lower-case name; the status line under the empty one."""
    lines = block.decode().split("\r\n")
    pairs = (line.split(":", 1) for line in lines[1:] if ":" in line)
    return {"": lines[0], **{name.strip().lower(): value.strip() for name, value in pairs}}


def main():
    peer = Peer(sys.argv[1], int(sys.argv[2]))
    peer.serve("python.tax", lambda order: {"tax": order["amount"] * 19 // 100})
    quote = peer.call("service.shop.example.prices.quote", {"sku": "TEA", "quantity": 3})
    print(f"three teas cost {quote['amount'] / 100:.2f} {quote['currency']}, the tax came from Python")
    for body in ({"sku": "TEA", "quantity": 0}, {"sku": "GOLD", "quantity": 1}):
        try:
            peer.call("service.shop.example.prices.quote", body)
            sys.exit("a bad call was answered")
        except RuntimeError as error:
            print(f"refused: {error}")


main()
