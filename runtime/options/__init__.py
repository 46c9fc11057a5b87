"""Options of the runtime's commands; nothing here loads OpenCV, numpy or a backend."""
