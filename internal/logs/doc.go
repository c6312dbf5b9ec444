// Package logs is the service's log: one line for each event that matters, to the standard error output.
//
//	zap ─► sampled ─► ring of the last events (for control)
//	              └─► line, "<3>" before it if the journal reads it ─► queue ─► writer
//
// Nobody waits for whoever reads the log: it may itself wait for a page that is swapped out to us. A line for which the queue
// has no room is dropped, and counted.
package logs
