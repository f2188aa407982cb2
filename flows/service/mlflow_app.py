"""MLflow's server behind the checks of `flows.service.same_origin`.

``python -P -m flows.service.mlflow_app --host HOST --port PORT [--name NAME ...]`` is what `lidcflow up` starts. The
database and the place of artifacts stand in the variables of ``mlflow server``: a URL may hold a password.
"""

from __future__ import annotations

import os

import uvicorn

from flows.service.same_origin import SameOrigin, own_names, served_address
from tasks.tracking.mlflow_application import server_application


def main() -> None:
    """Serve until a signal."""
    given = served_address()
    app = server_application(os.environ["MLFLOW_BACKEND_STORE_URI"], os.environ["MLFLOW_ARTIFACTS_DESTINATION"])
    served = SameOrigin(app, own_names(given.host, given.name))
    # At start MLflow 3.17 does nothing but ask Docker for containers of its assistant, which is not served.
    uvicorn.run(served, host=given.host, port=given.port, lifespan="off")


if __name__ == "__main__":
    main()
