// Package controltest gives tests a daemon to ask: a real pool in the test's process, with pages that come and go.
package controltest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/zswapd/zswapd/internal/control"
	"github.com/zswapd/zswapd/internal/pagegen"
	"github.com/zswapd/zswapd/zpool"
)

// RAMBytes is what the daemon says of its machine.
const RAMBytes = 1 << 30

// Daemon is a pool with traffic. It has no backing file, and no swap: Drain and Stop only change its state.
type Daemon struct {
	Pool *zpool.Pool

	worker *zpool.Worker
	source *pagegen.Source
	slots  uint64

	mu       sync.Mutex // guards what follows, and the worker
	state    string
	problems []string
	started  time.Time
	events   []control.Event
	random   *rand.Rand
}

// New makes a daemon whose pool has so many slots and takes so many bytes at most; both end with the test, checked.
func New(t testing.TB, slots uint64, limitBytes int64) *Daemon {
	t.Helper()
	p, err := zpool.New(zpool.Options{Slots: slots, MaxBytes: limitBytes, CeilingBytes: 16 * limitBytes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Check(); err != nil {
			t.Error(err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return &Daemon{
		Pool: p, worker: p.NewWorker(), source: &pagegen.Source{Mix: pagegen.Typical, Seed: 1}, slots: slots,
		state: control.StateServing, started: time.Now().Add(-time.Hour), random: rand.New(rand.NewPCG(1, 1)),
	}
}

// Traffic stores, loads and forgets n pages each, at random.
func (d *Daemon) Traffic(t testing.TB, n int) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	page, back := make([]byte, zpool.PageSize), make([]byte, zpool.PageSize)
	for range n {
		slot := d.random.Uint64N(d.slots)
		d.source.Fill(page, slot, 0)
		if err := d.worker.Store(slot, page); err != nil { // full: it is counted
			continue
		}
		if err := d.worker.Load(slot, back); err != nil || string(back) != string(page) {
			t.Fatalf("slot %d: %v", slot, err)
		}
		if err := d.worker.Invalidate(d.random.Uint64N(d.slots), 1); err != nil {
			t.Fatal(err)
		}
	}
}

// Trouble gives the daemon problems to tell of.
func (d *Daemon) Trouble(problems ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.problems = problems
}

// Info says what it is.
func (d *Daemon) Info() control.Info {
	d.mu.Lock()
	defer d.mu.Unlock()
	return control.Info{
		Version: "test", PID: os.Getpid(), State: d.state, Started: d.started, Since: d.started.Add(-49 * time.Hour), Restarts: 3,
		Door:       control.Door{Kind: "fuse", Why: "it is a test", Device: "/dev/loop9", SizeBytes: int64(d.slots) * zpool.PageSize, Priority: 100},
		Compressor: d.Pool.Compressor(), RAMBytes: RAMBytes, CPUs: 2, Problems: d.problems,
	}
}

// Stats adds up.
func (d *Daemon) Stats() control.Stats {
	s := d.Pool.Stats()
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage) // it fails for bad arguments only
	return control.Stats{
		StoredPages: s.StoredPages, SameFilledPages: s.SameFilledPages, IncompressiblePages: s.IncompressiblePages,
		CompressedBytes: s.CompressedBytes, MemoryBytes: s.MemoryBytes, PeakMemoryBytes: s.PeakMemoryBytes,
		LimitBytes: s.LimitBytes, Full: d.Pool.Full(), SwapBytes: s.StoredPages * zpool.PageSize,
		Tiers: []control.Tier{{Name: "fast", Codec: d.Pool.Compressor(), Pages: s.StoredPages - s.SameFilledPages,
			CompressedBytes: s.CompressedBytes}},
		Stores: s.Stores, Loads: s.Loads, Invalidated: s.Invalidated, PoolLimitHit: s.PoolLimitHit,
		Rejected: map[string]uint64{"full": s.RejectedFull, "alloc_fail": s.RejectedAllocFail},
		Corrupt:  s.Corrupt, PagesCompacted: s.PagesCompacted, ObjectsMigrated: s.ObjectsMigrated,
		Store: s.StoreTime, Load: s.LoadTime, Fault: s.LoadTime, CompactionPause: s.CompactionPause,
		UserCPU: time.Duration(usage.Utime.Nano()), SystemCPU: time.Duration(usage.Stime.Nano()), OwnBytes: 14 << 20,
	}
}

// Settings are the limit of the pool, and the compressor, which takes a restart.
func (d *Daemon) Settings() []control.Setting {
	return []control.Setting{
		{Key: "pool.limit", Value: fmt.Sprint(d.Pool.Stats().LimitBytes), Origin: "default", Live: true, Needs: "live"},
		{Key: "pool.compressor", Value: d.Pool.Compressor(), Origin: "/etc/zswapd.toml:3", Needs: "restart"},
	}
}

// Events are the changes of its state.
func (d *Daemon) Events() []control.Event {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.events
}

// Compact compacts.
func (d *Daemon) Compact(ctx context.Context) (w control.Work, err error) {
	for more := true; more; {
		if ctx.Err() != nil {
			w.More = true
			return w, nil
		}
		c, again := d.Pool.Compact(64 << 10)
		w.Pages += uint64(c.Objects)
		w.FreedBytes += int64(c.Frames) * zpool.PageSize
		more = again
	}
	return w, nil
}

// Age is not for this pool.
func (d *Daemon) Age(context.Context) (control.Work, error) {
	return control.Work{}, fmt.Errorf("aging: %w: there is one tier", control.ErrUnsupported)
}

// WriteBack has nowhere to write to.
func (d *Daemon) WriteBack(context.Context, int64) (control.Work, error) {
	return control.Work{}, fmt.Errorf("writeback: %w: there is no backing file", control.ErrUnsupported)
}

// Drain is refused unless forced.
func (d *Daemon) Drain(_ context.Context, force bool) error {
	return d.end(control.StateDraining, force)
}

// Stop is refused unless forced.
func (d *Daemon) Stop(_ context.Context, force bool) error {
	return d.end(control.StateStopping, force)
}

func (d *Daemon) end(state string, force bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !force {
		return fmt.Errorf("%w: 5.6 GiB are to come back, 1.0 GiB is free", control.ErrRefused)
	}
	d.state = state
	d.events = append(d.events, control.Event{Time: time.Now(), Level: control.LevelInfo, Message: "now " + state})
	return nil
}

// Reload finds the file broken.
func (d *Daemon) Reload(context.Context) ([]control.Change, error) {
	return nil, fmt.Errorf("%w: /etc/zswapd.toml:7: pool.limit = -1", control.ErrInvalid)
}

// Upgrade has nobody to hand over to.
func (d *Daemon) Upgrade(_ context.Context, program string) error {
	return fmt.Errorf("%w: %q cannot read the store", control.ErrRefused, program)
}

// Set sets the limit of the pool.
func (d *Daemon) Set(_ context.Context, key, value string) (control.Change, error) {
	c := control.Change{Key: key, New: value, Applied: true}
	n, err := strconv.ParseInt(value, 10, 64)
	if key != "pool.limit" || err != nil {
		return c, fmt.Errorf("%w: %s = %q", control.ErrInvalid, key, value)
	}
	c.Old = fmt.Sprint(d.Pool.Stats().LimitBytes)
	if err := d.Pool.SetMaxBytes(n); err != nil {
		return c, fmt.Errorf("%w: %s = %q: %w", control.ErrInvalid, key, value, err)
	}
	return c, nil
}
