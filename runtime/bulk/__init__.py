"""Many archived images through a bundle: listed, shared out to processes, written as Parquet."""
