"""The demo's user: asks one address as fast as it politely can, and counts what came back."""

import threading
import time
import urllib.error
import urllib.request
from collections import Counter


class Visitors:
    """`count` threads that ask `url` again and again. `answers` counts bodies, `failures` errors by their text."""

    def __init__(self, url: str, count: int = 4) -> None:
        self.answers: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self._url = url
        self._going = True
        self._threads = [threading.Thread(target=self._visit, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def _visit(self) -> None:
        while self._going:
            try:
                with urllib.request.urlopen(self._url, timeout=10) as answer:  # noqa: S310 - the demo's own load balancer
                    self.answers[answer.read().decode().strip()] += 1
            except (OSError, urllib.error.URLError) as error:
                self.failures[str(error)] += 1
            time.sleep(0.005)

    def stop(self) -> None:
        self._going = False
        for thread in self._threads:
            thread.join()
