"""Retention in a workspace: inference volumes, reports and logs expire; MLflow is never touched."""
