"""Small stand-ins for model weights; everything else in the tests is real."""
