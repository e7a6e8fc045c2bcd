"""What an op is: its rules, its attributes, indexing keys, and Jacobians that know their structure."""
