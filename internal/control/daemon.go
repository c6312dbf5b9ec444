package control

import (
	"context"
	"errors"
	"time"
)

// Daemon is what a Server speaks for. All methods may be called concurrently, also while the daemon is stopping. Info,
// Stats, Settings and Events take microseconds, never wait for slow work, and are called several times a second.
//
// The others change something. They give up when ctx ends, with what was done until then. Their errors reach the client:
// wrap ErrInvalid, ErrRefused or ErrUnsupported where that is what it is; any other is a failure of the daemon's.
type Daemon interface {
	Info() Info
	Stats() Stats
	Settings() []Setting
	Events() []Event // the last ones worth a line in a log, the oldest first

	// Compact makes steps of compaction until nothing is left to do.
	Compact(ctx context.Context) (Work, error)
	// Age makes all pages one generation older, and lets what falls due, such as recompression, begin.
	Age(ctx context.Context) (Work, error)
	// WriteBack writes at most so many bytes of the coldest pages to the backing file; 0: all that is idle.
	WriteBack(ctx context.Context, bytes int64) (Work, error)

	// Drain begins to turn swap off, and returns; the daemon goes on without it. If memory has no room for what comes
	// back it is refused with the numbers, unless forced. Info and Stats tell how far it is.
	Drain(ctx context.Context, force bool) error
	// Stop is Drain, and then the end of the daemon.
	Stop(ctx context.Context, force bool) error

	// Reload reads the configuration again, and applies what can change live. One that is broken changes nothing.
	Reload(ctx context.Context) ([]Change, error)
	// Set changes one setting, one that can change live, until the configuration is read again.
	Set(ctx context.Context, key, value string) (Change, error)

	// Upgrade begins to hand over to another program, or to the same anew if it is "": swap stays on. One that cannot
	// read the store is refused.
	Upgrade(ctx context.Context, program string) error
}

// What a change can end in, beside success and failure.
var (
	// ErrInvalid: the request makes no sense: no such setting, no such value.
	ErrInvalid = errors.New("invalid")
	// ErrRefused: it makes sense, but not now: no room, already stopping.
	ErrRefused = errors.New("refused")
	// ErrUnsupported: this daemon does not have that: no backing file, no tiers.
	ErrUnsupported = errors.New("not supported")
)

// States of a daemon.
const (
	StateStarting = "starting" // not serving yet: it opens or adopts the store
	StateServing  = "serving"
	StateDraining = "draining" // swap is being turned off; pages come back
	StateDrained  = "drained"  // swap is off, the daemon is still there
	StateStopping = "stopping" // as draining, and then it ends
	StateFailing  = "failing"  // something is wrong that needs a person: see Info.Problems
)

// Info says what a daemon is and what it runs on. It changes seldom.
type Info struct {
	Version string    `json:"version"`
	PID     int       `json:"pid"`
	Keeper  int       `json:"keeper_pid"` // that replaces it; 0: there is none of ours
	State   string    `json:"state"`
	Started time.Time `json:"started"` // this process
	// Since is when the store was made: a daemon that was restarted goes on with the store of its predecessor.
	Since    time.Time `json:"since"`
	Restarts uint64    `json:"restarts"` // that the store survived, whatever their reason

	Door Door `json:"door"`
	// Compressor compresses new pages.
	Compressor string   `json:"compressor"`
	RAMBytes   int64    `json:"ram_bytes"` // of the machine
	CPUs       int      `json:"cpus"`
	Problems   []string `json:"problems"` // what went wrong, a line each
	Warnings   []string `json:"warnings"` // what could be better, a line each
}

// Door is the way from the kernel to the pool.
type Door struct {
	Kind      string `json:"kind"`       // fuse, ublk
	Why       string `json:"why"`        // it was chosen
	Device    string `json:"device"`     // the swap device; "" when swap is off
	SizeBytes int64  `json:"size_bytes"` // of the swap device
	Priority  int    `json:"priority"`
}

// Setting is one setting in force.
type Setting struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Origin string `json:"origin"` // "default", FILE:LINE, or who set it, in words
	Live   bool   `json:"live"`   // can be changed without a restart
	Needs  string `json:"needs"`  // what a change needs: "live", "restart" or "stop and start"
}

// Change is what became of a setting.
type Change struct {
	Key     string `json:"key"`
	Old     string `json:"old"`
	New     string `json:"new"`
	Applied bool   `json:"applied"` // false: it takes a restart, if there is no problem
	Problem string `json:"problem"` // why it could not be applied; "": none
	Needs   string `json:"needs"`   // what it takes if it was not applied: "restart" or "stop and start"; else ""
}

// Levels of events.
const (
	LevelInfo  = "info"
	LevelWarn  = "warn"
	LevelError = "error"
)

// Event is something that was worth a line in a log.
type Event struct {
	Time    time.Time `json:"time"`
	Level   string    `json:"level"`
	Message string    `json:"message"`
}

// Work is what one call of Compact, Age or WriteBack did.
type Work struct {
	Pages      uint64 `json:"pages"`       // moved, packed, or written
	FreedBytes int64  `json:"freed_bytes"` // of memory
	More       bool   `json:"more"`        // it was cut short, and there is more to do
}
