"""Learning: sectors, splits, training sets, backbones, features, heads, calibration, figures of merit."""
