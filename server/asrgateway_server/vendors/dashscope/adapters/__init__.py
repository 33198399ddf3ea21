"""What is sent to the vendor's models, and what their answers mean. Pure."""
