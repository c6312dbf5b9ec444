package swapdev

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestDeviceLife(t *testing.T) {
	needRoot(t)
	for _, inHelper := range []bool{true, false} {
		name := map[bool]string{true: "helper", false: "thread"}[inHelper]
		t.Run(name, func(t *testing.T) {
			helperReady.Store(inHelper)
			defer helperReady.Store(true)
			deviceLife(t, name)
		})
	}
}

func deviceLife(t *testing.T, name string) {
	run, err := NewRun(t.TempDir())
	noErr(t, err)
	d, err := Attach(backing(t), Options{Tag: run.Tag(), Intent: run.SetLoop})
	noErr(t, err)
	rescue(t, d.Path(), run.Tag())
	t.Log(d.Path(), "warnings:", d.Warnings())
	if run.record.Loop != d.Path() {
		t.Errorf("the record says %q", run.record.Loop)
	}
	if _, err := d.Used(); !errors.Is(err, ErrOff) {
		t.Errorf("Used before SwapOn: %v", err)
	}
	noErr(t, d.SwapOn(above(t), true))
	if err := d.SwapOn(0, true); err == nil {
		t.Error("a second SwapOn worked")
	}
	if err := d.Detach(); !errors.Is(err, ErrOn) {
		t.Errorf("Detach with swap on: %v", err)
	}

	g := group(t, name)
	hog, out := child(t, "hog", g.ProcsFile())
	if !out.Scan() || out.Text() != "filled" {
		t.Fatal("the hog did not fill its memory:", out.Text())
	}
	used, err := d.Used()
	noErr(t, err)
	stats, err := g.Stats()
	noErr(t, err)
	t.Logf("%d KiB on the device; %+v", used>>10, stats)
	if stats.Swap < hogBytes/2 {
		t.Errorf("the cgroup counts %d KiB swapped out of %d under a limit of 8 MiB", stats.Swap>>10, hogBytes>>10)
	}
	if used < hogBytes/2 {
		noErr(t, g.Kill(time.Minute))
		noErr(t, d.SwapOff(t.Context(), OffOptions{}))
		noErr(t, errors.Join(d.Detach(), run.Close()))
		t.Skip("somebody else's swap area took our pages")
	}

	var full *NoRoomError
	err = d.SwapOff(t.Context(), OffOptions{Available: func() (uint64, error) { return 1 << 20, nil }})
	if !errors.As(err, &full) || full.Available != 1<<20 || full.Used < hogBytes/2 {
		t.Errorf("SwapOff without room: %v", err)
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.SwapOff(done, OffOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("SwapOff that was called off: %v", err)
	}
	noErr(t, g.SetLimit(64<<20)) // it comes back into the cgroup
	var last, calls uint64 = 1, 0
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	noErr(t, d.SwapOff(ctx, OffOptions{Interval: time.Millisecond, Progress: func(left, _ uint64) { last = left; calls++ }}))
	if last != 0 || calls == 0 {
		t.Errorf("%d reports of progress, the last one %d", calls, last)
	}
	_, _ = stdin[hog].Write([]byte("check\n"))
	if !out.Scan() || out.Text() != "wrong 0" {
		t.Errorf("the hog's memory: %q", out.Text())
	}
	noErr(t, d.SwapOff(ctx, OffOptions{})) // off already
	noErr(t, d.Detach())
	noErr(t, d.Detach())
	if err := d.SwapOn(0, false); !errors.Is(err, ErrDetached) {
		t.Errorf("SwapOn after Detach: %v", err)
	}
	noErr(t, run.Close())
}

// TestDetachClaims: a device that somebody has for himself, as one has who is about to be done with swapoff, is waited for; and
// from the look at whether swap is on to the end nobody turns it on.
func TestDetachClaims(t *testing.T) {
	needRoot(t)
	run, err := NewRun(t.TempDir())
	noErr(t, err)
	d, err := Attach(backing(t), Options{Tag: run.Tag(), Intent: run.SetLoop})
	noErr(t, err)
	rescue(t, d.Path(), run.Tag())
	other, err := os.OpenFile(d.Path(), os.O_RDONLY|unix.O_EXCL, 0)
	noErr(t, err)
	detached := make(chan error, 1)
	go func() { detached <- d.Detach() }()
	select {
	case err := <-detached:
		t.Errorf("Detach of a device that is in use: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	noErr(t, other.Close())
	noErr(t, <-detached)
	d, err = Attach(backing(t), Options{Tag: run.Tag(), Intent: run.SetLoop})
	noErr(t, err)
	rescue(t, d.Path(), run.Tag())
	claim, err := d.claim()
	noErr(t, err)
	if err := d.SwapOn(above(t), true); err == nil {
		t.Error("swap was turned on after the last look")
		noErr(t, d.SwapOff(t.Context(), OffOptions{}))
	}
	noErr(t, claim.Close())
	noErr(t, d.Detach())
	noErr(t, run.Close())
}

// TestWatch: it looks at once, when swap is turned on or off, and after a while in any case.
func TestWatch(t *testing.T) {
	needRoot(t)
	run, err := NewRun(t.TempDir())
	noErr(t, err)
	d, err := Attach(backing(t), Options{Tag: run.Tag(), Intent: run.SetLoop})
	noErr(t, err)
	rescue(t, d.Path(), run.Tag())
	looks, more := make(chan bool), make(chan bool)
	ended := make(chan error, 1)
	go func() {
		ended <- Watch(time.Hour, func() bool {
			_, err := d.Used()
			looks <- err == nil
			return <-more
		})
	}()
	until := func(on bool) { // others turn theirs on and off, too
		t.Helper()
		for {
			select {
			case is := <-looks:
				if is == on {
					return
				}
				more <- true
			case <-time.After(time.Minute):
				t.Fatalf("swap is on: %v, and nobody was told", on)
			}
		}
	}
	until(false)
	more <- true
	noErr(t, d.SwapOn(above(t), true))
	until(true)
	noErr(t, d.SwapOff(t.Context(), OffOptions{})) // while it looks
	more <- true
	until(false)
	more <- false
	noErr(t, <-ended)
	noErr(t, d.Detach())
	noErr(t, run.Close())
	n := 0
	noErr(t, Watch(time.Millisecond, func() bool { n++; return n < 3 }))
	if err := (host{swaps: t.TempDir() + "/none"}).watch(time.Hour, func() bool { return true }); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without /proc/swaps: %v", err)
	}
}

func TestFindForeign(t *testing.T) {
	needRoot(t)
	d, err := Attach(backing(t), Options{Tag: "zswapd:other"})
	noErr(t, err)
	rescue(t, d.Path(), "zswapd:other")
	if _, err := Find(d.Path(), "zswapd:mine"); !errors.Is(err, ErrForeign) {
		t.Errorf("Find with another tag: %v", err)
	}
	same, err := Find(d.Path(), "zswapd:other")
	noErr(t, err)
	noErr(t, d.Release()) // the other one holds it
	noErr(t, same.Detach())
}

func TestAttachRefuses(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/odd")
	noErr(t, err)
	defer f.Close()
	noErr(t, f.Truncate(100*PageSize+1))
	for _, o := range []Options{{}, {Tag: "a\nb"}, {Tag: string(make([]byte, 64))}, {Tag: "fine, but the file is not"}} {
		if _, err := Attach(f, o); err == nil {
			t.Errorf("Attach with tag %q worked", o.Tag)
		}
	}
}
