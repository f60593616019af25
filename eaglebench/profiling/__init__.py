"""What models cost in memory, time and operations: estimated without weights (estimate/), and measured (bench/)."""
