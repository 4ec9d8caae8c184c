"""What tests of a mesh need and users may use: fakes, clients and servers that are shipped and kept in shape."""
