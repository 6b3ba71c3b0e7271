"""Small strategies, one for every seam: what the tests of the seams are run on. None of them is for users."""
