"""What a workspace keeps for how long: volumes that were only read, reports, logs; MLflow is never touched."""
