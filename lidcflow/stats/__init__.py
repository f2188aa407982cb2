"""Statistics of predictions: figures, their intervals, calibration and plots."""
