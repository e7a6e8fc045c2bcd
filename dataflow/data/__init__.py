"""Tables and arrays from files, prepared for inputs; results on their way out."""
