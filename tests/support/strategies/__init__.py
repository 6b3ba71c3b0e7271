"""Small strategies for seams that no real one fills yet. None of them is for users."""
