package serve

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zswapd/zswapd/internal/control"
	"github.com/zswapd/zswapd/internal/metrics"
)

// controls is the daemon as clients of the socket see it. What belongs to the loop comes from what it has published, and what
// changes something is an order to it.
type controls struct {
	d       *Daemon
	servers []*control.Server
	told    atomic.Pointer[told]
	ended   chan struct{} // closed when no more orders are taken

	gate    sync.RWMutex // held while the pool is worked on; closed for good before it is
	closing atomic.Bool
}

// told is what the loop has last published.
type told struct {
	info     control.Info // but for the state
	settings []control.Setting
}

// startControl answers on the socket. That it cannot is no reason not to serve swap.
func (d *Daemon) startControl() {
	d.controls = &controls{d: d, ended: make(chan struct{})}
	c := d.controls
	c.publish()
	log := func(msg string) { d.log.Error(msg) }
	keep := func(s *control.Server, err error) {
		if err != nil {
			d.log.Warn(err.Error())
			return
		}
		c.servers = append(c.servers, s)
	}
	keep(control.Start(c, control.Options{
		Path: d.config.Control.Socket, Group: d.config.Control.Group, Metrics: metrics.Handler(c), Log: log,
	}))
	if addr := d.config.Metrics.Listen; addr != "" {
		keep(control.StartMetrics(addr, metrics.Handler(c), log))
	}
}

// publish tells clients what the loop knows. Called by the loop.
func (c *controls) publish() {
	if c == nil {
		return
	}
	d, was := c.d, &c.d.saved.now
	t := &told{info: control.Info{
		Version: d.o.Version, PID: d.o.pid(), Started: began, Since: was.Since, Restarts: was.Restarts,
		Door:       control.Door{Kind: was.Door, Why: d.why, Device: d.door.Device(), SizeBytes: was.Size, Priority: was.Priority},
		Compressor: d.pool.Compressor(), RAMBytes: d.config.RAM(), CPUs: runtime.NumCPU(),
		Problems: d.problems, Warnings: d.warnings(),
	}}
	for _, s := range d.config.Settings() {
		value := s.Value
		if inForce, ok := d.pending[s.Key]; ok {
			value = inForce
		}
		t.settings = append(t.settings, control.Setting{Key: s.Key, Value: value, Origin: s.From.String(), Live: live[s.Key] != nil})
	}
	c.told.Store(t)
}

// withdraw removes the socket and keeps everybody from the pool, which is about to be closed. Called by the loop.
func (c *controls) withdraw() (err error) {
	if c == nil {
		return nil
	}
	for _, s := range c.servers {
		err = errors.Join(err, s.Withdraw())
	}
	c.closing.Store(true)
	c.gate.Lock() // and never unlocked: see enter
	return err
}

// close ends all servers. Called when the loop has ended.
func (c *controls) close(grace time.Duration) (err error) {
	if c == nil {
		return nil
	}
	close(c.ended)
	for _, s := range c.servers {
		err = errors.Join(err, s.Close(grace))
	}
	return err
}

// enter lets a goroutine work on the pool until it calls leave.
func (c *controls) enter() (leave func(), ok bool) {
	if c.closing.Load() || !c.gate.TryRLock() {
		return nil, false
	}
	return c.gate.RUnlock, true
}

// order has the loop carry something out.
func (c *controls) order(ctx context.Context, f func() error) error {
	result := make(chan error, 1)
	select {
	case c.d.orders <- func() { result <- f() }:
		return <-result
	case <-c.ended:
		return fmt.Errorf("%w: the daemon has ended", control.ErrRefused)
	case <-ctx.Done():
		return fmt.Errorf("the daemon is busy: %w", ctx.Err())
	}
}
