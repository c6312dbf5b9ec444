// Package control is how people and programs ask a running daemon what it does, and tell it what to do: HTTP with JSON on
// a Unix socket.
//
//	zswapd status, top, … ─► Client ─► /run/zswapd/control.sock ─► Server ─► Daemon (internal/serve)
//	Prometheus, curl ──────────────────────┘
//
// A Daemon gives Info, what it is, and Stats, plain counters; Status, what a person wants to know, is made from the two.
// Paths begin with /v1; fields are added to what they answer, none is removed or renamed. /v1/openapi.json describes them
// all.
//
// # Who may do what
//
// Who may open the socket may read: its owner, and its group if it has one. What changes something is for root and the
// daemon's own user; the kernel says who is at the other end (SO_PEERCRED), as it was when the connection was made.
//
// # What a client can do to the daemon
//
// Nothing here is on the path of a page. But a Go process is one heap: a request that made it grow while the machine has no
// memory would hold up everything. So all of it is bounded: connections in all and for each user, requests at a time, the
// size of a request, and the time that each part of it may take; see the constants in server.go. Root has connections of
// its own, which others cannot use up.
package control
