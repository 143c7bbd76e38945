"""The study of sparsity: cycles of recorded networks with skipping on and off."""
