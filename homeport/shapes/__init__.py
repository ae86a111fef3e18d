"""What AWS says: value types, errors and operations, generated from botocore's service models. Never edited by hand."""
