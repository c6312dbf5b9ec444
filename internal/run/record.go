package run

import (
	"fmt"
	"os"

	"github.com/zswapd/zswapd/internal/fuse"
	"github.com/zswapd/zswapd/internal/machine"
	"github.com/zswapd/zswapd/internal/report"
	"github.com/zswapd/zswapd/internal/trace"
	"github.com/zswapd/zswapd/zpool"
)

// recording is the trace of a run; nil if none was asked for.
type recording struct {
	file string
	r    *trace.Recorder // nil when it has ended
}

func startRecording(o *Options) (*recording, error) {
	if o.Record == "" {
		return nil, nil
	}
	command := o.Args
	if len(command) == 0 {
		command = []string{"the built-in workload"}
	}
	r, err := trace.Create(o.Record, trace.Meta{
		Command: command, Slots: uint64(o.Swap / zpool.PageSize), Compressor: o.Compressor, LimitBytes: o.PoolLimit,
		Pages: !o.RecordSizes, Machine: machine.Describe(),
	})
	if err != nil {
		return nil, usagef("--record: %w", err)
	}
	return &recording{file: o.Record, r: r}, nil
}

// wrap returns what records each thread that serves, nil for nothing.
func (c *recording) wrap() func(fuse.Store) fuse.Store {
	if c == nil {
		return nil
	}
	return func(s fuse.Store) fuse.Store { return c.r.Wrap(s) }
}

// around returns a worker that is recorded.
func (c *recording) around(w *zpool.Worker) trace.Pool {
	if c == nil {
		return w
	}
	return c.r.Wrap(w)
}

// finish ends the recording with the command: what the kernel brings back afterwards is not its doing.
func (c *recording) finish(o *Options) *report.Trace {
	if c == nil {
		return nil
	}
	s, err := c.r.Close()
	c.r = nil
	t := &report.Trace{
		File: c.file, Bytes: s.Bytes, Events: s.Events, Stored: s.Stored, Loaded: s.Loaded, Invalidated: s.Invalidated,
		LostEvents: s.Lost.Events, LostPages: s.Lost.Stored + s.Lost.Loaded,
	}
	if err != nil {
		t.Error = err.Error()
		o.note("the trace is cut off: %v", err)
	}
	return t
}

// discard removes the trace of a command that did not run.
func (c *recording) discard() error {
	if c == nil || c.r == nil {
		return nil
	}
	_, _ = c.r.Close()
	c.r = nil
	if err := os.Remove(c.file); err != nil {
		return fmt.Errorf("--record: %w", err)
	}
	return nil
}
