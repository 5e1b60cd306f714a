"""What is wrong with my data? ``checks`` looks before a training; ``shapes`` is the built-in set."""
