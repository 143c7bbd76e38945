"""Training runs: data sets, schedules, the loop over steps on cores and models, and what a run must warn of."""
