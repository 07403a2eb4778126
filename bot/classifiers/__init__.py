"""Trained heads over frozen embeddings: what they may say, training, running and judging them."""
