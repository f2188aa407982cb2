"""The server of the reports: `lidcflow reports`, also beside Prefect and MLflow in `lidcflow up`."""
