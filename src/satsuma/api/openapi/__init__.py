"""The OpenAPI 3.1 document: put together from the schemas that validate and the table of errors."""
