"""Encoders that transformers computes, over finegrid's batches and with finegrid's dropout."""
