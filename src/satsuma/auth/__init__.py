"""API tokens: made, hashed, scoped to an account, revoked, checked."""
