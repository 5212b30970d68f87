"""The stages of a study, in order; each plans from the output and runs what is missing."""
