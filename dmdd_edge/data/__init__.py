"""Images and data sets: decoding, layouts of folders, preprocessing, masks and image quality."""
