"""Services of `lidcflow up`: the Prefect server, the MLflow server and the worker, with their supervision."""
