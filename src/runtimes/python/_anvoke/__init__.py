"""What runs inside the sandbox beside a Python function."""
