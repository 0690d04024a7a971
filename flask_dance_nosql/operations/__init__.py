"""What operators do with stored tokens: each command of ``flask tokens``, as a function."""
