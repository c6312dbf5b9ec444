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
	noErr(t, d.SwapOn(above(t), false))
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
	if os.Getenv("ZSWAPD_TEST_ROOT") != "required" {
		t.Skip("loses whatever is swapped out to it, and that could be somebody else's: only where ZSWAPD_TEST_ROOT=required says that the machine is for tests")
	}
	file := backing(t)
	d, err := Attach(file, Options{Tag: "zswapd:unreadable"})
	noErr(t, err)
	rescue(t, d.Path(), "zswapd:unreadable")
	noErr(t, d.SwapOn(above(t), false))
	g := group(t, "unreadable")
	hog, out := child(t, "hog", g.ProcsFile())
	if !out.Scan() || out.Text() != "filled" {
		t.Fatal(out.Text())
	}
	noErr(t, file.Truncate(0))
	noErr(t, g.SetLimit(64<<20))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	noErr(t, d.SwapOff(ctx, OffOptions{}))
	_, _ = stdin[hog].Write([]byte("check\n"))
	_ = out.Scan()
	// SIGBUS; but the runtime of the hog, which handles that, has lost pages itself. If the kernel has written once more since, the file is
	// as long again as before, and reads as zeros.
	info, err := file.Stat()
	noErr(t, err)
	if err := hog.Wait(); info.Size() == 0 && (err == nil || strings.HasPrefix(out.Text(), "wrong")) {
		t.Errorf("the hog goes on: %q, %v", out.Text(), err)
	}
	noErr(t, d.Detach())
}
