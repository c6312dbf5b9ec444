package replay

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/zswapd/zswapd/compressor"
	"github.com/zswapd/zswapd/internal/report"
	"github.com/zswapd/zswapd/internal/run"
	"github.com/zswapd/zswapd/internal/swapdev"
	"github.com/zswapd/zswapd/internal/trace"
	"github.com/zswapd/zswapd/zpool"
)

// Options are what the user asked for.
type Options struct {
	File      string
	Codec     string   // of the pool; "": that of the trace
	PoolLimit int64    // bytes; 0: that of the trace, or half of what is free if that is less
	Threads   int      // 1 to MaxThreads
	Recorded  bool     // at the recorded speed, not as fast as may be
	Against   []string // other systems, such as zram:lz4 or pool:zstd

	State string // folder of records of what a run has made; "": none are made, and what a kill leaves stays

	// Progress, if any, is called after each block, on the goroutine of Run.
	Progress func(system string, done float64)
}

// MaxThreads is the most threads of a replay.
const MaxThreads = 64

func usagef(format string, args ...any) error {
	return run.UsageError{Err: fmt.Errorf(format, args...)}
}

// Validate reports every mistake that can be seen without the trace.
func (o *Options) Validate() (err error) {
	if o.Codec != "" {
		if _, e := compressor.New(o.Codec); e != nil {
			err = errors.Join(err, usagef("--codec: %w", e))
		}
	}
	if o.Threads < 1 || o.Threads > MaxThreads {
		err = errors.Join(err, usagef("--threads %d: want 1 to %d", o.Threads, MaxThreads))
	}
	if o.PoolLimit != 0 && o.PoolLimit < zpool.MinBytes {
		err = errors.Join(err, usagef("--pool-limit %s: the pool needs at least %s for its tables", report.Bytes(o.PoolLimit), report.Bytes(zpool.MinBytes)))
	}
	for _, a := range o.Against {
		if _, e := parseSystem(a); e != nil {
			err = errors.Join(err, e)
		}
	}
	return err
}

// systems returns what to measure, our pool first.
func (o *Options) systems(m *trace.Meta) (list []system, err error) {
	codec := o.Codec
	if codec == "" {
		codec = m.Compressor
	}
	available, err := swapdev.MemAvailable()
	if err != nil {
		return nil, fmt.Errorf("how much memory is free: %w", err)
	}
	free := int64(available)
	limit, err := o.limit(m, free)
	if err != nil {
		return nil, err
	}
	for _, text := range slices.Concat([]string{"pool:" + codec}, o.Against) {
		s, err := parseSystem(text)
		if err != nil {
			return nil, err
		}
		s.slots, s.limit, s.state = m.Slots, limit, o.State
		if err := s.available(free); err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

func (o *Options) limit(m *trace.Meta, free int64) (int64, error) {
	if o.PoolLimit == 0 {
		return max(min(m.LimitBytes, free/2), zpool.MinBytes), nil
	}
	if o.PoolLimit > free {
		return 0, usagef("--pool-limit %s: the machine has only %s of memory free", report.Bytes(o.PoolLimit), report.Bytes(free))
	}
	return o.PoolLimit, nil
}

// parseSystem reads pool:CODEC or zram:ALGORITHM.
func parseSystem(text string) (s system, err error) {
	kind, codec, _ := strings.Cut(text, ":")
	switch kind {
	case "pool":
		if _, err := compressor.New(codec); err != nil {
			return s, usagef("%q: %w", text, err)
		}
	case "zram":
		if codec == "" {
			codec = "lz4"
		}
	default:
		return s, usagef("--against %q: want zram:ALGORITHM or pool:CODEC", text)
	}
	return system{kind: kind, codec: codec}, nil
}

// open opens the trace, and tells a file that cannot be one.
func open(path string) (f *os.File, size int64, err error) {
	f, err = os.Open(path)
	if err != nil {
		return nil, 0, usagef("%w", err)
	}
	info, err := f.Stat()
	if err != nil || info.IsDir() {
		return nil, 0, errors.Join(usagef("%s is no trace", path), err, f.Close())
	}
	return f, info.Size(), nil
}
