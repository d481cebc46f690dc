"""What is proven here: no server makes a request of odd bytes into one that gets past the guard.

Real servers run an echo application behind seven guards (none, all paths, some exempt, only some, one that reads the
body, two that verify a time and the raw body), at their root and at a mount point. Raw sockets send the corpora of odd
header lines, request targets and body framings, the walks B1 to B10 of the threat model, and odd times, items and raw
bodies, each with and without a valid signature. For every request:

- the application is never reached without a signature that the client had, save on a path that is exempt letter by
  letter, or that no router would take for a guarded one;
- every place in which an application could read the id holds the one that was verified, and the body is the one that
  was signed, byte for byte, in whichever way it is read;
- every time that an application could read is the one that was signed, together with that id and that body, and it is
  not too old;
- the connection can be used again, or is closed; no server waits without an end;
- no answer of 5xx that the server would not give without a guard, and no exception of the guard in its output.

These are asserted without the golden files. `golden/` has one table for each server: its answer, whether the
application was reached, and whether the connection was kept. A run compares; `ARGS=--write-golden` writes the tables.

Two hundred clients at once, each with their own ids, never get the ids of another client.
"""
