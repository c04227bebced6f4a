"""What stands behind the names of ``import cxlib as cx``, where a room has not the name itself."""
