"""Training runs: data sets, the loop over steps on hardware and models, reports."""
