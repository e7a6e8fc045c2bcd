"""Where a picture shows what: engines, boxes, routes, places of labels."""
