package swapdev

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// DefaultDir is where records are kept. It is emptied by a boot, like everything that they name.
const DefaultDir = "/run/zswapd"

// RecordVersion is the format written. Clean leaves records of a later version alone.
const RecordVersion = 3

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
	File   string `json:"file,omitempty"`   // swap file, absolute
	ZRAM   string `json:"zram,omitempty"`   // device node
	UBLK   string `json:"ublk,omitempty"`   // device node

	// ZRAMSequence is the number that no other device of this boot has; 0 before Linux 5.15.
	ZRAMSequence uint64 `json:"zram_sequence,omitempty"`

	PageCluster Sysctl `json:"page_cluster,omitzero"`
	Swappiness  Sysctl `json:"swappiness,omitzero"`
}

// A Run is the record of a living process: DIR/ID.json, and DIR/ID.lock with an flock(2) held for as long as the
// process lives. Whoever gets that lock knows that the owner is dead, whatever became of its process number, and that
// nobody keeps what it made for a successor.
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
	if err := CheckDir(dir); err != nil {
		return nil, err
	}
	var raw [8]byte
	var id string
	var lock *os.File
	err := errAlive
	for errors.Is(err, errAlive) { // another one's Clean has found the new file before it was locked
		_, _ = rand.Read(raw[:])
		id = hex.EncodeToString(raw[:])
		lock, err = lockRun(dir, id)
	}
	if err != nil {
		return nil, err
	}
	r := &Run{dir: dir, lock: lock, record: Record{
		Version: RecordVersion, ID: id, Tag: tagOf(id), Boot: read(h.boot), PID: os.Getpid(), Started: started(),
	}}
	if err := r.change(func(*Record) {}); err != nil {
		_ = r.Close()
		return nil, err
	}
	return r, nil
}

// ID returns 16 hexadecimal digits that no other run has: part of the names of what it makes.
func (r *Run) ID() string { return r.record.ID }

// Record returns what is recorded now.
func (r *Run) Record() Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.record
}

// Lock returns the descriptor that holds the lock, which stays the Run's. A copy of it, in whatever process, keeps the
// run alive for Clean after its owner has died, until a successor is given a copy for Resume.
func (r *Run) Lock() int { return int(r.lock.Fd()) }

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

// parseRecord reads the record of a run. It refuses one of a version that we do not know, of another run, or with a tag that
// is not the run's: Clean would act on it.
func parseRecord(text []byte, id string) (r Record, err error) {
	if err := json.Unmarshal(text, &r); err != nil {
		return Record{}, err
	}
	if r.ID != id || r.Tag != tagOf(id) || r.Version < 1 || r.Version > RecordVersion {
		return Record{}, fmt.Errorf("no record of version 1 to %d of run %s", RecordVersion, id)
	}
	return r, nil
}

// tagOf returns the tag of a run.
func tagOf(id string) string { return "zswapd:" + id }

// Release lets go of the record and leaves it as it is: it is alive as long as somebody has a copy of the lock.
func (r *Run) Release() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	return r.lock.Close()
}

// change writes the record anew. If that fails, nothing has changed.
func (r *Run) change(edit func(*Record)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return errors.New("swapdev: the record was removed")
	}
	next := r.record
	edit(&next)
	err := r.write(&next)
	if err == nil {
		r.record = next
	}
	return err
}

// copyBytes is what the copy of a record takes at least, from the start: so that a change needs no memory.
const copyBytes = 4096

// write puts a record into the folder, and before that a copy into the lock's file: for a successor, who has that file open, where
// somebody has removed both. Then there is only the copy from now on: without the lock Clean would take the record for a dead run's.
func (r *Run) write(next *Record) error {
	text, err := json.Marshal(next)
	if err != nil {
		return err
	}
	text = append(text, bytes.Repeat([]byte{' '}, max(copyBytes-len(text), 0))...)
	if _, err = r.lock.WriteAt(text, 0); err != nil {
		return fmt.Errorf("swapdev: copy of the record: %w", err)
	}
	if !isNamed(r.lock, lockPath(r.dir, next.ID)) {
		return nil
	}
	return writeRecord(r.dir, next)
}

// writeRecord replaces a record in one step, for who holds its lock: whole, under another name, then renamed.
func writeRecord(dir string, r *Record) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	path := recordPath(dir, r.ID)
	if err = os.WriteFile(path+".new", append(text, '\n'), 0o600); err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return fmt.Errorf("swapdev: record: %w", err)
	}
	return nil
}

// readRecord reads the record of a run. os.ErrNotExist: there is none.
func readRecord(dir, id string) (r Record, err error) {
	text, err := os.ReadFile(recordPath(dir, id))
	if err != nil {
		return r, err
	}
	return parseRecord(text, id)
}

func recordPath(dir, id string) string { return filepath.Join(dir, id+".json") }
func lockPath(dir, id string) string   { return filepath.Join(dir, id+".lock") }

// errAlive: somebody holds the lock.
var errAlive = errors.New("swapdev: the owner is alive")
