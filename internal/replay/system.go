package replay

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/zswapd/zswapd/internal/report"
	"github.com/zswapd/zswapd/internal/trace"
	"github.com/zswapd/zswapd/internal/zram"
	"github.com/zswapd/zswapd/zpool"
	"github.com/zswapd/zswapd/zsmalloc"
)

// system says what pages are stored in.
type system struct {
	kind, codec string
	slots       uint64
	limit       int64  // bytes; pools only
	state       string // folder of records; "": none are made
}

func (s system) String() string { return s.kind + ":" + s.codec }

// available reports whether the machine has such a system, and memory for it before the first page: better now than after the others
// were measured. free is the machine's.
func (s system) available(free int64) error {
	if s.kind != "zram" {
		return nil
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("--against %v needs root: run it with sudo, or without --against", s)
	}
	if table := int64(s.slots) * zram.SlotBytes; table > free/2 {
		return fmt.Errorf("%v: its table of %s slots, which the trace's device had, takes %s, and the machine has %s of memory free",
			s, report.Count(s.slots), report.Bytes(table), report.Bytes(free))
	}
	list, err := zram.Algorithms()
	if err != nil {
		return fmt.Errorf("%v: %w", s, err)
	}
	if !slices.Contains(list, s.codec) {
		return usagef("--against %v: the kernel's zram has %s", s, strings.Join(list, ", "))
	}
	return nil
}

// target is a system that is there. close removes it.
type target interface {
	worker() trace.Pool // one thread's way in
	batch() uint64      // pages that one call carries at most
	memory() (Memory, error)
	close() error
}

// Memory is what a system holds and takes at one moment.
type Memory struct {
	StoredPages         int64 `json:"stored_pages"`
	SameFilledPages     int64 `json:"same_filled_pages"`
	IncompressiblePages int64 `json:"incompressible_pages"`
	CompressedBytes     int64 `json:"compressed_bytes"`
	MemoryBytes         int64 `json:"memory_bytes"` // all that the system takes for the pages
}

// Ratio returns the bytes of the pages over all memory taken for them.
func (m *Memory) Ratio() float64 {
	if m.MemoryBytes == 0 {
		return 0
	}
	return float64(m.StoredPages*zpool.PageSize) / float64(m.MemoryBytes)
}

func (s system) open() (target, error) {
	if s.kind == "zram" {
		d, err := zram.CreateRecorded(s.state, s.codec, int64(s.slots)*zram.PageSize)
		if err != nil {
			return nil, err
		}
		return zramTarget{d}, nil
	}
	p, err := zpool.New(zpool.Options{Slots: s.slots, MaxBytes: s.limit, Compressor: s.codec, Compactor: &zsmalloc.CompactorOptions{}})
	if err != nil {
		return nil, err
	}
	return poolTarget{p}, nil
}

type poolTarget struct{ p *zpool.Pool }

func (t poolTarget) worker() trace.Pool { return t.p.NewWorker() }
func (t poolTarget) batch() uint64      { return 1 }
func (t poolTarget) close() error       { return t.p.Close() }
func (t poolTarget) memory() (Memory, error) {
	s := t.p.Stats()
	return Memory{s.StoredPages, s.SameFilledPages, s.IncompressiblePages, s.CompressedBytes, s.MemoryBytes}, nil
}

// zramTarget is also each thread's way in: the kernel takes calls of any number.
type zramTarget struct{ d *zram.Device }

func (t zramTarget) worker() trace.Pool { return t }
func (t zramTarget) batch() uint64      { return trace.MaxRun }
func (t zramTarget) close() error       { return t.d.Remove() }

func (t zramTarget) memory() (Memory, error) {
	s, err := t.d.Stats()
	if err != nil {
		return Memory{}, err
	}
	return Memory{s.OrigDataSize / zram.PageSize, s.SamePages, s.HugePages, s.ComprDataSize, s.MemoryBytes()}, nil
}

func (t zramTarget) Load(first uint64, dst []byte) error  { return t.d.ReadPages(int64(first), dst) }
func (t zramTarget) Store(first uint64, src []byte) error { return t.d.WritePages(int64(first), src) }
func (t zramTarget) Invalidate(first, n uint64) error {
	if err := t.d.Discard(int64(first), int64(n)); err != nil {
		return fmt.Errorf("discard: %w", err)
	}
	return nil
}
