"""What is said to the vendor's models, and what their answers mean. Pure."""
