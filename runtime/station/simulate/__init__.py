"""``station simulate``: the station of a file with drawn or recorded images, and a small PLC."""
