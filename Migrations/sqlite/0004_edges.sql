-- Edges as processes of their own exist on Postgres only: here there is the one inside of the server.

CREATE TABLE edges (
    edge INTEGER PRIMARY KEY CHECK (edge > 0),
    name TEXT NOT NULL UNIQUE
);

INSERT INTO edges (edge, name) VALUES (1, 'embedded');
