// Package replay does to a pool, or to zram, what a trace says was done to a swap device, and measures it.
//
//	trace ─► blocks of events ─► a player for each thread ─► system: a new pool, or a new zram device
//	                                    │
//	                                    └► times of pages; what each slot must hold, and whether it does
//
// A player has the slots of every n-th 256, and does the events of those in the trace's order, so that each slot's events
// stay in order whatever the threads do. Every 512 events all players meet, and the system's memory is looked at. At full
// speed nothing is read while pages are timed; at the recorded speed blocks are read ahead.
//
// Each load is compared with what was stored there last in this replay, by a 64-bit hash; a slot that holds nothing must
// be zeros. So a gap in the trace makes a replay less faithful, never wrong.
//
// A pool gets pages one by one, as faults come; zram gets the pages of an event in one call, which shows it at its best.
package replay
