// Package sdnotify is what a service and its manager say to each other, in systemd's words: sd_notify(3),
// sd_listen_fds(3), sd_watchdog_enabled(3).
//
//	service ── datagram: "READY=1", "FDSTORE=1" with a descriptor, … ──► manager: systemd, or our own keeper
//	service ◄── environment and descriptors from 3 on, when it is started ── manager
//
// A descriptor that the manager has in store outlives the service, and is handed to the next one. Both sides are here, so
// that they agree; the manager's own work is package keeper's.
//
// Nothing here is on the path of a page. Store, Remove and Barrier wait for the manager; Notify never does.
package sdnotify
