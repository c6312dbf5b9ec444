package sdnotify

import (
	"slices"
	"strings"
)

// Lines that a service sends.
const (
	Ready     = "READY=1"
	Reloading = "RELOADING=1"
	Stopping  = "STOPPING=1"
	Pet       = "WATCHDOG=1"

	fdStore  = "FDSTORE=1"
	fdRemove = "FDSTOREREMOVE=1"
	fdNoPoll = "FDPOLL=0" // or the manager polls it, and drops it when it looks dead
	fdName   = "FDNAME="
	barrier  = "BARRIER=1"

	// Ours: systemd ignores them.
	binary = "X_ZSWAPD_BINARY="
	// WantStandby asks our keeper to have the next daemon ready while this one serves. Prepared is what that says when it is:
	// it then waits for GoOn, a signal.
	WantStandby = "X_ZSWAPD_STANDBY=1"
	Prepared    = "X_ZSWAPD_PREPARED=1"
)

// Status returns the line that tells people how the service is.
func Status(text string) string { return "STATUS=" + strings.ReplaceAll(text, "\n", "; ") }

// Binary returns the line that asks our keeper to start another program the next time.
func Binary(path string) string { return binary + path }

// MaxMessage bounds a message, in bytes, and MaxDescriptors what may come with it.
const (
	MaxMessage     = 4096
	MaxDescriptors = 4
)

// Message is what a service said, for its manager.
type Message struct {
	Ready, Stopping, Pet   bool
	Store, Remove, Barrier bool
	WantStandby, Prepared  bool
	Name                   string // of the descriptors to store or remove
	Status, Binary         string
}

// ParseMessage reads a message. Lines that it does not know are left out, as systemd does.
func ParseMessage(text string) (m Message) {
	lines := strings.Split(text, "\n")
	m.Ready, m.Stopping, m.Pet = slices.Contains(lines, Ready), slices.Contains(lines, Stopping), slices.Contains(lines, Pet)
	m.Store, m.Remove, m.Barrier = slices.Contains(lines, fdStore), slices.Contains(lines, fdRemove), slices.Contains(lines, barrier)
	m.WantStandby, m.Prepared = slices.Contains(lines, WantStandby), slices.Contains(lines, Prepared)
	for _, line := range lines {
		if v, ok := strings.CutPrefix(line, fdName); ok && validName(v) {
			m.Name = v
		}
		if v, ok := strings.CutPrefix(line, "STATUS="); ok {
			m.Status = v
		}
		if v, ok := strings.CutPrefix(line, binary); ok {
			m.Binary = v
		}
	}
	return m
}

// validName accepts what may be a name of a descriptor: ASCII, printable, no colon, 1 to 255 bytes.
func validName(s string) bool {
	if len(s) == 0 || len(s) > 255 {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f || s[i] == ':' {
			return false
		}
	}
	return true
}

// HandOver is the exit code of a service that wants to be started again: it leaves what is in store to its successor. With
// systemd it goes into RestartForceExitStatus=.
const HandOver = 75
