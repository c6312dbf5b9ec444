package swapdev

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// DefaultDir is where records are kept. It is emptied by a boot, like everything that they name.
const DefaultDir = "/run/zswapd"

// RecordVersion is the format written. Clean leaves records of a later version alone.
const RecordVersion = 1

// Record is what a run has made outside of its process. It is rewritten before each step, so it may name
// things that were not made yet.
type Record struct {
	Version int    `json:"version"`
	ID      string `json:"id"`  // 16 hexadecimal digits, random; also the file's name
	Tag     string `json:"tag"` // the name of the loop device and the source of the mount
	Boot    string `json:"boot"`

	// For people. Whether the owner lives is told by its lock, never by these.
	PID     int    `json:"pid"`
	Started uint64 `json:"started"` // clock ticks after boot, field 22 of /proc/PID/stat

	Loop   string `json:"loop,omitempty"`   // device node
	Cgroup string `json:"cgroup,omitempty"` // absolute folder
	Mount  string `json:"mount,omitempty"`  // absolute folder
}

// A Run is the record of a living process: DIR/ID.json, and DIR/ID.lock with an flock(2) held for as long as the
// process lives. Whoever gets that lock knows that the owner is dead, whatever became of its process number.
type Run struct {
	dir  string   // immutable
	lock *os.File // immutable

	mu     sync.Mutex
	record Record // guarded by mu
	closed bool   // guarded by mu
}

// NewRun makes the folder if need be, takes the lock and writes the first record.
func NewRun(dir string) (*Run, error) { return kernel.newRun(dir) }

func (h host) newRun(dir string) (*Run, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("swapdev: state folder: %w", err)
	}
	if err := checkDir(dir); err != nil {
		return nil, err
	}
	var raw [8]byte
	_, _ = rand.Read(raw[:])
	id := hex.EncodeToString(raw[:])
	lock, err := lockRun(dir, id)
	if err != nil {
		return nil, err
	}
	r := &Run{dir: dir, lock: lock, record: Record{
		Version: RecordVersion, ID: id, Tag: "zswapd:" + id, Boot: read(h.boot), PID: os.Getpid(), Started: started(),
	}}
	if err := r.change(func(*Record) {}); err != nil {
		_ = r.Close()
		return nil, err
	}
	return r, nil
}

// ID returns 16 hexadecimal digits that no other run has: part of the names of what it makes.
func (r *Run) ID() string { return r.record.ID }

// Tag returns the run's name for what it makes: the loop device's name and the mount's source.
func (r *Run) Tag() string { return r.record.Tag }

// SetLoop records the loop device that is about to be taken: Options.Intent.
func (r *Run) SetLoop(device string) error { return r.change(func(c *Record) { c.Loop = device }) }

// SetCgroup records the folder of a cgroup that is about to be made: the note of cgroup.CreateNoted. Give the group
// a name with ID in it: what is in a recorded group is killed by Clean.
func (r *Run) SetCgroup(dir string) error { return r.change(func(c *Record) { c.Cgroup = dir }) }

// SetMount records the folder that is about to be mounted on. The mount's source must be Tag.
func (r *Run) SetMount(dir string) error { return r.change(func(c *Record) { c.Mount = dir }) }

// Close removes the record: everything that it names must be undone by then. To leave it for a Clean, exit.
func (r *Run) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	return removeRun(r.dir, r.record.ID, r.lock)
}

// change writes the record anew: whole, under another name, then renamed.
func (r *Run) change(edit func(*Record)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return errors.New("swapdev: the record was removed")
	}
	edit(&r.record)
	text, err := json.MarshalIndent(&r.record, "", "  ")
	if err != nil {
		return err
	}
	path := recordPath(r.dir, r.record.ID)
	if err = os.WriteFile(path+".new", append(text, '\n'), 0o600); err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return fmt.Errorf("swapdev: record: %w", err)
	}
	return nil
}

func recordPath(dir, id string) string { return filepath.Join(dir, id+".json") }
func lockPath(dir, id string) string   { return filepath.Join(dir, id+".lock") }

// errAlive: somebody holds the lock.
var errAlive = errors.New("swapdev: the owner is alive")

// lockRun takes the run's lock without waiting. The file may be removed between open and lock, by a Clean that
// was a moment faster: then the lock is on nothing, and we look again.
func lockRun(dir, id string) (*os.File, error) {
	for {
		f, err := os.OpenFile(lockPath(dir, id), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, fmt.Errorf("swapdev: lock: %w", err)
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			_ = f.Close()
			if errors.Is(err, unix.EWOULDBLOCK) {
				return nil, errAlive
			}
			return nil, fmt.Errorf("swapdev: lock %s: %w", f.Name(), err)
		}
		mine, err1 := f.Stat()
		named, err2 := os.Stat(f.Name())
		if err1 == nil && err2 == nil && os.SameFile(mine, named) {
			return f, nil
		}
		_ = f.Close()
	}
}

// removeRun removes record and lock, in this order, and lets go.
func removeRun(dir, id string, lock *os.File) error {
	var errs []error
	for _, path := range []string{recordPath(dir, id) + ".new", recordPath(dir, id), lockPath(dir, id)} {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, lock.Close())...)
}

// checkDir refuses a folder where others could plant records: Clean acts on them as root.
func checkDir(dir string) error {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return fmt.Errorf("swapdev: state folder %s: %w", dir, err)
	}
	if int(st.Uid) != os.Geteuid() || st.Mode&0o022 != 0 {
		return fmt.Errorf("swapdev: state folder %s (owner %d, mode %o): want it owned by %d and writable by nobody else", dir, st.Uid, st.Mode&0o7777, os.Geteuid())
	}
	return nil
}

// started returns when this process was started, or 0.
func started() uint64 {
	text := read("/proc/self/stat")
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:]) // from field 3 on
	if len(fields) < 20 {
		return 0
	}
	v, _ := strconv.ParseUint(fields[19], 10, 64)
	return v
}
