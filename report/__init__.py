"""Pages, tables and plots, made of results."""
