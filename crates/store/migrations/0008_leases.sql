-- Accounts at targets that were made for tasks, until they are known to be gone.
CREATE TABLE leases (
    id TEXT PRIMARY KEY
);
