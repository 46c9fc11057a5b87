"""Large images: what tiles find that a stretched image loses, what joining leaves, which score decides."""
