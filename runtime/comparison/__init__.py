"""Two versions of a bundle on the same images: what each decides, and where they differ."""
