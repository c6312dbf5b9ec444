// Package keeper is a service manager for one daemon: it holds descriptors, starts the daemon, and starts it again when it dies.
// It does nothing else.
//
//	keeper ── program, LISTEN_FDS: what is in store ──► daemon
//	       ◄── FDSTORE=1, READY=1, WATCHDOG=1, … ──────
//	       ── SIGTERM, SIGHUP, …: passed on ───────────►
//
// A daemon that exits with 0 is done, and so is the keeper. One that dies while nothing is in store could not start: its
// exit code is the keeper's. Any other is replaced, at once if it had been ready, else after a pause that doubles.
//
// The daemon is other programs' memory, and it is only the keeper that can replace it. So a keeper must never wait for what
// is swapped out: it is called after guard.Protect, which locks its memory and makes it an I/O flusher, and faults in all that
// it needs (guard.Warm) before there is swap. It opens no files and writes no log; the daemon does.
//
// Keeper and daemon killed together lose what is swapped out; a keeper that is killed alone leaves a daemon that goes on, and
// that nobody replaces. It then says so.
//
// # Under systemd
//
//	systemd ── LISTEN_FDS ──► keeper ──► daemon, and the next one beside it
//	        ◄── relayed ───── keeper ◄── all that the daemon says, descriptors and barriers too
//
// systemd could keep the daemon without us. But process 1 is itself swapped out, to the daemon, and has no memory set aside to
// start a process with. So the keeper is what the unit starts, and systemd the second line: it has all that is in store, and
// starts another keeper with it when this one dies (the daemon then goes with the rest of the unit), or hands over.
//
// SIGUSR2 from systemd is a restart of the unit: when the daemon hands over to the keeper's program, which is what systemd starts, the
// keeper does so, too; to another program, the keeper stays, and systemd waits on. A daemon that refuses,
// because the program in its place cannot take over, is asked again from time to time: systemd waits until that is mended. So is one
// that refuses to stop, on SIGTERM, because memory has no room for what is swapped out. The last of the two that came counts: who
// would rather go on than stop starts the unit, which systemd keeps for later, and sends SIGUSR2.
package keeper
