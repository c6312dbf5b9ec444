package run

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/zswapd/zswapd/compressor"
	"github.com/zswapd/zswapd/internal/report"
	"github.com/zswapd/zswapd/internal/swapdev"
	"github.com/zswapd/zswapd/internal/workload"
	"github.com/zswapd/zswapd/zpool"
)

// Options are what the user asked for.
type Options struct {
	Args       []string // the command; empty: the built-in workload
	Memory     int64    // limit of the command, bytes
	Swap       int64    // size of the swap device, bytes
	PoolLimit  int64    // limit of the pool, bytes; 0: half of the memory that is available, at most Swap
	Compressor string
	ColdCodec  string        // what idle pages are packed with; "none": they stay as they are; "": DefaultColdCodec
	IdleAfter  time.Duration // how long a page is not asked for until it is idle; 0: DefaultIdleAfter
	NoSwap     bool          // the baseline: the limit without us
	Device     Device        // what to swap to
	Priority   int           // of the swap device
	Seed       uint64
	HoldRate   float64 // faults per second from which on CPUs are kept awake; or HoldAuto, HoldOff
	SpinMax    time.Duration
	Transport  string // TransportAuto, TransportDev or TransportURing; "": TransportAuto

	StayAwake   bool   // idle CPUs are kept awake from start to end
	PageCluster *int   // vm.page-cluster meanwhile; nil: as it is
	Record      string // file for a trace of what the device is asked; "": none
	RecordSizes bool   // the trace has the compressed sizes of pages in the place of the pages

	Backing        string        // folder, file or block device that idle pages are written to; "": none
	BackingSize    int64         // bytes of it that are used at most; 0: Swap
	WritebackAfter time.Duration // pages idle for so long are written though there is room; 0: when there is none
	WritebackLimit int64         // bytes written in 24 hours at most; 0: no limit

	State    string    // folder of records of what runs have made
	Self     []string  // how to start this program's workload
	Before   string    // what guard.Protect changed and the command gets back
	Stdout   *os.File  // of the command; nil: ours
	Progress io.Writer // for notes and warnings
	Live     *LiveLine // nil: none

	Work     *workload.Config // the built-in workload; nil: as the limit and Workload say
	Workload string
}

// Values of HoldRate that are no rates.
const (
	HoldOff  = -1 // never
	HoldAuto = -2 // from defaultHoldRate on, if waking a CPU is found to take more than worthHolding
)

// DefaultSpin is what SpinMax should be.
const DefaultSpin = 50 * time.Microsecond

// What ColdCodec and IdleAfter should be.
const (
	DefaultColdCodec = "zstd"
	DefaultIdleAfter = 10 * time.Second
)

// Values of Transport: how requests for pages come to us.
const (
	TransportAuto  = "auto"  // what was measured to be faster: read and write, see ARCHITECTURE
	TransportDev   = "dev"   // by read and write on /dev/fuse
	TransportURing = "uring" // over io_uring; if the kernel does not offer it, a note says so
)

const (
	defaultHoldRate = 200
	worthHolding    = 10 * time.Microsecond
)

const (
	minIdleAfter = 100 * time.Millisecond

	minMemory = 8 << 20
	minSwap   = 1 << 20
	// minBacking is the smallest backing file; backingFree is what its file system keeps.
	minBacking  = 16 << 20
	backingFree = 512 << 20
	maxSwap     = int64(zpool.MaxSlots) * zpool.PageSize
)

// UsageError is a mistake of the user's, as opposed to a lack of the machine's.
type UsageError struct{ Err error }

func (e UsageError) Error() string { return e.Err.Error() }
func (e UsageError) Unwrap() error { return e.Err }

func usagef(format string, args ...any) error { return UsageError{fmt.Errorf(format, args...)} }

// Complete fills in what follows from the machine, and reports every mistake at once.
func (o *Options) Complete() error {
	var errs []error
	check := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, usagef(format, args...))
		}
	}
	check(o.Memory < minMemory, "--memory %s: no program works in less than %s; give it more", report.Bytes(o.Memory), report.Bytes(minMemory))
	check(!o.NoSwap && (o.Swap < minSwap || o.Swap > maxSwap), "--swap %s: want %s to %s", report.Bytes(o.Swap), report.Bytes(minSwap), report.Bytes(maxSwap))
	check(o.PoolLimit != 0 && o.PoolLimit < zpool.MinBytes, "--pool-limit %s: the pool needs at least %s for its tables", report.Bytes(o.PoolLimit), report.Bytes(zpool.MinBytes))
	o.Workload = cmp.Or(o.Workload, workload.Random)
	_, err := workload.Default().Named(o.Workload)
	check(err != nil, "--workload: %w", err)
	if len(o.Args) == 0 && o.Work == nil && !o.NoSwap && errs == nil {
		need := workloadOf(o).Bytes
		check(need > o.Swap, "--swap %s: the built-in workload fills four times --memory, and wants %s", report.Bytes(o.Swap), report.Bytes(need))
		check(o.Workload == workload.Fork && os.Geteuid() != 0, "--workload %s: it needs real swap, and that needs root; run it with sudo", o.Workload)
	}
	check(o.Priority < 0 || o.Priority > swapdev.MaxPriority, "--priority %d: want 0 to %d", o.Priority, swapdev.MaxPriority)
	check(!slices.Contains([]string{"", TransportAuto, TransportDev, TransportURing}, o.Transport), "--transport %q: want auto, dev or uring", o.Transport)
	if _, err := compressor.New(o.Compressor); err != nil {
		errs = append(errs, usagef("--compressor: %w", err))
	}
	o.ColdCodec, o.IdleAfter = cmp.Or(o.ColdCodec, DefaultColdCodec), cmp.Or(o.IdleAfter, DefaultIdleAfter)
	if _, err := compressor.Canonical(o.ColdCodec); err != nil {
		errs = append(errs, usagef("--cold-codec: %w", err))
	}
	check(o.IdleAfter < minIdleAfter, "--idle-after %v: want at least %v", o.IdleAfter, minIdleAfter)
	if o.Record != "" {
		_, err := os.Lstat(o.Record)
		check(o.NoSwap, "--record: there is nothing to record with --no-swap")
		check(err == nil, "--record %s: the file exists; a trace is never written over one", o.Record)
	}
	check(o.RecordSizes && o.Record == "", "--record-sizes: say where to with --record FILE")
	check(o.Backing != "" && (o.NoSwap || !o.Device.ours()), "--backing: there is no pool to write back from")
	if o.Backing != "" {
		_, err := os.Stat(filepath.Dir(o.Backing))
		check(err != nil, "--backing %s: there is no folder for it: %w", o.Backing, err)
	}
	check(o.Backing == "" && (o.BackingSize != 0 || o.WritebackAfter != 0 || o.WritebackLimit != 0),
		"--backing-size, --writeback-after, --writeback-limit: say where to with --backing FILE or a folder")
	check(o.WritebackAfter < 0, "--writeback-after %v: want 0 or more", o.WritebackAfter)
	check(o.BackingSize != 0 && o.BackingSize < minBacking, "--backing-size %s: want at least %s", report.Bytes(o.BackingSize), report.Bytes(minBacking))
	if len(o.Args) > 0 {
		if _, err := exec.LookPath(o.Args[0]); err != nil {
			errs = append(errs, usagef("cannot run %q: %w; give a program's path or a name in $PATH", o.Args[0], errors.Unwrap(err)))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	o.Swap = o.Swap / zpool.PageSize * zpool.PageSize
	return o.completePoolLimit()
}

// completePoolLimit makes sure that pool and command together fit what the machine has free.
func (o *Options) completePoolLimit() error {
	if o.NoSwap || !o.Device.ours() {
		return nil
	}
	free, err := swapdev.MemAvailable()
	if err != nil {
		return fmt.Errorf("how much memory is free: %w", err)
	}
	if o.PoolLimit == 0 {
		o.PoolLimit = max(min(int64(free)/2, o.Swap), zpool.MinBytes)
	}
	if need := o.PoolLimit + min(o.Memory, int64(free)/4); need > int64(free) {
		return usagef("--pool-limit %s: the machine has only %s of memory free; take less than %s",
			report.Bytes(o.PoolLimit), report.Bytes(int64(free)), report.Bytes(int64(free)-min(o.Memory, int64(free)/4)))
	}
	return nil
}
