"""What a picture shows: nodes, edges, labels, groups."""
