"""Tell a container engine whether a server answers: ``python healthy.py URL``; exit code 1 if not."""

import sys
import urllib.request

PATIENCE_S = 5


def main(url: str) -> int:
    """Ask once, without a proxy: the server is in the same container."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=PATIENCE_S) as answer:
            return int(answer.status != 200)
    except OSError as error:
        sys.stderr.write(f"{url}: must answer with 200, got {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
