"""What `lidcflow up` runs: the Prefect server, the MLflow server and the worker, and how they are watched."""
