"""`python -m connectors.aws.testing [--port N] [--plain]`: the server by itself, for any client of AWS, until its standard input ends.

It prints its URL in one line. `--plain` is moto without our behaviours.
"""

import argparse
import logging
import sys
import threading


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m connectors.aws.testing", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--plain", action="store_true", help="moto without our behaviours")
    options = parser.parse_args()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)

    from dtf_runtime.plugins import require

    require("moto", "testing")
    from moto.moto_server.werkzeug_app import MotoRequestHandler
    from werkzeug.serving import make_server

    from connectors.aws.testing.application import Application
    from connectors.aws.testing.engine import Engine
    from connectors.aws.testing.table import behaviours
    from connectors.aws.testing.world import World

    world = World()
    application = Application(Engine(world, behaviours(world), plain=options.plain))
    server = make_server("127.0.0.1", options.port, application, threaded=True, request_handler=MotoRequestHandler)
    server.daemon_threads = True  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    sys.stdin.read()  # ends when whoever started this does, however that ends


if __name__ == "__main__":
    main()
