"""What ECS refuses and what it fills in: small pure functions that raise ECS's own sentences.

A rule takes the shapes that a caller sent and returns nothing, or raises `ClientException` or
`InvalidParameterException`. `task_definition.register` is the one that RegisterTaskDefinition calls.
"""
