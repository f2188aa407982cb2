"""The Python API behind ``import lidcflow as lf``: everything runs in this process, without Prefect and Dask workers.

It stands above `tasks`, whose functions it calls for releases that are registered in MLflow.
"""
