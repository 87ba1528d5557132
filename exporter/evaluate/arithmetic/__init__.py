"""What metrics, baselines and the report compute with: boxes, correlations, intervals, pixels."""
