"""What a person reads: text, commands to copy, suggestions, addresses without secrets, progress, streams."""
