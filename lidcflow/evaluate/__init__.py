"""How good a release is on patients that it has not seen, beside baselines, with intervals over patients."""
