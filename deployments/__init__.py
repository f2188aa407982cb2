"""Deployments: schedules, work pools, limits. Values only."""
