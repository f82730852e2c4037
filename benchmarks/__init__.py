"""What a user pays, measured beside what they would pick instead. ``python -m benchmarks`` runs everything."""
