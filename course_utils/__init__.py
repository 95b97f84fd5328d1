"""Helpers of the Zero to NN course: what every lecture needs and no lecture is about."""
