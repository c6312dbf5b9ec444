package swapdev

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
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
	noErr(t, d.SwapOn(testPriority, true))
	if err := d.SwapOn(testPriority, true); err == nil {
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
	if used < hogBytes/2 {
		t.Errorf("%d KiB swapped out of %d under a limit of 8 MiB", used>>10, hogBytes>>10)
	}
	stats, err := g.Stats()
	noErr(t, err)
	t.Logf("%d KiB on the device; %+v", used>>10, stats)
	if stats.Swap < hogBytes/2 {
		t.Errorf("the cgroup counts %d KiB swapped out", stats.Swap>>10)
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
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
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

// TestSwapOffCalledOff: swapoff is told to stop while it is at work. The kernel looks for signals only between two processes, so
// there are several. Swap stays on, and nobody loses a page.
func TestSwapOffCalledOff(t *testing.T) {
	needRoot(t)
	for _, inHelper := range []bool{true, false} {
		name := map[bool]string{true: "helper", false: "thread"}[inHelper]
		t.Run(name, func(t *testing.T) {
			helperReady.Store(inHelper)
			defer helperReady.Store(true)
			calledOff(t, name)
		})
	}
}

func calledOff(t *testing.T, name string) {
	tag := "zswapd:called-off-" + name
	d, err := Attach(backing(t), Options{Tag: tag})
	noErr(t, err)
	rescue(t, d.Path(), tag)
	noErr(t, d.SwapOn(testPriority, false))
	g := group(t, "off-"+name)
	type hog struct {
		cmd *exec.Cmd
		out *bufio.Scanner
	}
	var hogs []hog
	for range 3 {
		cmd, out := child(t, "hog", g.ProcsFile())
		if !out.Scan() || out.Text() != "filled" {
			t.Fatal(out.Text())
		}
		hogs = append(hogs, hog{cmd, out})
	}
	noErr(t, g.SetLimit(256<<20))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err = d.SwapOff(ctx, OffOptions{Interval: time.Millisecond, Progress: func(left, at0 uint64) {
		if left < at0 {
			cancel()
		}
	}})
	left, on := d.Used()
	switch {
	case err == nil:
		t.Log("swapoff was too fast to be called off")
	case !errors.Is(err, context.Canceled) || on != nil:
		t.Errorf("SwapOff that was called off: %v; %v", err, on)
	default:
		t.Logf("called off with %d KiB left: %v", left>>10, err)
	}
	noErr(t, d.SwapOff(t.Context(), OffOptions{}))
	for _, h := range hogs {
		_, _ = stdin[h.cmd].Write([]byte("check\n"))
		if !h.out.Scan() || h.out.Text() != "wrong 0" {
			t.Errorf("a hog's memory: %q", h.out.Text())
		}
	}
	noErr(t, d.Detach())
}

// TestSwapOffUnreadable: the device answers with errors, as when its server is dead. swapoff must end all the same, and a
// program that touches what is lost must be told, not given zeros.
func TestSwapOffUnreadable(t *testing.T) {
	needRoot(t)
	file := backing(t)
	d, err := Attach(file, Options{Tag: "zswapd:unreadable"})
	noErr(t, err)
	rescue(t, d.Path(), "zswapd:unreadable")
	noErr(t, d.SwapOn(testPriority, false))
	g := group(t, "unreadable")
	hog, out := child(t, "hog", g.ProcsFile())
	if !out.Scan() || out.Text() != "filled" {
		t.Fatal(out.Text())
	}
	noErr(t, file.Truncate(0))
	noErr(t, g.SetLimit(64<<20))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	noErr(t, d.SwapOff(ctx, OffOptions{}))
	_, _ = stdin[hog].Write([]byte("check\n"))
	_ = out.Scan()
	// SIGBUS; but the runtime of the hog, which handles that, has lost pages itself.
	if err := hog.Wait(); err == nil || strings.HasPrefix(out.Text(), "wrong") {
		t.Errorf("the hog goes on: %q, %v", out.Text(), err)
	}
	noErr(t, d.Detach())
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
