"""What looks at runs from outside: results, benchmarks."""
