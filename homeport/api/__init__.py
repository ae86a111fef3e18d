"""Who asked: the AWS front door. Handlers validate, write desired state and return; control notices."""
