"""Several machines that Ray makes a cluster: the connection, its nodes, and what all sides write to.

Ray is imported when a cluster is wanted, and by nothing before.
"""
