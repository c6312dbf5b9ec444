package control_test

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zswapd/zswapd/internal/control"
	"github.com/zswapd/zswapd/internal/controltest"
)

func noErr(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// start starts a server for the daemon and returns the path of its socket.
func start(t testing.TB, d control.Daemon, o control.Options) string {
	t.Helper()
	if o.Path == "" {
		o.Path = filepath.Join(t.TempDir(), "control.sock")
	}
	if o.Log == nil {
		o.Log = func(msg string) { t.Error(msg) }
	}
	s, err := control.Start(d, o)
	noErr(t, err)
	t.Cleanup(func() { noErr(t, s.Close()) })
	return o.Path
}

func client(t testing.TB, path string) (*control.Client, context.Context) {
	t.Helper()
	c := control.NewClient(path)
	t.Cleanup(c.Close)
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(stop)
	return c, ctx
}

// busy is a daemon whose pool has seen traffic, and has been full.
func busy(t testing.TB) *controltest.Daemon {
	t.Helper()
	d := controltest.New(t, 2048, 1<<20)
	d.Traffic(t, 1500)
	if s := d.Stats(); s.Rejected["full"] == 0 || s.StoredPages == 0 {
		t.Fatalf("the traffic has not filled the pool: %+v", s.Rejected)
	}
	return d
}

// What the client gets is what the daemon says.
func TestReads(t *testing.T) {
	d := busy(t)
	c, ctx := client(t, start(t, d, control.Options{}))
	got, err := c.Stats(ctx)
	noErr(t, err)
	want := d.Stats()
	if got.StoredPages != want.StoredPages || got.MemoryBytes != want.MemoryBytes || got.Rejected["full"] != want.Rejected["full"] ||
		got.Store != want.Store || got.Load != want.Load || len(got.Tiers) != 1 || got.Tiers[0] != want.Tiers[0] {
		t.Errorf("stats %+v\nwant %+v", got, want)
	}
	s, err := c.Status(ctx)
	noErr(t, err)
	if s.HeldBytes != want.StoredPages*4096 || s.SavedBytes != s.HeldBytes-want.MemoryBytes || s.State != control.StateServing ||
		s.RAMShare != float64(want.MemoryBytes)/controltest.RAMBytes || s.LatencyNS.Store.P50 == 0 || s.Restarts != 3 {
		t.Errorf("status %+v", s)
	}
	if len(s.Refused) != 1 || s.Refused[0].Pages != want.Rejected["full"] || s.Refused[0].Why != "the pool is at its limit" {
		t.Errorf("refused %+v", s.Refused)
	}
	i, err := c.Info(ctx)
	noErr(t, err)
	if i.Door != d.Info().Door || !i.Since.Equal(d.Info().Since) {
		t.Errorf("info %+v", i)
	}
	settings, err := c.Settings(ctx)
	noErr(t, err)
	if len(settings) != 2 || settings[1] != d.Settings()[1] {
		t.Errorf("settings %+v", settings)
	}
	events, err := c.Events(ctx)
	noErr(t, err)
	if events == nil || len(events) != 0 {
		t.Errorf("events %#v, want an empty list", events)
	}
}

func TestHealth(t *testing.T) {
	d := busy(t)
	c, ctx := client(t, start(t, d, control.Options{}))
	h, err := c.Health(ctx)
	noErr(t, err)
	if !h.OK {
		t.Errorf("%+v", h)
	}
	d.Trouble("the disk of the backing file is full")
	h, err = c.Health(ctx)
	noErr(t, err)
	if h.OK || len(h.Problems) != 1 || h.State != control.StateServing {
		t.Errorf("%+v", h)
	}
}

func TestChanges(t *testing.T) {
	d := busy(t)
	c, ctx := client(t, start(t, d, control.Options{}))
	before := d.Pool.Stats()
	w, err := c.Compact(ctx)
	noErr(t, err)
	after := d.Pool.Stats()
	if w.Pages == 0 || w.Pages != after.ObjectsMigrated-before.ObjectsMigrated || w.More {
		t.Errorf("compact: %+v; the pool moved %d", w, after.ObjectsMigrated-before.ObjectsMigrated)
	}
	ch, err := c.Set(ctx, "pool.limit", "3145728")
	noErr(t, err)
	if want := (control.Change{Key: "pool.limit", Old: "1048576", New: "3145728", Applied: true}); ch != want || d.Stats().LimitBytes != 3<<20 {
		t.Errorf("set: %+v, and the limit is %d", ch, d.Stats().LimitBytes)
	}
	for name, call := range map[string]struct {
		err  error
		want error
		says string
	}{
		"age":       {second(c.Age(ctx)), control.ErrUnsupported, "one tier"},
		"writeback": {second(c.WriteBack(ctx, 1<<20)), control.ErrUnsupported, "no backing file"},
		"negative":  {second(c.WriteBack(ctx, -1)), control.ErrInvalid, "bytes = -1"},
		"drain":     {second(c.Drain(ctx, false)), control.ErrRefused, "1.0 GiB is free"},
		"reload":    {second(c.Reload(ctx)), control.ErrInvalid, "zswapd.toml:7"},
		"upgrade":   {c.Upgrade(ctx, "/bin/true"), control.ErrRefused, `"/bin/true" cannot read`},
		"set":       {second(c.Set(ctx, "no/such key", "1")), control.ErrInvalid, "no/such key"},
	} {
		if !errors.Is(call.err, call.want) || !strings.Contains(call.err.Error(), call.says) {
			t.Errorf("%s: %v, want %v and %q", name, call.err, call.want, call.says)
		}
	}
	state, err := c.Stop(ctx, true)
	noErr(t, err)
	events, err := c.Events(ctx)
	noErr(t, err)
	if state != control.StateStopping || len(events) != 1 || events[0].Level != control.LevelInfo {
		t.Errorf("stop: %s, events %+v", state, events)
	}
}

func second[A any](_ A, err error) error { return err }

// A daemon that panics while it is asked is a bug; the one who asked is told, and so is the log.
type panicky struct{ *controltest.Daemon }

func (panicky) Events() []control.Event { panic("a test") }

func TestPanic(t *testing.T) {
	logged := make(chan string, 1)
	path := start(t, panicky{busy(t)}, control.Options{Log: func(msg string) { logged <- msg }})
	c, ctx := client(t, path)
	for range 10 { // more than may be at work at a time
		_, err := c.Events(ctx)
		var e *control.Error
		if !errors.As(err, &e) || e.Code != http.StatusInternalServerError {
			t.Fatal(err)
		}
		if msg := <-logged; !strings.Contains(msg, "a test") || !strings.Contains(msg, "/v1/events") {
			t.Error(msg)
		}
	}
	_, err := c.Status(ctx)
	noErr(t, err)
}

func TestNobodyThere(t *testing.T) {
	dir := t.TempDir()
	c, ctx := client(t, filepath.Join(dir, "none.sock"))
	if _, err := c.Status(ctx); !errors.Is(err, control.ErrNoDaemon) {
		t.Error(err)
	}
	s, err := control.Start(busy(t), control.Options{Path: filepath.Join(dir, "control.sock")})
	noErr(t, err)
	c, ctx = client(t, filepath.Join(dir, "control.sock"))
	_, err = c.Status(ctx)
	noErr(t, err)
	noErr(t, s.Close())
	if _, err := c.Status(ctx); !errors.Is(err, control.ErrNoDaemon) {
		t.Error(err)
	}
}

// slow is a daemon that compacts until it is told to end, and says when it has.
type slow struct {
	*controltest.Daemon
	begun, ended chan struct{}
}

func (s slow) Compact(ctx context.Context) (control.Work, error) {
	close(s.begun)
	<-ctx.Done()
	time.Sleep(50 * time.Millisecond)
	close(s.ended)
	return control.Work{}, ctx.Err()
}

// When Close returns, nobody is at work for a client any more: what he worked on may be closed.
func TestCloseWaitsForWhoIsAtWork(t *testing.T) {
	d := slow{busy(t), make(chan struct{}), make(chan struct{})}
	path := filepath.Join(t.TempDir(), "control.sock")
	s, err := control.Start(d, control.Options{Path: path})
	noErr(t, err)
	c, ctx := client(t, path)
	go func() { _, _ = c.Compact(ctx) }()
	<-d.begun
	noErr(t, s.Close())
	select {
	case <-d.ended:
	default:
		t.Error("it still compacts")
	}
}
